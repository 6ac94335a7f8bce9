//! The store seam: reads on one snapshot, and one atomic write at a time per scope.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tokio::sync::oneshot;
use unisono::clock::Stamp;
use unisono::environment::SharedEnvironment;
use unisono::merge::LoggedWrite;
use unisono::model::{Change, CollectionName, DeviceId, DigestSum, EventId, RecordId, RecordKey, Revision};
use unisono::platform::BoxFuture;

use super::{
    ApiKeyRow, AuditRow, ChangesQuery, CommitRow, Damage, DeviceRow, EpochRow, PurgeRow, RecordRow, ScopeBatch,
    ScopeRow, Settled, StoreError, StoreFigures, UsageRow, UserRow,
};

/// What the keys of private scopes begin with.
const PRIVATE: &str = "user:";

/// Names a scope on the server. Made from a credential, by an operator's command, or by the store for its own housekeeping,
/// never from a request alone; every query needs one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeKey(String);

impl ScopeKey {
    /// For [`crate::Principal`], which checks membership, and for stores, which list what they keep.
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// The private scope of an account.
    #[must_use]
    pub fn account(user: &str) -> Self {
        Self(format!("{PRIVATE}{user}"))
    }

    /// A workspace, which is its members'.
    #[must_use]
    pub fn workspace(id: &str) -> Self {
        Self(format!("workspace:{id}"))
    }

    /// The account whose private scope it is, if it is one.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.0.strip_prefix(PRIVATE)
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ScopeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Reads one scope, on one snapshot. A scope that does not exist reads as empty.
pub trait ScopeReads {
    /// The scope's row; `None` if it does not exist.
    fn scope(&mut self) -> Result<Option<ScopeRow>, StoreError>;

    /// The records of `keys`, in their order.
    fn records(&mut self, keys: &[RecordKey]) -> Result<Vec<Option<RecordRow>>, StoreError>;

    /// What became of the events `ids`, in their order.
    fn settled(&mut self, ids: &[EventId]) -> Result<Vec<Option<Settled>>, StoreError>;

    /// The log's write at `revision`.
    fn logged(&mut self, revision: Revision) -> Result<Option<LoggedWrite>, StoreError>;

    /// Up to `limit` writes of the log after `revision`, ascending.
    fn log_after(&mut self, revision: Revision, limit: usize) -> Result<Vec<LoggedWrite>, StoreError>;

    /// The scope's highest stamp among revisions up to `revision`.
    fn highest_at(&mut self, revision: Revision) -> Result<Option<Stamp>, StoreError>;

    /// Records by latest revision, ascending, as the feed tells them; and whether there are more.
    fn changes(&mut self, query: ChangesQuery) -> Result<(Vec<Change>, bool), StoreError>;

    /// Up to `limit` records and tombstones with revisions after `after`, ascending, with everything that is stored.
    fn records_after(&mut self, after: Revision, limit: usize) -> Result<Vec<RecordRow>, StoreError>;

    /// A device's row.
    fn device(&mut self, device: &DeviceId) -> Result<Option<DeviceRow>, StoreError>;

    /// The answer to a device's last push, as JSON.
    fn last_response(&mut self, device: &DeviceId) -> Result<Option<String>, StoreError>;

    /// How many devices have pushed.
    fn devices(&mut self) -> Result<u64, StoreError>;

    /// The first commit at or after `revision`: the one that made it.
    fn commit_at(&mut self, revision: Revision) -> Result<Option<CommitRow>, StoreError>;

    /// The last commit at or before `revision`.
    fn commit_before(&mut self, revision: Revision) -> Result<Option<CommitRow>, StoreError>;

    /// The last commit made at or before the instant `at_ms`.
    fn commit_by(&mut self, at_ms: u64) -> Result<Option<CommitRow>, StoreError>;

    /// The scope's histories, oldest first.
    fn epochs(&mut self) -> Result<Vec<EpochRow>, StoreError>;

    /// The sums of `buckets`, as far as they were ever written.
    fn buckets(&mut self, buckets: &BTreeSet<u8>) -> Result<BTreeMap<u8, DigestSum>, StoreError>;

    /// A value to which the conflict note `note` refers, as canonical text.
    fn note_value(&mut self, note: &RecordId, sha256: &str) -> Result<Option<String>, StoreError>;

    /// Whether values of conflict notes are kept at all.
    fn has_note_values(&mut self) -> Result<bool, StoreError>;

    /// The newest revision among at most `limit` oldest tombstones up to `up_to`, and how many they are.
    fn tombstones(&mut self, up_to: Revision, limit: usize) -> Result<Option<(Revision, u64)>, StoreError>;

    /// The purges of tombstones, oldest first.
    fn purges(&mut self) -> Result<Vec<PurgeRow>, StoreError>;

    /// The account whose private scope this is; `None` in a workspace.
    fn owner(&self) -> Option<String>;

    /// That account's row; `None` before its first event.
    fn user(&mut self) -> Result<Option<UserRow>, StoreError>;

    /// What `collections` hold, in their order.
    fn usage(&mut self, collections: &[CollectionName]) -> Result<Vec<Option<UsageRow>>, StoreError>;

    /// What every collection that holds a live record holds, by name.
    fn collections(&mut self) -> Result<Vec<UsageRow>, StoreError>;

