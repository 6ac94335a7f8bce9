//! Rows: what is persisted, as JSON. Every type here is part of the file format: fields are only ever added, with defaults,
//! and a snapshot test holds each form.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::keys::Generation;
use crate::clock::{ClockState, Stamp};
use crate::model::{
    Author, DeviceId, DigestSum, EventId, GroupId, Pointer, Receipt, RecordKey, Revision, Scope, SyncAction, SyncEvent,
    Value,
};
use crate::protocol::Cursor;

/// The replica as a whole. Every commit expects this row's version and puts it anew, so that it guards all others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplicaRow {
    /// This replica's device.
    pub device: DeviceId,
    /// The account it belongs to; absent while it is anonymous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The server it belongs to; absent before the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_id: Option<String>,
    /// Sealed by sign-out.
    #[serde(default)]
    pub sealed: bool,
    /// Sync is switched off on this device.
    #[serde(default)]
    pub disabled: bool,
    /// The clock.
    #[serde(default)]
    pub clock: ClockState,
    /// The position of the next event.
    pub next_position: u64,
    /// Unsettled events.
    #[serde(default)]
    pub queued_events: u64,
    /// Their bytes.
    #[serde(default)]
    pub queued_bytes: u64,
    /// Parked events among them.
    #[serde(default)]
    pub parked_events: u64,
}

impl ReplicaRow {
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScopeRow {
    /// The server history that the replica follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// Where the pull of the live generation stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// The newest commit of which the replica has evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Cursor>,
    /// The generation that is read.
    #[serde(default)]
    pub generation: Generation,
    /// A re-bootstrap under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub building: Option<Building>,
    /// Generations whose rows are still to be cleared.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub retired: BTreeSet<Generation>,
    /// The last push_seq used.
    #[serde(default)]
    pub push_seq: u64,
    /// The push whose receipts are missing: its events are frozen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<InFlight>,
    /// No page is missing to a state that the server had.
    #[serde(default)]
    pub consistent: bool,
    /// The first sync is complete.
    #[serde(default)]
    pub complete: bool,
    /// The replica holds the scope's whole state as of this revision or a later one: a record that it does not know was not
    /// alive then. The base of writes to unknown records.
    #[serde(default)]
    pub known_revision: Revision,
    /// Membership ended; the queue is sealed.
    #[serde(default)]
    pub lost: bool,
    /// Settled events up to here need not be kept.
    #[serde(default)]
    pub backup_revision: Revision,
    /// When each digest bucket was last repaired, in corrected milliseconds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub repaired: BTreeMap<u8, u64>,
}

/// A generation that a re-bootstrap fills.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Building {
    /// Its number.
    pub generation: Generation,
    /// Where its pull stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// Revisions of the old history above this mean nothing in the new one; absent if the history is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_revision: Option<Revision>,
}

/// A push on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// Its number.
    pub push_seq: u64,
    /// The positions of its events, in order.
    pub positions: Vec<u64>,
}

/// A record: what the server has acknowledged, and what the app sees.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordRow {
    /// The confirmed revision; 0 if the server has never told of the record.
    #[serde(rename = "r", default)]
    pub revision: Revision,
    /// The confirmed document; absent if the record is unknown or deleted.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub doc: Option<Value>,
    /// The confirmed state's stamp and author.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub by: Option<(Stamp, Author)>,
    /// The document before a delete by another writer, on which pending updates go on being shown.
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    pub ghost: Option<Value>,
    /// Present while events are pending: the view, `null` for a pending delete.
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none", with = "nullable")]
    pub overlay: Option<Option<Value>>,
    /// Positions of the unsettled events on this record, in queue order.
    #[serde(rename = "p", default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<u64>,
}

impl RecordRow {
    /// What the app sees: confirmed state plus unsettled events; `None` if there is no such record.
    #[must_use]
    pub fn view(&self) -> Option<&Value> {
        match &self.overlay {
            Some(view) => view.as_ref(),
            None => self.doc.as_ref(),
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueEntry {
    /// The event.
    pub event: SyncEvent,
    /// Its length as JSON.
    pub bytes: u64,
    /// The content may have been sent and never changes again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub frozen: bool,
    /// The last push that carried it without an answer; the server may hold its effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
    /// The confirmed state holds its effect already; it waits for its receipt only.
    #[serde(default, skip_serializing_if = "is_false")]
    pub absorbed: bool,
    /// It is settled, but the confirmed state cannot be advanced without a pull up to this revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Receipt>,
    /// It was refused and waits for the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<Parking>,
    /// The confirmed values of the leaves that it touches, as they were when it was made.
    #[serde(default, skip_serializing_if = "Before::is_empty")]
    pub before: Before,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl QueueEntry {
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Before {
    /// Per touched leaf; absent values were not there. Updates only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leaves: BTreeMap<Pointer, Option<Value>>,
    /// The whole document; deletes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc: Option<Value>,
}

impl Before {
    fn is_empty(&self) -> bool {
        self.leaves.is_empty() && self.doc.is_none()
    }
}

/// Why an event is parked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutcomeRow {
    /// Its scope.
    pub scope: Scope,
    /// Its collection and record.
    pub key: RecordKey,
    /// What became of it.
    #[serde(flatten)]
    pub state: Outcome,
}

/// The fate of an accepted event: always exactly one of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// A settled event, kept in case the server is restored from a copy that lacks it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettledRow {
    /// Its position in the queue, at which it would come back.
    pub position: u64,
    /// The event, as it was sent.
    pub event: SyncEvent,
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
        let sums: Vec<_> = bytes.as_chunks::<16>().0.iter().map(|sum| DigestSum(u128::from_be_bytes(*sum))).collect();
        (sums.len() == crate::limits::DIGEST_BUCKETS).then_some(Self(sums))
    }
}

/// What the app sees of an event in the queue.
#[derive(Clone, Debug, PartialEq)]
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

/// Tells "absent" from "null" in JSON.
mod nullable {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::model::Value;

    pub fn serialize<S: Serializer>(overlay: &Option<Option<Value>>, serializer: S) -> Result<S::Ok, S::Error> {
        overlay.as_ref().and_then(Option::as_ref).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Value>>, D::Error> {
        Option::deserialize(deserializer).map(Some)
    }
}
