//! A record as the server stores it.

use serde::{Deserialize, Serialize};

use super::LeafClocks;
use crate::clock::Stamp;
use crate::model::{Author, Change, ChangeKind, GroupId, RecordKey, Revision, Value};

/// A record with the clocks that decide conflicts. Kept as a tombstone, document and clocks included, until the horizon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredRecord {
    /// The document; after a delete, the last one.
    pub doc: Value,
    /// Whether the record lives.
    pub alive: bool,
    /// The revision of the last event that took effect on it.
    pub revision: Revision,
    /// The revision of its last delete; where none is remembered, the newest one that was forgotten when the record was made
    /// (the scope's horizon), or 0.
    pub floor: Revision,
    /// Who made the last delete, when; decides whether a later event of the same device had seen it. `None` if no delete is
    /// remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor_clock: Option<super::LeafClock>,
    /// The last delete yields to updates that its writer had not seen (`update_wins`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub floor_yields: bool,
    /// The leaves' clocks.
    pub clocks: LeafClocks,
    /// The effective stamp of the event that made this state.
    pub stamp: Stamp,
    /// Its author.
    pub by: Author,
    /// Version of the app's data that wrote it.
    pub schema: u32,
    /// The transaction it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
}

impl StoredRecord {
    /// The record's state as the feed tells it.
    #[must_use]
    pub fn to_change(&self, key: &RecordKey) -> Change {
        Change {
            kind: if self.alive { ChangeKind::Put } else { ChangeKind::Delete },
            collection: key.collection.clone(),
            record: key.record.clone(),
            revision: self.revision,
            doc: self.alive.then(|| self.doc.clone()),
            stamp: self.stamp.clone(),
            by: self.by.clone(),
            schema: self.schema,
            group: self.group.clone(),
        }
    }
}
