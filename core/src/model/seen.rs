//! What the user had seen: the base of a write.
//!
//! A reader sees the confirmed state with this device's unsettled events on top. Of a field that such an event covers it so has
//! not seen what arrived beneath, only what the event's own writer had seen. A write that names its read ([`Seen`]) is judged by
//! that; one that does not is judged by what the replica shows when it is made.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::Serialize;

use super::{Op, Pointer, RecordId, Revision, SyncAction, SyncEvent};
use crate::reading;

/// Where unsettled events cover the confirmed state, with the lowest base of their writers. Only what is below the confirmed
/// revision is kept, so that it is empty unless something arrived beneath.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
pub struct Covered {
    /// The whole record, by a create or a delete.
    #[serde(rename = "w", skip_serializing_if = "Option::is_none")]
    pub whole: Option<Revision>,
    /// Single fields.
    #[serde(rename = "f", skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "wasm", tsify(type = "{ [path: string]: number }"))]
    pub fields: BTreeMap<Pointer, Revision>,
}

reading::fields!(Covered { whole as "w" = None, fields as "f" = BTreeMap::new() });

impl Covered {
    /// Whether nothing is covered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.whole.is_none() && self.fields.is_empty()
    }

    /// Adds an unsettled event of a record that is confirmed as of `confirmed` (0: not at all).
    pub(crate) fn add(&mut self, event: &SyncEvent, confirmed: Revision) {
        let saw_all = |base: Revision| confirmed > 0 && base >= confirmed;
        if event.action != SyncAction::Update && !saw_all(event.base) {
            self.whole = Some(self.whole.map_or(event.base, |lowest| lowest.min(event.base)));
        }
        for op in &event.ops {
            let base = event.base_of(op);
            if saw_all(base) || self.whole.is_some_and(|lowest| lowest <= base) {
                continue;
            }
            let lowest = self.fields.entry(op.path.clone()).or_insert(base);
            *lowest = base.min(*lowest);
        }
    }

    /// The lowest base of all, at most `own`.
    #[must_use]
    pub fn lowest(&self, own: Revision) -> Revision {
        self.whole.iter().chain(self.fields.values()).fold(own, |lowest, base| lowest.min(*base))
    }

    /// The lowest base of what covers the field at `path`, anything above or below it, or the whole record; at most `own`.
    #[must_use]
    pub fn lowest_at(&self, path: &Pointer, own: Revision) -> Revision {
        if self.is_empty() {
            return own;
        }
        let text = path.as_str();
        let above = text.match_indices('/').map(|(at, _)| &text[..at]).filter_map(|above| self.fields.get(above));
        let below = format!("{text}/");
        let below = self.fields.range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded));
        let below = below.take_while(|(field, _)| field.is_below(path)).map(|(_, base)| base);
        let found = self.whole.iter().chain(self.fields.get(text)).chain(above).chain(below);
        found.fold(own, |lowest, base| lowest.min(*base))
    }
}

/// What a read showed of a record's confirmed state. Opaque: an app passes it on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
pub struct Basis {
    /// The confirmed revision that the reader saw.
    pub base: Revision,
    /// The replica's copy of the scope that was read: after a restore of the server another one takes its place.
    pub generation: u32,
    /// Where unsettled events covered it.
    #[serde(skip_serializing_if = "Covered::is_empty")]
    pub covered: Covered,
}

reading::fields!(Basis { base, generation, covered = Covered::default() });

/// A read that a write names: what its writer had seen. A [`Record`](crate::query::Record) is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The record.
    pub id: RecordId,
    /// What the read showed.
    pub basis: Basis,
}

reading::fields!(Seen { id, basis });

/// The base of a write: a revision, and lower ones where unsettled events covered what was read.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    base: Revision,
    /// Of the read that the write names, and of the events that are unsettled when it is made.
    covered: [Covered; 2],
}

impl Sight {
    /// The sight of a writer for whom the replica shows `base` and `covered`. Revisions above `shared` mean nothing to the server.
    pub(crate) fn new(base: Revision, covered: Covered, shared: Revision) -> Self {
        Self { base: base.min(shared), covered: [Covered::default(), covered] }
    }

    /// Of this, the writer has seen only what `basis` shows.
    pub(crate) fn limited_to(mut self, basis: &Basis, shared: Revision) -> Self {
        self.base = self.base.min(basis.base).min(shared);
        self.covered[0] = basis.covered.clone();
        self
    }

    /// Of a record that is shown for its unsettled events' sake alone, its writer has not seen the delete.
    pub(crate) fn of_ghost(mut self) -> Self {
        self.base = self.lowest();
        self
    }

    /// The base of an event as a whole.
    pub(crate) fn base(&self) -> Revision {
        self.base
    }

    /// The base of an event that concerns all of the record.
    pub(crate) fn lowest(&self) -> Revision {
        self.covered.iter().fold(self.base, |lowest, covered| covered.lowest(lowest))
    }

    /// Gives an operation its base, where it differs from the event's.
    pub(crate) fn settle(&self, op: &mut Op) {
        let base = self.covered.iter().fold(self.base, |lowest, covered| covered.lowest_at(&op.path, lowest));
        op.base = (base != self.base).then_some(base);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    fn covered(fields: &[(&str, Revision)]) -> Covered {
        Covered { whole: None, fields: fields.iter().map(|(field, base)| (path(field), *base)).collect() }
    }

    #[test]
    fn a_field_is_covered_by_what_is_at_above_or_below_it_and_by_nothing_beside() {
        let covered = covered(&[("/a/b", 3), ("/a/b/c", 2), ("/a-z", 1), ("/a/bb", 1)]);
        for (field, base) in
            [("/a/b", 2), ("/a/b/c/d", 2), ("/a/b/x", 3), ("/a", 1), ("/b", 9), ("/a/x", 9), ("/a-z/y", 1)]
        {
            assert_eq!(covered.lowest_at(&path(field), 9), base, "{field}");
        }
        assert_eq!(covered.lowest(9), 1);
        let all = Covered { whole: Some(4), ..Covered::default() };
        assert_eq!((all.lowest_at(&path("/x"), 9), all.lowest(9), all.lowest(2)), (4, 4, 2));
    }

    #[test]
    fn what_its_writer_had_seen_wholly_covers_nothing() {
        let event = |base, ops| SyncEvent {
            ops: serde_json::from_value(ops).unwrap(),
            ..serde_json::from_value(
                serde_json::json!({"id": "e", "collection": "c", "record": "r", "action": "update",
                "base": base, "stamp": "019a3f2c11d0-0003-dev-a"}),
            )
            .unwrap()
        };
        let mut sum = Covered::default();
        sum.add(
            &event(5, serde_json::json!([{"op": "unset", "path": "/a"}, {"op": "unset", "path": "/b", "base": 3}])),
            5,
        );
        sum.add(&event(7, serde_json::json!([{"op": "unset", "path": "/b"}])), 5);
        assert_eq!(sum, covered(&[("/b", 3)]));
    }
}
