//! Rows: what is persisted, as JSON. Every type here is part of the file format: fields are only ever added, with defaults,
//! and a test holds each form.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::{Error, MapAccess};
use serde::{Serialize, Serializer};

use super::keys::Generation;
use super::lineage::{Lineage, Sendings};
use crate::clock::{ClockState, Stamp};
use crate::model::{
    Author, DeviceId, DigestSum, EventId, GroupId, Pointer, Receipt, RecordKey, Revision, Scope, SyncAction, SyncEvent,
    Value,
};
use crate::protocol::Cursor;
use crate::reading;

/// The replica as a whole. Every commit expects this row's version and puts it anew, so that it guards all others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplicaRow {
    /// This replica's device.
    pub device: DeviceId,
    /// The account it belongs to; absent while it is anonymous.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The server it belongs to; absent before the first answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_id: Option<String>,
    /// Sealed by sign-out.
    pub sealed: bool,
    /// Sync is switched off on this device.
    pub disabled: bool,
    /// The clock.
    pub clock: ClockState,
    /// The position of the next event.
    pub next_position: u64,
    /// Unsettled events.
    pub queued_events: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// Parked events among them.
    pub parked_events: u64,
}

reading::fields!(ReplicaRow {
    device, account = None, server_id = None, sealed = false, disabled = false, clock = ClockState::default(),
    next_position by counter, queued_events by counter = 0, queued_bytes by counter = 0, parked_events by counter = 0,
});

impl ReplicaRow {
    /// A new replica's.
    #[must_use]
    pub fn new(device: DeviceId) -> Self {
        Self {
            device,
            account: None,
            server_id: None,
            sealed: false,
            disabled: false,
            clock: ClockState::default(),
            next_position: 1,
            queued_events: 0,
            queued_bytes: 0,
            parked_events: 0,
        }
    }

    /// Takes an event out of the totals.
    pub fn left_queue(&mut self, entry: &QueueEntry) {
        self.queued_events = self.queued_events.saturating_sub(1);
        self.queued_bytes = self.queued_bytes.saturating_sub(entry.bytes);
        if entry.parked.is_some() {
            self.parked_events = self.parked_events.saturating_sub(1);
        }
    }
}

/// Where a scope stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ScopeRow {
    /// The server history that the replica follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// Where the pull of the live generation stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// The newest commit of which the replica has evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<Cursor>,
    /// The generation that is read.
    pub generation: Generation,
    /// A re-bootstrap under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub building: Option<Building>,
    /// Generations whose rows are still to be cleared, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retired: Vec<Generation>,
    /// The last push_seq used.
    pub push_seq: u64,
    /// Which pushes followed which.
    #[serde(skip_serializing_if = "Lineage::is_straight")]
    pub lineage: Lineage,
    /// The push whose receipts are missing: its events are frozen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<InFlight>,
    /// A push was given up that the server may hold. Nothing is sent until a pull has come to its end: the last number that the
    /// server knows tells then whether it does.
    #[serde(skip_serializing_if = "is_false")]
    pub in_doubt: bool,
    /// No page is missing to a state that the server had.
    pub consistent: bool,
    /// The first sync is complete.
    pub complete: bool,
    /// The replica holds the scope's whole state as of this revision or a later one: a record that it does not know was not
    /// alive then. The base of writes to unknown records.
    pub known_revision: Revision,
    /// Membership ended; the queue is sealed.
    pub lost: bool,
    /// Settled events up to here need not be kept.
    pub backup_revision: Revision,
    /// When each digest bucket was last repaired, in corrected milliseconds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub repaired: BTreeMap<u8, u64>,
}

reading::fields!(ScopeRow {
    epoch = None, cursor = None, seen = None, generation = 0, building = None, retired = Vec::new(),
    push_seq by counter = 0, lineage = Lineage::default(), in_flight = None, in_doubt = false, consistent = false,
    complete = false, known_revision = 0, lost = false, backup_revision = 0, repaired = BTreeMap::new(),
});

