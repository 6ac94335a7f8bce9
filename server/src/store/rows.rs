//! The store's rows as plain data. A backend keeps them and looks them up; it decides nothing.

use std::collections::BTreeSet;

use super::{KeyChange, UsageRow, UserRow};
use serde_json::Value;
use unisono::clock::Stamp;
use unisono::merge::{LoggedWrite, StoredRecord};
use unisono::model::{
    CollectionName, DeviceId, DigestSum, Receipt, RecordId, RecordKey, Revision, Value as Document,
    digest_of_canonical, value,
};

/// A scope: the head of its history and the totals over its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeRow {
    /// The present history.
    pub epoch: String,
    /// The newest revision.
    pub revision: Revision,
    /// The highest stamp of any event.
    pub highest: Option<Stamp>,
    /// The newest revision of a tombstone that was purged: whoever stands below it may have missed a delete.
    pub horizon: Revision,
    /// Live records.
    pub records: u64,
    /// Kept tombstones.
    pub tombstones: u64,
    /// Canonical bytes of the live records.
    pub bytes: u64,
    /// Open conflict notes.
    pub conflicts: u64,
    /// Digest over the live records.
    pub digest: DigestSum,
    /// Whether the account has sync switched on; kept with its `user` scope.
    pub sync_enabled: bool,
}

impl ScopeRow {
    /// A scope to which nothing was written yet.
    #[must_use]
    pub fn new(epoch: String) -> Self {
        Self {
            epoch,
            revision: 0,
            highest: None,
            horizon: 0,
            records: 0,
            tombstones: 0,
            bytes: 0,
            conflicts: 0,
            digest: DigestSum::default(),
            sync_enabled: true,
        }
    }
}

/// A record with what was computed from it.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordRow {
    /// Its name.
    pub key: RecordKey,
    /// Its state and clocks.
    pub record: StoredRecord,
    /// The canonical text of its document.
    pub canonical: String,
    /// Its share of the digest; zero for a tombstone.
    pub digest: DigestSum,
}

impl RecordRow {
    /// Computes canonical text and digest.
    #[must_use]
    pub fn new(key: RecordKey, record: StoredRecord) -> Self {
        let canonical = canonical_text(&record.doc);
        let digest = if record.alive {
            digest_of_canonical(&key, record.revision, canonical.as_bytes())
        } else {
            DigestSum::default()
        };
        Self { key, record, canonical, digest }
    }
}

pub(crate) fn canonical_text(doc: &Document) -> String {
    String::from_utf8(value::canonical(doc)).unwrap_or_else(|_| doc.to_string())
}

/// A settled event in the log, with its receipt for the life of the scope.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRow {
    /// The event and its effect.
    pub write: LoggedWrite,
    /// Tells a replay from another event under the same id.
    pub payload_hash: String,
    /// The receipt as first given.
    pub receipt: Receipt,
    /// The scope's highest stamp up to this revision.
    pub highest: Stamp,
}

/// What is known of an event that was settled before.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// Its payload's hash.
    pub payload_hash: String,
    /// Its receipt.
    pub receipt: Receipt,
}

/// A transaction that gave out revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitRow {
    /// The newest revision that it made.
    pub revision: Revision,
    /// Random: tells it from every other transaction that might have ended at this revision.
    pub nonce: u64,
    /// When, by the clock of ages; never before an earlier commit's.
    pub at_ms: u64,
}

/// A device's position in a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRow {
    /// The device.
    pub device: DeviceId,
    /// Whose it is.
    pub user: String,
    /// Its last push.
    pub push_seq: u64,
    /// Identifies that push's events.
    pub push_hash: String,
    /// Its last effective stamp.
    pub stamp: Option<Stamp>,
    /// The head when it first pushed.
    pub joined: Revision,
}

/// The begin of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochRow {
    /// Its place among the scope's histories, from 0.
    pub number: u64,
    /// Its name.
    pub epoch: String,
    /// Up to here it is the same as the one before.
    pub shared_revision: Revision,
    /// The head at its begin.
    pub revision: Revision,
    /// When, in the server's milliseconds.
    pub at_ms: u64,
}

