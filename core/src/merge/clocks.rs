//! Leaf clocks: who wrote each leaf last, and when.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::model::{DeviceId, Pointer, Revision, Value};

/// The last write of one leaf (or of one element of a set).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafClock {
    /// The write's revision.
    #[serde(rename = "r")]
    pub revision: Revision,
    /// Its effective stamp.
    #[serde(rename = "s")]
    pub stamp: Stamp,
    /// The account that wrote it.
    #[serde(rename = "u")]
    pub user: String,
    /// The device that pushed it. Differs from the stamp's device where a clone re-sent what the original had made.
    #[serde(rename = "d")]
    pub device: DeviceId,
    /// That device's push_seq.
    #[serde(rename = "p")]
    pub push_seq: u64,
    /// The event's position in the push.
    #[serde(rename = "n")]
    pub position: u32,
}

/// An element of an array used as a set, once it was added or removed by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElementClock {
    /// The last add or remove.
    #[serde(flatten)]
    pub clock: LeafClock,
    /// Whether it is in the set.
    #[serde(rename = "l")]
    pub live: bool,
    /// Its place in the order: the stamp of its first add (absent if it was never added), and its index if it came with an
    /// assignment of the whole array.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub first: Option<(Stamp, Option<u32>)>,
}

/// The clocks of a record's leaves.
///
/// Most records are written once, whole: leaves of the document that are not listed carry the `common` clock. What is listed
/// and is no leaf of the document was unset, or was assigned as an object: it still hides what is older below it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafClocks {
    /// The clock of the leaves that are not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common: Option<LeafClock>,
    /// The clocks that differ, by place.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leaves: BTreeMap<Pointer, LeafClock>,
    /// The clocks of single elements, by array and canonical value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub elements: BTreeMap<Pointer, BTreeMap<String, ElementClock>>,
    /// Values of parents that a newer, concurrent child has made objects. Where the last such child is removed again, the
    /// parent's value shows again: it would have, had the child come first. Empty for a parent that had been unset.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hidden: BTreeMap<Pointer, Vec<Value>>,
}

impl LeafClocks {
    /// The clock that holds at `path`: listed, or common to the leaves of `doc`.
    #[must_use]
    pub fn at(&self, doc: &Value, path: &Pointer) -> Option<&LeafClock> {
        self.leaves.get(path).or_else(|| self.common.as_ref().filter(|_| path.find(doc).is_some_and(is_leaf)))
    }

    /// Lists nothing at or below `path` any more.
    pub fn forget(&mut self, path: &Pointer) {
        let gone = |place: &Pointer| place == path || place.is_below(path);
        self.leaves.retain(|place, _| !gone(place));
        self.elements.retain(|place, _| !gone(place));
        self.hidden.retain(|place, _| !gone(place));
    }
}

/// Whether a value is a leaf: anything but an object with fields.
pub(super) fn is_leaf(value: &Value) -> bool {
    value.as_object().is_none_or(serde_json::Map::is_empty)
}