impl ScopeRow {
    /// Takes note that a generation's rows are to be cleared.
    pub fn retire(&mut self, generation: Generation) {
        if let Err(place) = self.retired.binary_search(&generation) {
            self.retired.insert(place, generation);
        }
    }
}

/// A generation that a re-bootstrap fills.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Building {
    /// Its number.
    pub generation: Generation,
    /// Where its pull stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// Revisions of the old history above this mean nothing in the new one; absent if the history is the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_revision: Option<Revision>,
}

reading::fields!(Building { generation, cursor = None, shared_revision = None });

/// A push on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InFlight {
    /// Its number.
    pub push_seq: u64,
    /// The positions of its events, in order.
    pub positions: Vec<u64>,
}

reading::fields!(InFlight { push_seq, positions });

/// A record: what the server has acknowledged, and what the app sees.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RecordRow {
    /// The confirmed revision; 0 if the server has never told of the record.
    #[serde(rename = "r")]
    pub revision: Revision,
    /// The confirmed document; absent if the record is unknown or deleted.
    #[serde(rename = "d", skip_serializing_if = "Option::is_none")]
    pub doc: Option<Value>,
    /// The confirmed state's stamp and author.
    #[serde(rename = "b", skip_serializing_if = "Option::is_none")]
    pub by: Option<(Stamp, Author)>,
    /// The document before a delete by another writer, on which pending updates go on being shown.
    #[serde(rename = "g", skip_serializing_if = "Option::is_none")]
    pub ghost: Option<Value>,
    /// Present while events are pending: the view, `null` for a pending delete.
    #[serde(rename = "v", skip_serializing_if = "Option::is_none", serialize_with = "nullable")]
    pub overlay: Option<Option<Value>>,
    /// Positions of the unsettled events on this record, in queue order.
    #[serde(rename = "p", skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<u64>,
}

reading::fields!(RecordRow {
    revision as "r" = 0, doc as "d" = None, by as "b" = None, ghost as "g" = None, overlay as "v" by reading::present = None,
    pending as "p" = Vec::new(),
});

impl RecordRow {
    /// What the app sees: confirmed state plus unsettled events; `None` if there is no such record.
    #[must_use]
    pub fn view(&self) -> Option<&Value> {
        match &self.overlay {
            Some(view) => view.as_ref(),
            None => self.doc.as_ref(),
        }
    }

    /// The record is gone. Pending updates go on being shown on what it was before it went.
    pub fn vanish(&mut self) {
        if let Some(last) = self.doc.take().filter(|_| !self.pending.is_empty()) {
            self.ghost = Some(last);
        }
    }

    /// Whether the row says nothing and can go.
    #[must_use]
    pub fn is_vacant(&self) -> bool {
        self.revision == 0 && self.doc.is_none() && self.pending.is_empty()
    }

    /// The confirmed state's share of the digest.
    #[must_use]
    pub fn digest(&self, key: &RecordKey) -> Option<DigestSum> {
        self.doc.as_ref().map(|doc| crate::model::digest_of(key, self.revision, doc))
    }
}

/// An unsettled event in the queue.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueueEntry {
    /// The event.
    pub event: SyncEvent,
    /// Its length as JSON.
    pub bytes: u64,
    /// The content may have been sent and never changes again.
    #[serde(skip_serializing_if = "is_false")]
    pub frozen: bool,
    /// The pushes that carried it: a history that holds one of them may hold its effect.
    #[serde(skip_serializing_if = "Sendings::is_empty")]
    pub sent: Sendings,
    /// A sending of it had no answer and was given up: the server may hold its effect, under its id.
    #[serde(skip_serializing_if = "is_false")]
    pub uncertain: bool,
    /// The confirmed state holds its effect already; it waits for its receipt only.
    #[serde(skip_serializing_if = "is_false")]
    pub absorbed: bool,
    /// It is settled, but the confirmed state cannot be advanced without a pull up to this revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<Receipt>,
    /// It was refused and waits for the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked: Option<Parking>,
    /// The confirmed values of the leaves that it touches, as they were when it was made.
    #[serde(skip_serializing_if = "Before::is_empty")]
    pub before: Before,
}