/// Tombstones that were dropped: a part of the history, or a replay of the log would not be exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurgeRow {
    /// The head at that time.
    pub revision: Revision,
    /// Tombstones up to this revision went.
    pub up_to: Revision,
}

/// The values to which a conflict note refers: kept beside it, since they are too large to travel with it.
#[derive(Clone, Debug, PartialEq)]
pub struct NoteValues {
    /// The note's record id.
    pub note: RecordId,
    /// The hashes to which it refers; what it does not is dropped.
    pub kept: BTreeSet<String>,
    /// New values by hash, as canonical text.
    pub fresh: Vec<(String, String)>,
}

/// Who did what, when, from where, and what came of it. Without payloads and secrets. A store chains the rows: each carries a
/// hash over itself and the row before it, so that none can be altered or taken out unnoticed.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRow {
    /// When, in the server's milliseconds.
    pub at_ms: u64,
    /// The account; `server` for the server's own doings, `operator` for what the command line did, empty if it is not known.
    pub user: String,
    /// The device, if one was at work.
    pub device: Option<DeviceId>,
    /// The address that it came from, if it came over the network.
    pub peer: Option<String>,
    /// What (`push`, `epoch`, `switch`, `purge`, `refusal`, …).
    pub action: &'static str,
    /// What came of it: `ok`, or the code of the refusal.
    pub outcome: String,
    /// The particulars.
    pub detail: Value,
}

impl AuditRow {
    /// Something that `user` did and that succeeded.
    #[must_use]
    pub fn new(at_ms: u64, user: impl Into<String>, action: &'static str, detail: Value) -> Self {
        Self { at_ms, user: user.into(), device: None, peer: None, action, outcome: "ok".to_owned(), detail }
    }
}

/// A part of the change feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangesQuery {
    /// Records with a newer revision than this.
    pub after: Revision,
    /// Tombstones up to this revision are omitted.
    pub tombstones_after: Revision,
    /// Only live records of this digest bucket.
    pub bucket: Option<u8>,
    /// Only records of this collection.
    pub collection: Option<CollectionName>,
    /// Most records.
    pub limit: usize,
    /// Canonical bytes after which no further record is taken (one is always taken).
    pub max_bytes: usize,
}

/// One atomic write to a scope.
#[derive(Clone, Debug)]
pub struct ScopeBatch {
    /// The scope's row afterwards.
    pub scope: ScopeRow,
    /// Records to make or replace.
    pub records: Vec<RecordRow>,
    /// Log rows to append.
    pub log: Vec<LogRow>,
    /// The commit, if revisions were given out.
    pub commit: Option<CommitRow>,
    /// The device's row to make or replace, with the answer to its push, as JSON.
    pub device: Option<(DeviceRow, String)>,
    /// A history that begins.
    pub epoch: Option<EpochRow>,
    /// Bucket sums to replace.
    pub buckets: Vec<(u8, DigestSum)>,
    /// Values of conflict notes to keep and to drop.
    pub values: Vec<NoteValues>,
    /// Tombstones to drop.
    pub purge: Option<PurgeRow>,
    /// The account whose private scope it is, to make or replace.
    pub user: Option<UserRow>,
    /// What collections hold now.
    pub usage: Vec<UsageRow>,
    /// API keys of that account to make, replace or delete.
    pub keys: Vec<KeyChange>,
    /// Audit rows to append.
    pub audit: Vec<AuditRow>,
}

impl ScopeBatch {
    /// A batch that writes the scope's row alone.
    #[must_use]
    pub fn new(scope: ScopeRow) -> Self {
        Self {
            scope,
            records: Vec::new(),
            log: Vec::new(),
            commit: None,
            device: None,
            epoch: None,
            buckets: Vec::new(),
            values: Vec::new(),
            purge: None,
            user: None,
            usage: Vec::new(),
            keys: Vec::new(),
            audit: Vec::new(),
        }
    }
}
