//! The writer: units of work one after the other, the waiting ones together in one commit.
//!
//! Work is done in [`Rounds`]: a round commits all work that waits. So a lone writer pays for no hand-over, and many share a
//! commit.

use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use super::commit::{Commit, Group, Unit, commits, load, lock};
use super::notice::Notices;
use super::rows::ReplicaRow;
use super::txn::{Cache, Txn, encode};
use super::{keys, reader::Replica};
use crate::concurrency::{Crew, Rounds};
use crate::environment::SharedEnvironment;
use crate::error::{Error, Result};
use crate::model::DeviceId;
use crate::platform::{BoxFuture, MaybeSend};
use crate::query::IndexSet;
use crate::storage::{Batch, Rows, Storage, StorageError, transact};

/// Writes the replica.
#[derive(Clone, Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    rounds: Arc<Rounds<Arc<Shared>>>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub storage: Arc<dyn Storage>,
    pub environment: SharedEnvironment,
    pub indexes: Arc<IndexSet>,
    pub notices: Notices,
    /// The rows that units begin with, as last committed; absent when they must be read again.
    cache: Mutex<Option<Cache>>,
    /// The replica row as last committed by this process, for reads that may not wait.
    snapshot: Mutex<Arc<ReplicaRow>>,
}

impl Writer {
    /// Opens the replica in `storage`, making a new one if it is empty.
    ///
    /// # Errors
    /// Those of the storage; `storage_corrupt` if the replica row cannot be read.
    pub async fn open(
        storage: Arc<dyn Storage>,
        environment: SharedEnvironment,
        indexes: Arc<IndexSet>,
    ) -> Result<Self> {
        storage.attach(environment.clone());
        let device = DeviceId::generate(&*environment);
        let cache = transact(&*storage, move |rows| open(rows, &device)).await?;
        let shared = Shared {
            storage,
            environment,
            indexes,
            notices: Notices::default(),
            snapshot: Mutex::new(cache.replica.clone()),
            cache: Mutex::new(Some(cache)),
        };
        let shared = Arc::new(shared);
        Ok(Self { rounds: Arc::new(Rounds::new(shared.clone())), shared })
    }

    /// Reads of the replica.
    #[must_use]
    pub fn reader(&self) -> Replica {
        Replica::new(self.shared.clone())
    }

    /// The commits' notices.
    #[must_use]
    pub fn notices(&self) -> &Notices {
        &self.shared.notices
    }

    /// Runs `body` as one atomic unit and returns its result once it is durable. `body` may run several times; only its
    /// last run counts.
    ///
    /// # Errors
    /// What `body` returns (then nothing of it is written), and the storage's errors.
    pub async fn run<T, F>(&self, body: F) -> Result<T>
    where
        T: MaybeSend + 'static,
        F: FnMut(&mut Txn<'_>) -> Result<T> + MaybeSend + 'static,
    {
        let output = Arc::new(Mutex::new(None));
        let (caller, result) = oneshot::channel();
        self.perform(Unit::new(body, output.clone(), caller), result).await?;
        let output = lock(&output).take();
        output.ok_or_else(|| Error::Internal("work was committed without having run".into()))
    }

    /// Completes when no commit is under way, also none whose caller has gone away.
    pub(crate) async fn rest(&self) {
        self.rounds.rest().await;
    }

    async fn perform(&self, unit: Unit, result: oneshot::Receiver<Result<()>>) -> Result<()> {
        self.rounds.join(unit).await;
        result.await.map_err(|_| Error::Internal("the writer dropped a unit of work".into()))?
    }
}

impl Crew for Arc<Shared> {
    type Work = Unit;

    fn work(&self, units: Vec<Unit>) -> BoxFuture<'_, ()> {
        Box::pin(self.commit(units))
    }

    fn interrupted(&self) {
        // Its commit may have happened.
        *lock(&self.cache) = None;
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.environment.spawn(task);
    }
}

impl Shared {
    pub(super) fn snapshot(&self) -> Arc<ReplicaRow> {
        lock(&self.snapshot).clone()
    }

    /// What `pick` finds in the cached rows as last committed.
    pub(super) fn cached<T>(&self, pick: impl FnOnce(&Cache) -> Option<T>) -> Option<T> {
        lock(&self.cache).as_ref().and_then(pick)
    }

    /// The rows that units begin with: the cached ones, unless somebody else (another tab, a thawed process) has written
    /// since.
    pub(super) fn current(&self, rows: &mut dyn Rows) -> Result<Cache, StorageError> {
        let number = commits(rows)?;
        if let Some(cache) = self.cached(|cache| (cache.commits == number).then(|| cache.clone())) {
            return Ok(cache);
        }
        load(rows, number)?.ok_or_else(|| StorageError::Corrupt("the replica's own row is missing".into()))
    }

    pub(super) fn begin<'r>(&self, rows: &'r mut dyn Rows, cache: Cache) -> Txn<'r> {
        Txn::new(rows, self.environment.clone(), self.indexes.clone(), cache, self.notices.observed())
    }

    /// Does all of `units` in one commit.
    async fn commit(self: &Arc<Self>, units: Vec<Unit>) {
        let group = Arc::new(Mutex::new(Group { units, done: None }));
        let work = Commit { shared: self.clone(), group: group.clone() };
        let outcome = self.storage.transact(Box::new(work)).await;
        let Group { units, done } = std::mem::take(&mut *lock(&group));
        let error = match (outcome, done) {
            (Ok(()), Some((cache, told))) => {
                *lock(&self.snapshot) = cache.replica.clone();
                *lock(&self.cache) = Some(cache);
                self.notices.publish(told);
                return units.into_iter().for_each(|unit| unit.finish(Ok(())));
            }
            (Ok(()), None) => StorageError::Io("a transaction has ended without its work".into()),
            (Err(error), _) => error,
        };
        *lock(&self.cache) = None;
        match <[Unit; 1]>::try_from(units) {
            Ok([unit]) => unit.finish(Err(error.into())),
            // One unit may be too large for a nearly full disk; the others may fit.
            Err(units) => {
                for unit in units {
                    Box::pin(self.commit(vec![unit])).await;
                }
            }
        }
    }
}

/// Reads the replica's own row, making it if the storage is empty.
fn open(rows: &mut dyn Rows, device: &DeviceId) -> Result<(Cache, Batch), StorageError> {
    let number = commits(rows)?;
    if let Some(cache) = load(rows, number)? {
        return Ok((cache, Batch::default()));
    }
    let cache =
        Cache { replica: Arc::new(ReplicaRow::new(device.clone())), commits: number, scopes: Default::default() };
    let put = vec![(keys::replica(), encode(&*cache.replica))];
    Ok((cache, Batch { put, ..Batch::default() }))
}

#[cfg(test)]
mod tests;
