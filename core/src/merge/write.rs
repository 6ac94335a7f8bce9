//! Writes: on their way into a record, and as the log keeps them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::clocks::{LeafClock, is_leaf};
use super::notes::{Decision, Rule, Side};
use crate::model::{Author, DeviceId, Op, Pointer, Revision, SyncAction, SyncEvent, TextEdit, Value};

/// An event on its way into a record: admitted, lifted, with its writer.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// The event, with effective stamps.
    pub event: &'a SyncEvent,
    /// The account and the pushing device.
    pub author: &'a Author,
    /// The device's push_seq.
    pub push_seq: u64,
    /// The event's position in the push.
    pub position: u32,
    /// The revision that it will have if it takes effect.
    pub revision: Revision,
    /// The newest revision of a tombstone that the scope has dropped; 0 if it has dropped none.
    pub horizon: Revision,
    /// Up to this revision the record forgets the clocks of what is gone; 0: it forgets none.
    pub forgets: Revision,
}

/// An event that took effect, as the log keeps it: enough for an exact replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoggedWrite {
    /// The event, with effective stamps.
    pub event: SyncEvent,
    /// The account and the pushing device.
    pub by: Author,
    /// The device's push_seq.
    pub push_seq: u64,
    /// The event's position in the push.
    pub position: u32,
    /// Its revision.
    pub revision: Revision,
    /// The record's revision before it.
    pub previous: Revision,
    /// Text edits as applied (the event holds them as sent), where they differ.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub applied_edits: BTreeMap<Pointer, TextEdit>,
    /// The conflicts that it decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<Decision>,
    /// What else is to be known of its effect.
    #[serde(default, skip_serializing_if = "Trace::is_empty")]
    pub trace: Trace,
}

/// What the log keeps of a write's effect on its record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The operations that had no effect, by their place in the event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<u32>,
    /// The values that stood where it changed something: what others had seen who had not seen it. At most
    /// [`MAX_NOTE_VALUE_BYTES`](crate::limits::MAX_NOTE_VALUE_BYTES) in all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replaced: BTreeMap<Pointer, Value>,
    /// The revision up to which the record forgot the clocks of what is gone; 0 if it forgot none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub forgot: Revision,
}

impl Trace {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so; the lint speaks only where pointers have 64 bits")]
fn is_zero(revision: &Revision) -> bool {
    *revision == 0
}

impl Write<'_> {
    /// The clock that a part of this write with `op`'s stamp leaves behind.
    pub(super) fn clock(&self, op: Option<&Op>) -> LeafClock {
        LeafClock {
            revision: self.revision,
            stamp: op.map_or(&self.event.stamp, |op| self.event.stamp_of(op)).clone(),
            user: self.author.user.clone(),
            device: self.author.device.clone(),
            push_seq: self.push_seq,
            position: self.position,
        }
    }

    /// Whether the writer had seen the write that left `clock`: it is in its base, or it is its own earlier write.
    pub(super) fn has_seen(&self, clock: &LeafClock, base: Revision) -> bool {
        clock.revision <= base
            || (clock.device == self.author.device
                && (clock.push_seq, clock.position) <= (self.push_seq, self.position))
    }

    pub(super) fn side(&self, value: Option<Value>) -> Side {
        Side { value, stamp: self.event.stamp.clone(), by: self.author.clone(), revision: self.revision }
    }
}

impl LoggedWrite {
    /// Whether the operation `number` had no effect.
    pub(super) fn lost(&self, number: usize) -> bool {
        u32::try_from(number).is_ok_and(|number| self.trace.lost.binary_search(&number).is_ok())
    }

    /// Whether it met a delete: then all of it was lost to that.
    pub(super) fn met_delete(&self) -> bool {
        let first = self.decisions.first();
        first.is_some_and(|first| first.rule == Rule::Delete && first.loser.revision == self.revision)
    }

    /// Whether its document has a leaf that overlaps `path`, and met no delete.
    pub(super) fn made_at(&self, path: &Pointer) -> bool {
        let Some(mut place) = self.event.doc.as_ref().filter(|_| !self.met_delete()) else { return false };
        for key in path.keys() {
            if is_leaf(place) {
                return true;
            }
            let Some(below) = place.get(&*key) else { return false };
            place = below;
        }
        true
    }

    /// The value that stood at `path` when it changed something at or above it.
    pub(super) fn replaced_at(&self, path: &Pointer) -> Option<Value> {
        let replaced = &self.trace.replaced;
        let above = || path.ancestors().find_map(|above| replaced.get_key_value(above));
        let (place, value) = replaced.get_key_value(path).or_else(above)?;
        let mut keys = path.keys().skip(place.keys().count());
        keys.try_fold(value, |value, key| value.as_object()?.get(&*key)).cloned()
    }

    /// The clock that its operation `op` left behind, or would have.
    pub(super) fn clock(&self, op: &Op) -> LeafClock {
        LeafClock {
            revision: self.revision,
            stamp: self.event.stamp_of(op).clone(),
            user: self.by.user.clone(),
            device: self.by.device.clone(),
            push_seq: self.push_seq,
            position: self.position,
        }
    }

    pub(super) fn side(&self, value: Option<Value>) -> Side {
        Side { value, stamp: self.event.stamp.clone(), by: self.by.clone(), revision: self.revision }
    }

    /// Whether `device` made the record with this.
    pub(super) fn makes_with(&self, device: &DeviceId) -> bool {
        self.event.action == SyncAction::Create && self.by.device == *device
    }

    /// Whether it had an effect on its record.
    pub(super) fn has_effect(&self) -> bool {
        match self.event.action {
            SyncAction::Update => self.trace.lost.len() < self.event.ops.len(),
            SyncAction::Create => !self.met_delete(),
            SyncAction::Delete => true,
        }
    }
}

impl LeafClock {
    pub(super) fn side(&self, value: Option<Value>) -> Side {
        Side {
            value,
            stamp: self.stamp.clone(),
            by: Author { user: self.user.clone(), device: self.device.clone() },
            revision: self.revision,
        }
    }
}
