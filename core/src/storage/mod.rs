//! The storage seam: a transactional store of ordered bytes.
//!
//! The core encodes every key, value and index entry itself; a backend compares bytes and keeps them. That makes a backend
//! small (SQLite, memory, IndexedDB) and makes queries agree everywhere, because there is nothing left to disagree about.
//! The contract is written on [`Storage`] and checked by the conformance suite in [`crate::testing`].

use std::fmt::Debug;
use std::ops::Bound;

use crate::environment::SharedEnvironment;
use crate::platform::{BoxFuture, MaybeSend, MaybeSync};

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod indexeddb;
mod memory;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
mod transaction;

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub use indexeddb::{IndexedDbOptions, IndexedDbStorage};
pub use memory::MemoryStorage;
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteOptions, SqliteStorage, checksum, durable};
pub use transaction::{Rows, Work, transact};

/// The tables of a replica. A row's key is unique within its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Table {
    /// Identity, clock, per-scope positions.
    Meta,
    /// Records: confirmed state and view.
    Record,
    /// Unsettled events in queue order.
    Event,
    /// What became of each event, by id.
    Outcome,
    /// Settled events that a restored server might need again.
    Settled,
    /// Index entries: the key says all, the value is empty.
    Index,
}

impl Table {
    /// All tables, in a fixed order.
    pub const ALL: [Self; 6] = [Self::Meta, Self::Record, Self::Event, Self::Outcome, Self::Settled, Self::Index];

    /// The table's name in a backend.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Record => "record",
            Self::Event => "event",
            Self::Outcome => "outcome",
            Self::Settled => "settled",
            Self::Index => "index_entry",
        }
    }
}

/// Names a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    /// The table.
    pub table: Table,
    /// The key within it.
    pub key: Vec<u8>,
}

/// A row as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// A contiguous read of one table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scan {
    /// The table.
    pub table: Table,
    /// Where it begins.
    pub lower: Bound<Vec<u8>>,
    /// Where it ends.
    pub upper: Bound<Vec<u8>>,
    /// From the upper end down.
    pub reverse: bool,
    /// Most rows to return.
    pub limit: usize,
}

impl Scan {
    /// All keys of `table` that begin with `prefix`.
    #[must_use]
    pub fn prefix(table: Table, prefix: &[u8]) -> Self {
        Self {
            table,
            lower: Bound::Included(prefix.to_vec()),
            upper: successor(prefix).map_or(Bound::Unbounded, Bound::Excluded),
            reverse: false,
            limit: usize::MAX,
        }
    }

    /// Limits the number of rows.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Goes on after `key`, in the scan's direction.
    #[must_use]
    pub fn after(mut self, key: &[u8]) -> Self {
        let bound = Bound::Excluded(key.to_vec());
        if self.reverse {
            self.upper = bound;
        } else {
            self.lower = bound;
        }
        self
    }
}

/// The smallest byte string above all that begin with `prefix`; `None` if there is none.
#[must_use]
pub fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut next = prefix[..=last].to_vec();
    next[last] += 1;
    Some(next)
}

/// What a transaction writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Rows to make or replace. After `clear` and `delete`.
    pub put: Vec<(RowKey, Vec<u8>)>,
    /// Rows to delete; an absent row is no error.
    pub delete: Vec<RowKey>,
    /// Key prefixes whose rows all go, before anything else is written.
    pub clear: Vec<RowKey>,
    /// Something outside is about to rely on it: acknowledged, this batch and all before it survive a loss of power, whatever
    /// the backend's [`Durability`].
    pub durable: bool,
}

impl Batch {
    /// Whether there is nothing to write, nor to flush.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.put.is_empty() && self.delete.is_empty() && self.clear.is_empty() && !self.durable
    }
}

/// How much an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Power loss.
    #[default]
    Full,
    /// A crash of the process.
    Normal,
}

