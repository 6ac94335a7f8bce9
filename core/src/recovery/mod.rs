//! Recovery: what to do when a replica's storage is damaged ([`StorageError::Corrupt`](crate::storage::StorageError::Corrupt)).
//!
//! The server has the records; only the device has what it has not sent. So a backend's `recover` (`SqliteStorage::recover`,
//! `IndexedDbStorage::recover`) saves, above all, the queue: it keeps the damaged data aside, reads every row that can still be
//! read, and makes a new replica of them ([`rebuild`]), which fetches its records anew. It is never done behind the app's back,
//! because a write may be lost, and then its user has to be told.
//!
//! # Promises
//! - What was damaged is kept: a file unchanged, as `<file>.damaged-<n>`; of a database every row that can be read, in one
//!   of the name `<name>.damaged-<ms>`.
//! - Every unsettled event whose row can be read is in the new queue, under its id, in its place, with its outcome. Events
//!   that are known to be lost are named in the report.
//! - A group of which a member is known to be lost is parked (`damaged`), so that the app decides.
//! - The new replica is a new device: the old one's counters may be older than what the server has seen. Events that may
//!   have been sent keep their content; the server knows them by their ids.
//! - Records that can be read stay visible; a fresh generation replaces them with the next sync.
//! - Whatever ends the process on the way, the next opening finds what was damaged or what was recovered, never a mixture.

#[cfg(feature = "sqlite")]
mod file;
mod rebuild;
mod rows;

use std::path::PathBuf;

use serde::Serialize;

use crate::model::EventId;

pub use rebuild::rebuild;

/// What a recovery has saved, and what it could not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Where the damaged file lies now, its log beside it if it had one; of a database, the name of the replica that holds what
    /// could be read.
    #[cfg_attr(feature = "wasm", tsify(type = "string"))]
    pub kept_aside: PathBuf,
    /// Unsettled events in the new queue.
    pub events: u64,
    /// Of these, events that are parked because a member of their group is lost.
    pub parked: u64,
    /// Unsettled events that are known to be lost. There may be others, of which no trace could be read.
    #[cfg_attr(feature = "wasm", tsify(type = "string[]"))]
    pub lost_events: Vec<EventId>,
    /// Records that are visible until they are fetched anew.
    pub records: u64,
    /// Rows that were found and could not be read.
    pub damaged_rows: u64,
    /// Whether commits are missing that were acknowledged, because the write-ahead log was taken away or damaged. Of the
    /// events in them there is no trace, so that `lost_events` does not name them.
    pub log_lost: bool,
    /// Whether it is still known whose replica this is. If not, it is anonymous, and syncs once it was
    /// [claimed](crate::ClientBuilder::claim_anonymous).
    pub identity_kept: bool,
}
