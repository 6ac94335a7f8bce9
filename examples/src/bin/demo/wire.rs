//! What the demo and its devices say to each other: one JSON document a line, over the device's stdin and stdout.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use unisono::engine::SyncReport;
use unisono::model::EventId;

/// Asked of a device.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Create the first `records` of the sample library.
    Import { records: usize },
    /// Make these edits, one event each.
    Write { edits: Vec<Edit> },
    /// Sync now.
    Sync,
    /// Tell the state of the replica, and these records.
    Look { records: Vec<String> },
    /// Tell what became of these events.
    Follow { events: Vec<EventId> },
}

/// A device's answer. Any number of `Progress` comes before each other one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// So far.
    Progress { done: u64, total: u64 },
    /// The replica is open; said once, unasked.
    Ready,
    /// These events are durable.
    Written { events: Vec<EventId> },
    /// The sync ended well.
    Synced(Synced),
    /// The state of the replica.
    Looked(Box<Looked>),
    /// What became of the events.
    Followed(Fates),
    /// The command failed.
    Failed { code: String, message: String },
}

/// One edit of one record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    pub record: String,
    #[serde(flatten)]
    pub change: Change,
}

/// What an edit does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    Create { doc: Value },
    Set { path: String, value: Value },
    Increment { path: String, by: i64 },
    Add { path: String, values: Vec<String> },
    Delete,
}

/// A finished sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Synced {
    pub pushed: u64,
    pub pulled: u64,
    pub conflicts: u64,
    pub parked: u64,
}

impl From<SyncReport> for Synced {
    fn from(report: SyncReport) -> Self {
        Self { pushed: report.pushed, pulled: report.pulled, conflicts: report.conflicts, parked: report.parked }
    }
}

/// A replica, seen from outside.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Looked {
    /// Its device id.
    pub device: String,
    /// Live records.
    pub count: u64,
    /// SHA-256 over the canonical bytes of all that the app sees: records and open conflict notes, in order of their ids.
    pub content: String,
    /// The replica's own running digest over its confirmed records.
    pub digest: String,
    pub pending: u64,
    pub parked: u64,
    /// The records asked for.
    pub docs: BTreeMap<String, Option<Value>>,
    /// The open conflict notes.
    pub notes: Vec<Value>,
}

/// What became of events: how many had which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fates {
    /// Took effect as they were.
    pub applied: u64,
    /// Took effect beside concurrent writes.
    pub merged: u64,
    /// Lost to a concurrent write.
    pub superseded: u64,
    /// Live on in a later event of the same device.
    pub folded: u64,
    /// Wait to be sent.
    pub pending: u64,
    /// Were refused.
    pub parked: u64,
    /// Undone by their own device, before they were sent or after they were refused.
    pub withdrawn: u64,
    /// Unknown to the replica, which accepted them: lost.
    pub lost: u64,
}

impl Fates {
    /// Events that the server has recorded, themselves or within others.
    pub fn settled(&self) -> u64 {
        self.applied + self.merged + self.superseded + self.folded + self.withdrawn
    }
}
