//! Leaf clocks: who wrote each leaf last, and when.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::model::{DeviceId, Pointer, Revision, Value};

/// The last write of one leaf (or of one element of a set).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementClock {
    /// The last add or remove. Shared, because one event adds or removes many: what a record remembers of elements is read with
    /// each write on it.
    pub clock: Arc<LeafClock>,
    /// Whether it is in the set.
    pub live: bool,
    /// Its place in the order; absent if it was never added.
    pub first: Option<Placed>,
}

/// An element's place in the order of its set: that of its first add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The stamp of its first add.
    pub stamp: Stamp,
    /// Its index, if it came with an assignment of the whole array.
    pub index: Option<u32>,
    /// Which operation of its event added it.
    pub op: u32,
}

impl Placed {
    /// Elements of an assignment come before those that were added at the same moment; these come as their event adds them.
    fn rank(&self) -> (&Stamp, bool, Option<u32>, u32) {
        (&self.stamp, self.index.is_none(), self.index, self.op)
    }
}

impl Ord for Placed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Placed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The clocks of a record's leaves.
///
/// Most records are written once, whole: leaves of the document that are not listed carry the `common` clock. What is listed
/// and is no leaf of the document was unset, or was assigned as an object: it still hides what is older below it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "super::packed::Stored")]
pub struct LeafClocks {
    /// The clock of the leaves that are not listed.
    pub common: Option<LeafClock>,
    /// The clocks that differ, by place.
    pub leaves: BTreeMap<Pointer, LeafClock>,
    /// The clocks of single elements, by array and canonical value.
    pub elements: BTreeMap<Pointer, BTreeMap<String, ElementClock>>,
    /// Values of parents that a newer, concurrent child has made objects. Where the last such child is removed again, the
    /// parent's value shows again: it would have, had the child come first. Empty for a parent that had been unset.
    pub hidden: BTreeMap<Pointer, Vec<Value>>,
}

/// Whether a value is a leaf: anything but an object with fields.
pub(super) fn is_leaf(value: &Value) -> bool {
    value.as_object().is_none_or(serde_json::Map::is_empty)
}