reading::fields!(QueueEntry {
    event, bytes by counter, frozen = false, sent = Sendings::default(), uncertain = false, absorbed = false, settled = None,
    parked = None, before = Before::default(),
});

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl QueueEntry {
    /// Whether the server may hold its effect although no receipt came.
    #[must_use]
    pub fn may_be_held(&self, lineage: &Lineage) -> bool {
        self.uncertain || self.absorbed || self.sent.are_held_now(lineage)
    }

    /// Whether the view holds the event's operations on top of the confirmed state.
    #[must_use]
    pub fn is_overlaid(&self) -> bool {
        !self.absorbed
    }

    /// Whether it may be sent.
    #[must_use]
    pub fn is_sendable(&self) -> bool {
        self.parked.is_none() && self.settled.is_none()
    }
}

/// Confirmed values before an event.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
pub struct Before {
    /// Per touched leaf that was there. Updates only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "wasm", tsify(type = "{ [path: string]: Value }"))]
    pub leaves: BTreeMap<Pointer, Value>,
    /// Touched leaves that were not there. Updates only.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub absent: BTreeSet<Pointer>,
    /// The whole document; deletes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc: Option<Value>,
}

reading::fields!(Before { leaves = BTreeMap::new(), absent = BTreeSet::new(), doc = None });

impl Before {
    fn is_empty(&self) -> bool {
        self.leaves.is_empty() && self.absent.is_empty() && self.doc.is_none()
    }

    /// Adds what a later event touched for the first time: the earlier one knew the values before both.
    pub(crate) fn extend(&mut self, later: Before) {
        for (path, value) in later.leaves {
            if !self.absent.contains(&path) {
                self.leaves.entry(path).or_insert(value);
            }
        }
        self.absent.extend(later.absent.into_iter().filter(|path| !self.leaves.contains_key(path)));
    }
}

/// Why an event is parked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
pub struct Parking {
    /// The stable code.
    pub code: String,
    /// In words.
    #[serde(default)]
    pub message: String,
    /// The event of the same group that was refused, if it was not this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<EventId>,
}

reading::fields!(Parking { code, message = String::new(), because = None });

impl Parking {
    /// The code of an event of which nobody knows whether the server holds it, and which cannot be sent again.
    pub const UNCERTAIN: &str = "uncertain";

    /// For an event that the server may hold, and whose re-sending met `refusal` on the way.
    #[must_use]
    pub fn uncertain(refusal: &Self) -> Self {
        let message = format!(
            "it was sent without an answer, so the server may hold it; sent again, it was refused on the way ({}: {})",
            refusal.code, refusal.message
        );
        Self { code: Self::UNCERTAIN.into(), message, because: None }
    }
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutcomeRow {
    /// Its scope.
    pub scope: Scope,
    /// Its collection and record.
    pub key: RecordKey,
    /// What became of it.
    #[serde(flatten)]
    pub state: Outcome,
    /// Of an event that left the queue unsent: the newest revision at a sync thereafter; 0 before that.
    #[serde(skip_serializing_if = "is_zero")]
    pub known: Revision,
}

impl OutcomeRow {
    /// What has just become of an event.
    #[must_use]
    pub fn new(scope: &Scope, key: &RecordKey, state: Outcome) -> Self {
        Self { scope: scope.clone(), key: key.clone(), state, known: 0 }
    }

    /// Whether the event left the queue unsent, and no sync was noted since.
    #[must_use]
    pub fn is_undated(&self) -> bool {
        let unsent = matches!(self.state, Outcome::Discarded | Outcome::ReplacedBy { .. } | Outcome::Cancelled);
        unsent && self.known == 0
    }

