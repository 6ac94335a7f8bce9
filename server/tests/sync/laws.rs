//! What holds after any workload: log, records, totals, digests and feeds tell one story (I4, I9).

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use unisono::merge::apply_event;
use unisono::model::{
    Change, ChangeKind, DeviceId, DigestSum, Receipt, RecordKey, Revision, Scope, SyncEvent, digest_of,
};
use unisono::protocol::ChangesRequest;

use crate::world::{Device, World, user};

const DEVICES: [&str; 3] = ["a", "b", "c"];
const RECORDS: [&str; 4] = ["kick", "snare", "hat", "clap"];

/// One device's doing.
#[derive(Clone, Debug)]
enum Step {
    /// Pushes events: (record, kind, value, strict).
    Push { device: usize, events: Vec<(usize, u8, i64, bool)>, group: bool },
    /// Pulls, so that later bases are newer.
    Pull { device: usize },
    /// Sends the last push again.
    Repeat { device: usize },
    /// Lets time pass.
    Wait { ms: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let event = (0..RECORDS.len(), 0u8..10, -3i64..10, proptest::bool::weighted(0.2));
    let push = (0..DEVICES.len(), proptest::collection::vec(event, 0..6), any::<bool>())
        .prop_map(|(device, events, group)| Step::Push { device, events, group });
    let step = prop_oneof![
        6 => push,
        2 => (0..DEVICES.len()).prop_map(|device| Step::Pull { device }),
        1 => (0..DEVICES.len()).prop_map(|device| Step::Repeat { device }),
        1 => (1u64..100).prop_map(|ms| Step::Wait { ms }),
    ];
    proptest::collection::vec(step, 1..40)
}

/// A replica that knows nothing but what it was told.
#[derive(Default)]
struct Replica {
    records: BTreeMap<RecordKey, (Revision, Option<Value>)>,
    last: Option<Value>,
}

impl Replica {
    fn base(&self, record: &str) -> Revision {
        let found = self.records.iter().find(|(key, _)| key.record.as_str() == record);
        found.map_or(0, |(_, (revision, _))| *revision)
    }

    fn digest(&self) -> DigestSum {
        let mut sum = DigestSum::default();
        for (key, (revision, doc)) in &self.records {
            if let Some(doc) = doc {
                sum.add(digest_of(key, *revision, doc));
            }
        }
        sum
    }

    /// Takes a record as the server tells it, unless what is held is newer.
    fn take(&mut self, change: Change) {
        let key = change.key();
        let told = (change.revision, change.doc.filter(|_| change.kind == ChangeKind::Put));
        match self.records.get(&key) {
            Some(held) if held.0 == told.0 => assert_eq!(held.1, told.1, "a receipt and the feed tell one story"),
            Some(held) if held.0 > told.0 => {}
            _ => drop(self.records.insert(key, told)),
        }
    }

    /// Advances by receipts, as a client does: by the record where it is told, else by the event alone.
    fn settle(&mut self, events: &[Value], receipts: Vec<Receipt>) {
        for (event, receipt) in events.iter().zip(receipts) {
            let (Some(revision), Some(previous)) = (receipt.revision, receipt.previous) else { continue };
            if let Some(record) = receipt.record {
                self.take(*record);
                continue;
            }
            let mut event: SyncEvent = serde_json::from_value(event.clone()).unwrap();
            event.admit().unwrap();
            let held = self.records.get(&event.key()).cloned().unwrap_or((0, None));
            if held.0 == previous {
                self.records.insert(event.key(), (revision, apply_event(held.1, &event)));
            }
        }
    }

