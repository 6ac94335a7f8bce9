//! Rows: what is persisted, as JSON. Every type here is part of the file format: fields are only ever added, with defaults,
//! and a test holds each form.

mod event;
mod membership;
mod outcome;
mod record;
mod replica;
mod scope;

pub use event::{Before, Parking, QueueEntry, QueuedEvent};
pub use membership::Membership;
pub use outcome::{Outcome, OutcomeRow, SettledRow};
pub use record::{DigestRow, RecordRow};
pub use replica::ReplicaRow;
pub use scope::{Building, InFlight, ScopeRow};

use serde::de::{Error, MapAccess};

/// No counter of a replica gets here (2^53); one beyond is damage, and sums of those below do not overflow.
const MAX_COUNTER: u64 = 1 << 53;

fn counter<'de, A: MapAccess<'de>>(place: &mut Option<u64>, fields: &mut A) -> Result<(), A::Error> {
    let count: u64 = fields.next_value()?;
    if count > MAX_COUNTER {
        return Err(A::Error::custom("a counter beyond 2^53"));
    }
    *place = Some(count);
    Ok(())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::json;

    use super::*;
    use crate::model::{DeviceId, DigestSum, Value};

    /// The stored form as it was first released: what it says must be read for ever, and is written the same today.
    fn form<T: Serialize + DeserializeOwned>(stored: Value) -> T {
        let row: T = serde_json::from_value(stored.clone()).expect("a stored row is read");
        assert_eq!(serde_json::to_value(&row).expect("a row is written"), stored);
        row
    }

    fn event() -> Value {
        json!({
            "id": "0193-e", "collection": "samples", "record": "kick", "action": "update", "base": 4,
            "stamp": "019a3f2c11d0-0003-dev-a", "schema": 2, "mode": "strict", "policy": "client_wins", "group": "g",
            "depends_on": ["0193-d"],
            "ops": [
                {"op": "set", "path": "/bpm", "value": 128, "base": 3, "stamp": "019a3f2c11cf-0000-dev-a"},
                {"op": "unset", "path": "/note"}, {"op": "inc", "path": "/plays", "by": -1},
                {"op": "add", "path": "/tags", "values": ["x"]}, {"op": "remove", "path": "/tags", "values": [1]},
                {"op": "text", "path": "/notes", "edit": [5, "new", {"d": 3}]},
            ],
        })
    }

    #[test]
    fn every_stored_form_is_kept() {
        let replica: ReplicaRow = form(json!({
            "device": "dev-a", "account": "alice", "server_id": "srv", "sealed": false, "disabled": true,
            "clock": {"ms": 7, "counter": 1, "received": [6, 2], "offset_ms": -5},
            "next_position": 9, "queued_events": 3, "queued_bytes": 300, "parked_events": 1,
        }));
        assert_eq!(replica.clock.received, (6, 2));
        form::<ScopeRow>(json!({
            "epoch": "e1", "cursor": "c", "seen": "s", "generation": 2,
            "building": {"generation": 3, "cursor": "b", "shared_revision": 5}, "retired": [1], "push_seq": 8, "lineage": [[3, 1], [7, 4]],
            "in_flight": {"push_seq": 8, "positions": [4, 5]}, "in_doubt": true, "consistent": true, "complete": true,
            "known_revision": 44, "pulled": 43, "membership": "lost", "backup_revision": 40, "shared": [2, 5], "repaired": {"17": 1000},
        }));
        form::<RecordRow>(json!({
            "r": 4, "d": {"bpm": 1}, "b": ["019a3f2c11d0-0003-dev-a", {"user": "alice", "device": "dev-a"}],
            "v": {"bpm": 2}, "p": [4, 2, 9, 1], "c": {"w": 2, "f": {"/bpm": 1}}, "k": true,
        }));
        let deleted: RecordRow = form(json!({"r": 0, "v": null, "p": [4, 1], "g": {"bpm": 1}}));
        assert_eq!(deleted.pending, [4]);
        assert_eq!((deleted.overlay.as_ref(), deleted.view()), (Some(&None), None));
        let confirmed: RecordRow = form(json!({"r": 4, "d": {"bpm": 1}}));
        assert_eq!(confirmed.view(), Some(&json!({"bpm": 1})));
        form::<QueueEntry>(json!({
            "event": event(), "account": "alice", "bytes": 99, "frozen": true, "sent": [2, 8], "absorbed": true,
            "settled": {"id": "0193-e", "status": "applied", "revision": 5, "previous": 4},
            "parked": {"code": "quota", "message": "full", "because": "0193-d"},
            "before": {"leaves": {"/bpm": 120, "/note": null}, "absent": ["/x"], "doc": {"bpm": 1}},
        }));
        form::<SettledRow>(json!({"position": 4, "event": event()}));
        for by in ["dev-a", "dev-b"] {
            let mut stored = json!({"position": 4, "event": event(), "sent": [7]});
            if by == "dev-b" {
                stored["pushed_by"] = json!(by);
            }
            let settled: SettledRow = form(stored);
            let device = DeviceId::new(by).unwrap();
            let encoded = SettledRow::encode(settled.position, &settled.event, &device, &settled.sent);
            assert_eq!(crate::replica::decode::<SettledRow>(&encoded).unwrap(), settled);
            assert!(settled.clone().sent_by(&DeviceId::new("dev-c").unwrap()).1.is_empty());
            assert_eq!(settled.clone().sent_by(&device), (settled.event, settled.sent));
        }
        let key = json!({"collection": "samples", "record": "kick"});
        for state in [
            json!({"state": "pending", "position": 4}),
            json!({"state": "parked", "position": 4}),
            json!({"state": "applied", "receipt": {"id": "0193-e", "status": "merged", "revision": 5, "previous": 4}}),
            json!({"state": "discarded"}),
            json!({"state": "replaced_by", "id": "0193-f"}),
            json!({"state": "cancelled", "known": 41}),
        ] {
            let mut stored = json!({"scope": "workspace:band", "key": key});
            stored.as_object_mut().unwrap().extend(state.as_object().unwrap().clone());
            form::<OutcomeRow>(stored);
        }
    }

    #[test]
    fn b35_a_counter_that_no_replica_reaches_is_damage() {
        let entry = |bytes: u64| serde_json::from_value::<QueueEntry>(json!({"event": event(), "bytes": bytes}));
        assert!(entry(MAX_COUNTER).is_ok() && entry(MAX_COUNTER + 1).is_err());
        assert!(serde_json::from_value::<ScopeRow>(json!({"push_seq": u64::MAX})).is_err());
        for positions in [json!([4]), json!([0, 1_u64 << 50]), json!([u64::MAX, 2]), json!([1, 1 << 22, 9, 1])] {
            assert!(serde_json::from_value::<RecordRow>(json!({"p": positions.clone()})).is_err(), "{positions}");
        }
        for counter in ["next_position", "queued_events", "queued_bytes", "parked_events"] {
            let mut row = json!({"device": "d", "next_position": 1});
            assert!(serde_json::from_value::<ReplicaRow>(row.clone()).is_ok());
            row[counter] = json!(u64::MAX);
            assert!(serde_json::from_value::<ReplicaRow>(row).is_err(), "{counter}");
        }
    }

    #[test]
    fn a_digest_row_is_4096_bytes_or_nothing() {
        let mut row = DigestRow::default();
        row.0[3] = DigestSum(u128::MAX);
        row.0[4] = DigestSum(2);
        assert_eq!(row.total(), DigestSum(1));
        assert_eq!(DigestRow::from_bytes(&row.to_bytes()), Some(row));
        for length in [0, 4080, 4095, 4097, 4112] {
            assert_eq!(DigestRow::from_bytes(&vec![0; length]), None, "{length}");
        }
    }
}