    /// Whether it is older than what the server's backups, up to `backup`, are sure to hold.
    #[must_use]
    pub fn is_forgettable(&self, backup: Revision) -> bool {
        match &self.state {
            Outcome::Pending { .. } | Outcome::Parked { .. } => false,
            Outcome::Applied { receipt } => receipt.revision.is_some_and(|revision| revision <= backup),
            // In a scope that nobody writes to, time does not show.
            Outcome::Discarded | Outcome::ReplacedBy { .. } | Outcome::Cancelled => (1..backup).contains(&self.known),
        }
    }
}

reading::fields!(OutcomeRow { scope, key, state, position = None, receipt = None, id = None, known = 0 } => Self {
    scope,
    key,
    state: Outcome::of(state, position, receipt, id)?,
    known,
});

/// The fate of an accepted event: always exactly one of these.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Outcome {
    /// In the queue.
    Pending {
        /// At this position.
        position: u64,
    },
    /// In the queue, refused, waiting for the app.
    Parked {
        /// At this position.
        position: u64,
    },
    /// The server has recorded it.
    Applied {
        /// Its receipt, without the record.
        receipt: Box<Receipt>,
    },
    /// Dropped by the app.
    Discarded,
    /// Its content lives on in another event.
    ReplacedBy {
        /// That event.
        id: EventId,
    },
    /// It and what it would have undone left the queue unsent.
    Cancelled,
}

/// The names of what may become of an event.
#[derive(Clone, Copy)]
enum OutcomeName {
    Pending,
    Parked,
    Applied,
    Discarded,
    ReplacedBy,
    Cancelled,
}

reading::names!(OutcomeName {
    Pending "pending",
    Parked "parked",
    Applied "applied",
    Discarded "discarded",
    ReplacedBy "replaced_by",
    Cancelled "cancelled",
});

impl Outcome {
    /// The outcome of that name, with those of the fields that it has.
    fn of<E: Error>(
        name: OutcomeName,
        position: Option<u64>,
        receipt: Option<Box<Receipt>>,
        id: Option<EventId>,
    ) -> Result<Self, E> {
        let missing = E::missing_field;
        Ok(match name {
            OutcomeName::Pending => Self::Pending { position: position.ok_or_else(|| missing("position"))? },
            OutcomeName::Parked => Self::Parked { position: position.ok_or_else(|| missing("position"))? },
            OutcomeName::Applied => Self::Applied { receipt: receipt.ok_or_else(|| missing("receipt"))? },
            OutcomeName::Discarded => Self::Discarded,
            OutcomeName::ReplacedBy => Self::ReplacedBy { id: id.ok_or_else(|| missing("id"))? },
            OutcomeName::Cancelled => Self::Cancelled,
        })
    }
}

/// A settled event, kept in case the server is restored from a copy that lacks it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SettledRow {
    /// Its position in the queue, at which it would come back.
    pub position: u64,
    /// The event, as it was sent.
    pub event: SyncEvent,
    /// The pushes that carried it.
    #[serde(skip_serializing_if = "Sendings::is_empty")]
    pub sent: Sendings,
    /// The device that made these pushes, where it is not the one that stamped the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pushed_by: Option<DeviceId>,
}

reading::fields!(SettledRow { position, event, sent = Sendings::default(), pushed_by = None });