/// Keeps a replica.
///
/// # Contract
/// - [`transact`](Self::transact) is atomic and alone: its work sees the rows as all earlier transactions have left them, no
///   other one begins before it has ended, and all of its batch becomes visible and durable, or nothing of it. When it
///   returns `Ok`, the batch survives what the backend's [`Durability`] says; a [`durable`](Batch::durable) one, and all
///   before it, survive a loss of power at any level.
/// - Transactions that are asked for one after the other take effect in that order. Work that fails leaves no trace.
/// - Work whose batch [is empty](Batch::is_empty) costs no commit.
/// - Reads see every batch whose `transact` has returned, and never a part of a batch. One `get` or `scan` is one snapshot.
/// - After any error the store goes on working, unless the error is `Closed` or `Corrupt`. A full disk is
///   [`StorageError::Full`]; once there is room, the same store takes writes again.
/// - After [`StorageError::Io`] from `transact` nothing of the batch is seen, but the next opening decides whether it has
///   happened: entirely, or not at all. (A flush that failed may have reached the medium.)
/// - A cancelled `transact` has either happened entirely or not at all.
pub trait Storage: Debug + MaybeSend + MaybeSync + 'static {
    /// Gives the storage the environment whose [`blocking`](crate::Environment::blocking) it uses where a call may wait for
    /// a disk. Called once, before anything else, by whoever opens a client on it. Without it, calls run inline.
    fn attach(&self, environment: SharedEnvironment) {
        drop(environment);
    }

    /// The rows of `keys`, in their order; `None` where there is none.
    fn get(&self, keys: Vec<RowKey>) -> BoxFuture<'_, Result<Vec<Option<Row>>, StorageError>>;

    /// The rows of `scan`, in key order (bytewise), or from the end if reversed.
    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<Row>, StorageError>>;

    /// Runs `work` inside one transaction, and commits what it returns.
    fn transact(&self, work: Box<dyn Work>) -> BoxFuture<'_, Result<(), StorageError>>;

    /// Writes `batch`, whatever is stored.
    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<(), StorageError>> {
        self.transact(Box::new(move |_: &mut dyn Rows| Ok(batch.clone())))
    }

    /// Flushes everything and releases every file lock, for as long as the process is suspended. Calls fail with
    /// `Suspended` until [`resume`](Self::resume). Idempotent.
    fn suspend(&self) -> BoxFuture<'_, Result<(), StorageError>>;

    /// Takes up work again after [`suspend`](Self::suspend). Idempotent.
    ///
    /// # Errors
    /// `AlreadyOpen` if another process took the replica meanwhile; then the storage stays suspended.
    fn resume(&self) -> BoxFuture<'_, Result<(), StorageError>>;

    /// Flushes and closes. Idempotent; later calls fail with `Closed`.
    fn close(&self) -> BoxFuture<'_, Result<(), StorageError>>;
}

impl<S: Storage + ?Sized> Storage for std::sync::Arc<S> {
    fn attach(&self, environment: SharedEnvironment) {
        (**self).attach(environment);
    }

    fn get(&self, keys: Vec<RowKey>) -> BoxFuture<'_, Result<Vec<Option<Row>>, StorageError>> {
        (**self).get(keys)
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<Row>, StorageError>> {
        (**self).scan(scan)
    }

    fn transact(&self, work: Box<dyn Work>) -> BoxFuture<'_, Result<(), StorageError>> {
        (**self).transact(work)
    }

    fn suspend(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        (**self).suspend()
    }

    fn resume(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        (**self).resume()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        (**self).close()
    }
}

/// What can go wrong in a backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A transaction has not fetched this row yet. Handled by the backend, which fetches it and runs the work again.
    #[error("a row is not loaded yet")]
    NotLoaded,
    /// The medium is full or a quota is reached; nothing was written.
    #[error("storage is full: {0}")]
    Full(String),
    /// Another process, or another client of this process, has the replica open.
    #[error("the replica {0} is open elsewhere")]
    AlreadyOpen(String),
    /// The replica was written by a newer version of the SDK.
    #[error("the replica has schema version {found}; this build knows up to {known}")]
    NewerSchema {
        /// The file's version.
        found: i64,
        /// This build's version.
        known: i64,
    },
    /// The file is not a replica; it is left as it is.
    #[error("not a Unisono replica: {0}")]
    Foreign(String),
    /// The store's content is damaged. A file or a database can be recovered: `SqliteStorage::recover`,
    /// `IndexedDbStorage::recover`.
    #[error("the replica is damaged: {0}")]
    Corrupt(String),
    /// The store cannot be reached at the moment.
    #[error("storage is unavailable: {0}")]
    Unavailable(String),
    /// The store is suspended.
    #[error("storage is suspended")]
    Suspended,
    /// The store was closed, or the process forked since it was opened.
    #[error("storage is closed{0}")]
    Closed(&'static str),
    /// Reading or writing failed.
    #[error("storage failed: {0}")]
    Io(String),
}

impl StorageError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotLoaded => "storage_not_loaded",
            Self::Full(_) => "storage_full",
            Self::AlreadyOpen(_) => "already_open",
            Self::NewerSchema { .. } => "newer_schema",
            Self::Foreign(_) => "not_a_replica",
            Self::Corrupt(_) => "storage_corrupt",
            Self::Unavailable(_) => "storage_unavailable",
            Self::Suspended => "suspended",
            Self::Closed(_) => "closed",
            Self::Io(_) => "storage_io",
        }
    }

    /// Whether the same call may succeed later by itself.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Unavailable(_) | Self::Suspended)
    }
}