    /// The API keys of the account whose private scope this is, oldest first.
    fn api_keys(&mut self) -> Result<Vec<ApiKeyRow>, StoreError>;
}

/// A scope under its lock: nobody else writes it until the job ends.
pub trait ScopeTx: ScopeReads {
    /// Writes `batch`; reads of this transaction see it.
    fn save(&mut self, batch: ScopeBatch) -> Result<(), StoreError>;

    /// Drops the scope's records, digests and usage, which a repair makes again from the log. With `cut`, the history after that
    /// revision goes too, and with it the positions of devices, which may count pushes that are gone.
    fn reset(&mut self, cut: Option<Revision>) -> Result<(), StoreError>;
}

/// How a write job ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What it wrote is to be kept.
    Commit,
    /// Nothing is to be kept.
    Discard,
}

/// A read: runs to its end on one snapshot.
pub type ReadJob = Box<dyn FnOnce(&mut dyn ScopeReads) -> Result<(), StoreError> + Send>;
/// A write: runs to its end under the scope's lock. An error discards it.
pub type WriteJob = Box<dyn FnOnce(&mut dyn ScopeTx) -> Result<Verdict, StoreError> + Send>;

/// What tells one server's data from another's. It lies in every backup: a restored server is the same one.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The server's name, which clients compare.
    pub server_id: String,
    /// The key under which it signs cursors; leaves the server in no form.
    pub cursor_key: [u8; 32],
    /// Where the clock of ages stood when it was last kept.
    pub clock_ms: Option<u64>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("server_id", &self.server_id).finish_non_exhaustive()
    }
}

/// Keeps the server's scopes.
///
/// # Contract
/// - A write job's batch is atomic, and durable when [`write`](Self::write) returns `Ok`. After an error nothing of it is
///   kept.
/// - Jobs on one scope run one after the other; the order in which they run is the order in which they become visible. Jobs
///   (of any scopes) may share a commit, each with an own outcome; a job that reads what another wrote before the common
///   commit fails if that commit fails.
/// - A job that panics is discarded; the store goes on.
/// - Dropping the future of a call does not stop its job.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Gives the store its environment; called once, before anything else. Returns the server's identity, which is made on
    /// the first call ever and stays with the data.
    fn attach(&self, environment: SharedEnvironment) -> BoxFuture<'_, Result<Identity, StoreError>>;

    /// Keeps where the clock of ages stands; it does not go back.
    fn keep_clock(&self, ms: u64) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Runs `job` on a snapshot.
    fn read(&self, scope: ScopeKey, job: ReadJob) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Runs `job` under the scope's lock, and commits.
    fn write(&self, scope: ScopeKey, job: WriteJob) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Up to `limit` scopes after `after`, in key order.
    fn scopes(&self, after: Option<ScopeKey>, limit: usize) -> BoxFuture<'_, Result<Vec<ScopeKey>, StoreError>>;

    /// The API key with this id, whosever it is, as it was committed last: a switched-off or deleted key is known to be so at once.
    fn api_key(&self, key_id: String) -> BoxFuture<'_, Result<Option<ApiKeyRow>, StoreError>>;

    /// Appends audit rows that belong to no scope.
    fn audit(&self, rows: Vec<AuditRow>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Drops up to `limit` of the oldest audit rows, as far as they are older than `before_ms`; tells how many. What is left is
    /// still a chain, which begins where the dropped part ended.
    fn prune_audit(&self, before_ms: u64, limit: usize) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Whether the store can be relied on and written: commits a row, and refuses if damage was met since it was opened.
    fn ready(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Checks everything that is stored for damage, which takes as long as reading it. Damage of the structure ends all
    /// service of this store: from then on everything is refused.
    fn check(&self) -> BoxFuture<'_, Result<Damage, StoreError>>;

    /// What there is to count about the store.
    fn figures(&self) -> StoreFigures;

    /// Finishes what is under way and closes. Idempotent; later calls fail with [`StoreError::Closed`].
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// Runs `job` on a snapshot and hands its result back.
///
/// # Errors
/// The job's, and the store's.
pub async fn read<T: Send + 'static>(
    store: &dyn Store,
    scope: ScopeKey,
    job: impl FnOnce(&mut dyn ScopeReads) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (sender, receiver) = oneshot::channel();
    let job: ReadJob = Box::new(move |reads| {
        // Nobody waits any more if this fails, and then the result matters to nobody.
        drop(sender.send(job(reads)?));
        Ok(())
    });
    store.read(scope, job).await?;
    receiver.await.map_err(|_| StoreError::Internal("a read ended without a result".to_owned()))
}

/// Runs `job` under the scope's lock and hands its result back once it is durable.
///
/// # Errors
/// The job's, and the store's; then nothing was written.
pub async fn write<T: Send + 'static>(
    store: &dyn Store,
    scope: ScopeKey,
    job: impl FnOnce(&mut dyn ScopeTx) -> Result<(Verdict, T), StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (sender, receiver) = oneshot::channel();
    let job: WriteJob = Box::new(move |tx| {
        let (verdict, result) = job(tx)?;
        drop(sender.send(result));
        Ok(verdict)
    });
    store.write(scope, job).await?;
    receiver.await.map_err(|_| StoreError::Internal("a write ended without a result".to_owned()))
}
