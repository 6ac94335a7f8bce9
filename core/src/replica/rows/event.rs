//! Unsettled events: the queue.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{counter, is_false};
use crate::model::{EventId, GroupId, Pointer, Receipt, RecordKey, Scope, SyncAction, SyncEvent, Value};
use crate::reading;
use crate::replica::lineage::{Lineage, Sendings};

/// An unsettled event in the queue.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueueEntry {
    /// The event.
    pub event: SyncEvent,
    /// Who wrote it; absent if it was written before the replica had an account, whose it then is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
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
    event, account = None, bytes by counter, frozen = false, sent = Sendings::default(), uncertain = false, absorbed = false, settled = None,
    parked = None, before = Before::default(),
});

impl QueueEntry {
    /// Whether the server may hold its effect although no receipt came.
    #[must_use]
    pub fn may_be_held(&self, lineage: &Lineage) -> bool {
        self.uncertain || self.absorbed || self.sent.are_held_now(lineage)
    }

    /// Whether no history of the server can hold it: none of its sendings is without an answer, or all were judged.
    #[must_use]
    pub fn is_held_nowhere(&self) -> bool {
        !self.uncertain && !self.absorbed && self.sent.is_empty()
    }

    /// Push `push_seq` carried it, and what became of that is not known: the server may have seen its content, which so stays as
    /// it is.
    pub fn goes_unanswered(&mut self, push_seq: u64) {
        self.frozen = true;
        self.sent.add(push_seq);
    }

    /// The server has judged push `push_seq` and holds nothing of the event: of an effect that it holds, it would have given the
    /// receipt. What a pull had made of that push's number is thereby corrected.
    pub fn was_judged_without_effect(&mut self, lineage: &Lineage, push_seq: u64) {
        (self.uncertain, self.absorbed) = (false, false);
        self.sent.remove_held(lineage, push_seq);
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

    /// For an event that the server may hold, and that cannot be sent again because of `refusal`.
    #[must_use]
    pub fn uncertain(refusal: &Self) -> Self {
        let message = format!(
            "it was sent and no answer was read, so the server may hold it; it cannot be sent again as it is ({}: {})",
            refusal.code, refusal.message
        );
        Self { code: Self::UNCERTAIN.into(), message, because: None }
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