    /// Pulls in pages of `limit` until there is no more, and returns the digest that the server tells at the end.
    fn pull(&mut self, world: &World, device: &mut Device, limit: u32) -> String {
        loop {
            let request = ChangesRequest {
                cursor: device.cursor.clone(),
                limit: Some(limit),
                device: Some(DeviceId::new(device.id).unwrap()),
                ..ChangesRequest::from_start(Scope::User)
            };
            let (chunks, trailer) = world.pull(&device.principal, request).unwrap();
            chunks.into_iter().flat_map(|chunk| chunk.changes).for_each(|change| self.take(change));
            device.cursor = Some(trailer.cursor);
            device.epoch = Some(trailer.epoch);
            if let Some(digest) = trailer.digest {
                assert!(!trailer.more);
                return digest;
            }
        }
    }
}

fn event(
    world: &World,
    device: &mut Device,
    replica: &Replica,
    (record, kind, value, strict): (usize, u8, i64, bool),
) -> Value {
    let record = RECORDS[record];
    let base = replica.base(record);
    let update = |op: Value| json!({ "ops": [op] });
    let mut event = match kind {
        0 | 1 => device.event(world, "create", record, base, json!({"doc": {"n": value, "tags": ["x"]}})),
        2 => device.delete(world, record, base),
        3 => device.event(world, "update", record, base, update(json!({"op": "inc", "path": "/n", "by": value}))),
        4 => device.event(
            world,
            "update",
            record,
            base,
            update(json!({"op": "add", "path": "/tags", "values": [value]})),
        ),
        5 => device.event(world, "update", record, base, update(json!({"op": "unset", "path": "/n"}))),
        6 => device.event(
            world,
            "update",
            record,
            base,
            update(json!({"op": "text", "path": "/t", "edit": [format!("{value}")]})),
        ),
        7 => device.event(world, "update", record, base, update(json!({"op": "set", "path": "/o/a", "value": value}))),
        8 => device.event(world, "update", record, base, update(json!({"op": "set", "path": "/o", "value": value}))),
        _ => device.event(world, "update", record, base, update(json!({"op": "set", "path": "/n", "value": value}))),
    };
    if value == 7 {
        event["policy"] = json!(["update_wins", "server_wins", "client_wins"][usize::from(kind) % 3]);
    }
    if strict {
        event["mode"] = json!("strict");
    }
    event
}

fn run(world: &World, steps: Vec<Step>) {
    let anna = user("anna");
    let mut devices: Vec<_> = DEVICES.iter().map(|id| (Device::new(&anna, id), Replica::default())).collect();
    for step in steps {
        match step {
            Step::Wait { ms } => world.env.advance(std::time::Duration::from_millis(ms)),
            Step::Pull { device } => {
                let (device, replica) = &mut devices[device];
                let digest = replica.pull(world, device, 3);
                assert_eq!(digest, replica.digest().to_string(), "a replica that has pulled equals the server");
            }
            Step::Repeat { device } => {
                let (device, replica) = &devices[device];
                if let Some(request) = &replica.last {
                    world.push(&device.principal, request).unwrap();
                }
            }
            Step::Push { device, events, group } => {
                let (device, replica) = &mut devices[device];
                let mut events: Vec<_> = events.into_iter().map(|plan| event(world, device, replica, plan)).collect();
                if group {
                    let name = json!(format!("{}-{}", device.id, device.push_seq));
                    events.iter_mut().for_each(|event| event["group"] = name.clone());
                }
                let request = device.request(world, &events);
                let response = world.push(&device.principal, &request).unwrap();
                let settled = response.receipts.iter().filter(|receipt| receipt.status.is_settled()).count();
                assert!(!group || settled == 0 || settled == events.len(), "a group is one");
                device.epoch = Some(response.epoch);
                if let Some(cursor) = response.cursor {
                    // The pull goes on behind this push: what the receipts tell has to be enough.
                    device.cursor = Some(cursor);
                }
                replica.settle(&events, response.receipts);
                replica.last = Some(request);
            }
        }
    }
    world.assert_sound(&anna);
    for (device, replica) in &mut devices {
        let digest = replica.pull(world, device, 500);
        assert_eq!(digest, replica.digest().to_string());
    }
    let whole: BTreeMap<_, _> = world
        .records(&anna, Scope::User)
        .into_iter()
        .map(|change| (change.key(), (change.revision, change.doc)))
        .collect();
    for (_, replica) in devices {
        let live: BTreeMap<_, _> = replica.records.into_iter().filter(|(_, (_, doc))| doc.is_some()).collect();
        assert_eq!(live, whole, "all replicas equal the server");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn i4_after_any_workload_log_records_digests_and_replicas_agree(steps in steps()) {
        run(&World::new(), steps);
    }
}

#[test]
fn the_same_world_makes_the_same_history() {
    let history = || {
        let world = World::new();
        let anna = user("anna");
        let mut device = Device::new(&anna, "a");
        let event = device.create(&world, "kick", json!({"bpm": 120}));
        let response = device.push(&world, &[event]).unwrap();
        (response, world.pull(&anna, ChangesRequest::from_start(Scope::User)).unwrap())
    };
    assert_eq!(history(), history());
}
