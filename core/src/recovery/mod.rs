//! Recovery: what to do when a replica's file is damaged ([`StorageError::Corrupt`](crate::storage::StorageError::Corrupt)).
//!
//! The server has the records; only the device has what it has not sent. So [`SqliteStorage::recover`] saves, above all, the
//! queue: it keeps the damaged file aside, reads every row that can still be read, and makes a new replica of them, which
//! fetches its records anew. It is never done behind the app's back, because a write may be lost, and then its user has to be
//! told.
//!
//! # Promises
//! - The damaged file is kept, unchanged, as `<file>.damaged-<n>`.
//! - Every unsettled event whose row can be read is in the new queue, under its id, in its place, with its outcome. Events
//!   that are known to be lost are named in the report.
//! - A group of which a member is known to be lost is parked (`damaged`), so that the app decides.
//! - The new replica is a new device: the old one's counters may be older than what the server has seen. Events that may
//!   have been sent keep their content; the server knows them by their ids.
//! - Records that can be read stay visible; a fresh generation replaces them with the next sync.
//! - Whatever ends the process on the way, the next opening finds the damaged file or the recovered one, never a mixture.

mod rebuild;
mod rows;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::environment::SharedEnvironment;
use crate::error::Result;
use crate::model::EventId;
use crate::storage::sqlite::{self, Quarantine};
use crate::storage::{SqliteStorage, Storage};

/// What a recovery has saved, and what it could not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Where the damaged file lies now. Its log, if it had one, lies beside it.
    pub kept_aside: PathBuf,
    /// Unsettled events in the new queue.
    pub events: u64,
    /// Of these, events that are parked because a member of their group is lost.
    pub parked: u64,
    /// Unsettled events that are known to be lost. There may be others, of which no trace could be read.
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

impl SqliteStorage {
    /// Makes a new replica of what can be read of the damaged one at `path`, and puts it in its place. Open it afterwards as
    /// usual; the next sync fetches the records anew.
    ///
    /// Nobody may have the replica open. It takes room for a second file, and memory for both.
    ///
    /// # Errors
    /// `already_open`; `not_a_replica` and `newer_schema` where the file says so; `storage_unavailable` if there is no file;
    /// `storage_full`, and what else writing a new file meets: then the damaged one is still where it was.
    pub async fn recover(path: impl AsRef<Path>, environment: SharedEnvironment) -> Result<RecoveryReport> {
        let (path, lock) = sqlite::take(path.as_ref())?;
        let quarantine = Quarantine::of(&path);
        quarantine.finish(&lock)?;
        let log_lost = lock.log_lost(&path);
        let salvage = sqlite::salvage(&path)?;
        let damaged_rows = salvage.damaged;
        let found = rows::Found::sort(salvage.rows);
        let place = quarantine.workplace()?;
        let storage: Arc<dyn Storage> = Arc::new(SqliteStorage::open(&place)?);
        let rebuilt = rebuild::rebuild(&storage, environment, found).await;
        let closed = storage.close().await;
        let saved = rebuilt?;
        closed?;
        Ok(RecoveryReport {
            kept_aside: quarantine.install(&place, &lock)?,
            events: saved.events,
            parked: saved.parked,
            lost_events: saved.lost_events,
            records: saved.records,
            damaged_rows,
            log_lost,
            identity_kept: saved.identity_kept,
        })
    }
}
