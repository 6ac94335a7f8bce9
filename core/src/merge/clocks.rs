//! Leaf clocks: who wrote each leaf last, and when.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::model::{DeviceId, Pointer, Revision};

/// The last write of one leaf (or of one element of a set).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafClock {
    /// The write's revision.
    #[serde(rename = "r")]
    pub revision: Revision,
    /// Its effective stamp.
    #[serde(rename = "s")]
    pub stamp: Stamp,
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

/// The clocks of a record's leaves.
///
/// Most records are written once, whole: leaves of the document that are not listed carry the `common` clock. A leaf that
/// was unset is always listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafClocks {
    /// The clock of the leaves that are not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common: Option<LeafClock>,
    /// The clocks that differ, by place.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leaves: BTreeMap<Pointer, LeafClock>,
}