impl SettledRow {
    /// The row's stored form, of an event that `device` pushed and that need not be copied for it.
    #[must_use]
    pub fn encode(position: u64, event: &SyncEvent, device: &DeviceId, sent: &Sendings) -> Vec<u8> {
        #[derive(Serialize)]
        struct Borrowed<'e> {
            position: u64,
            event: &'e SyncEvent,
            #[serde(skip_serializing_if = "Sendings::is_empty")]
            sent: &'e Sendings,
            #[serde(skip_serializing_if = "Option::is_none")]
            pushed_by: Option<&'e DeviceId>,
        }
        let pushed_by = (!sent.is_empty() && *device != event.stamp.device).then_some(device);
        super::encode(&Borrowed { position, event, sent, pushed_by })
    }

    /// The event, and the pushes that carried it if they were `device`'s: the numbers of another say nothing.
    #[must_use]
    pub fn sent_by(self, device: &DeviceId) -> (SyncEvent, Sendings) {
        let by = self.pushed_by.as_ref().unwrap_or(&self.event.stamp.device);
        let sent = if by == device { self.sent } else { Sendings::default() };
        (self.event, sent)
    }
}

/// The digest of a generation, by bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestRow(pub Vec<DigestSum>);

impl Default for DigestRow {
    fn default() -> Self {
        Self(vec![DigestSum::default(); crate::limits::DIGEST_BUCKETS])
    }
}

impl DigestRow {
    /// The sum over all buckets.
    #[must_use]
    pub fn total(&self) -> DigestSum {
        self.0.iter().fold(DigestSum::default(), |mut total, sum| {
            total.add(*sum);
            total
        })
    }

    /// The stored form: 16 bytes a bucket, big-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|sum| sum.0.to_be_bytes()).collect()
    }

    /// Reads the stored form.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (sums, rest) = bytes.as_chunks::<16>();
        let sums: Vec<_> = sums.iter().map(|sum| DigestSum(u128::from_be_bytes(*sum))).collect();
        (sums.len() == crate::limits::DIGEST_BUCKETS && rest.is_empty()).then_some(Self(sums))
    }
}

/// What the app sees of an event in the queue.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify), tsify(missing_as_null))]
pub struct QueuedEvent {
    /// Its id.
    pub id: EventId,
    /// Its scope.
    pub scope: Scope,
    /// Its record.
    pub key: RecordKey,
    /// What it does.
    pub action: SyncAction,
    /// Its transaction.
    pub group: Option<GroupId>,
    /// Why it is parked.
    pub parked: Option<Parking>,
    /// The event itself.
    pub event: SyncEvent,
    /// The confirmed values that it touched.
    pub before: Before,
}

impl QueuedEvent {
    /// The app's view of `entry`.
    #[must_use]
    pub fn new(scope: &Scope, entry: QueueEntry) -> Self {
        Self {
            id: entry.event.id.clone(),
            scope: scope.clone(),
            key: entry.event.key(),
            action: entry.event.action,
            group: entry.event.group.clone(),
            parked: entry.parked,
            before: entry.before,
            event: entry.event,
        }
    }
}

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

/// Tells "absent" from "null" in JSON.
#[expect(clippy::ref_option, reason = "serde's serialize_with passes a reference")]
fn nullable<S: Serializer>(overlay: &Option<Option<Value>>, serializer: S) -> Result<S::Ok, S::Error> {
    overlay.as_ref().and_then(Option::as_ref).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::json;

    use super::*;

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
            "known_revision": 44, "lost": false, "backup_revision": 40, "repaired": {"17": 1000},
        }));
        form::<RecordRow>(json!({
            "r": 4, "d": {"bpm": 1}, "b": ["019a3f2c11d0-0003-dev-a", {"user": "alice", "device": "dev-a"}],
            "v": {"bpm": 2}, "p": [4],
        }));
        let deleted: RecordRow = form(json!({"r": 0, "v": null, "p": [4], "g": {"bpm": 1}}));
        assert_eq!((deleted.overlay.as_ref(), deleted.view()), (Some(&None), None));
        let confirmed: RecordRow = form(json!({"r": 4, "d": {"bpm": 1}}));
        assert_eq!(confirmed.view(), Some(&json!({"bpm": 1})));
        form::<QueueEntry>(json!({
            "event": event(), "bytes": 99, "frozen": true, "sent": [2, 8], "absorbed": true,
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
