//! The writer: units of work one after the other, the waiting ones together in one commit.
//!
//! Work is done in [`Rounds`]: a round does all work that waits on one [`Txn`], and commits. So a lone writer pays for no
//! hand-over, and many share a commit. A unit that panics fails, and the others of its round do not.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::notice::Notices;
use super::rows::ReplicaRow;
use super::txn::{Cache, Txn, decode, encode};
use super::{keys, reader::Replica};
use crate::concurrency::{Crew, Rounds};
use crate::environment::SharedEnvironment;
use crate::error::{Error, Result};
use crate::model::DeviceId;
use crate::platform::{BoxFuture, MaybeSend};
use crate::query::IndexSet;
use crate::storage::{Batch, Storage, StorageError};

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
    /// The guard rows as last committed; absent when they must be read again.
    cache: Mutex<Option<Cache>>,
    /// The replica row as last committed by this process, for reads that may not wait.
    snapshot: Mutex<Arc<ReplicaRow>>,
}

/// A unit of work that waits for a round.
pub(super) struct Unit {
    work: Box<dyn Work>,
    caller: oneshot::Sender<Result<()>>,
}

impl Unit {
    fn finish(self, result: Result<()>) {
        // A caller that went away does not want to know.
        drop(self.caller.send(result));
    }
}

/// What a unit does. It may run more than once before it is committed.
trait Work: MaybeSend {
    fn run<'t>(&'t mut self, txn: &'t mut Txn) -> BoxFuture<'t, Result<()>>;
}

/// A caller's closure, and the place for what its last run returned. All else is the same for every closure and result, so
/// that a browser downloads it once.
struct Job<T, F> {
    body: F,
    output: Arc<Mutex<Option<T>>>,
}

impl<T, F> Work for Job<T, F>
where
    T: MaybeSend,
    F: for<'t> FnMut(&'t mut Txn) -> BoxFuture<'t, Result<T>> + MaybeSend,
{
    fn run<'t>(&'t mut self, txn: &'t mut Txn) -> BoxFuture<'t, Result<()>> {
        Box::pin(keep((self.body)(txn), &self.output))
    }
}

async fn keep<T>(work: BoxFuture<'_, Result<T>>, output: &Mutex<Option<T>>) -> Result<()> {
    let done = work.await?;
    *lock(output) = Some(done);
    Ok(())
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
        let cache = load(&*storage, &environment).await?;
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
        F: for<'t> FnMut(&'t mut Txn) -> BoxFuture<'t, Result<T>> + MaybeSend + 'static,
    {
        let output = Arc::new(Mutex::new(None));
        self.perform(Box::new(Job { body, output: output.clone() })).await?;
        let output = lock(&output).take();
        output.ok_or_else(|| Error::Internal("work was committed without having run".into()))
    }

    /// Completes when no commit is under way, also none whose caller has gone away.
    pub(crate) async fn rest(&self) {
        self.rounds.rest().await;
    }

    async fn perform(&self, work: Box<dyn Work>) -> Result<()> {
        let (caller, result) = oneshot::channel();
        self.rounds.join(Unit { work, caller }).await;
        result.await.map_err(|_| Error::Internal("the writer dropped a unit of work".into()))?
    }
}

impl Crew for Arc<Shared> {
    type Work = Unit;

    fn work(&self, work: Vec<Self::Work>) -> BoxFuture<'_, ()> {
        Box::pin(self.commit(work))
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

    /// What `pick` finds in the guard rows as last committed.
    pub(super) fn cached<T>(&self, pick: impl FnOnce(&Cache) -> Option<T>) -> Option<T> {
        lock(&self.cache).as_ref().and_then(pick)
    }

    /// Does all of `work` in one commit. Work that fails is taken out, and the rest done again without it: nothing that a
    /// failed unit has changed survives, and failures are rare.
    async fn commit(&self, mut work: Vec<Unit>) {
        'again: while !work.is_empty() {
            let mut txn = match self.begin().await {
                Ok(txn) => txn,
                Err(error) => return fail_all(work, &error),
            };
            for index in 0..work.len() {
                let done = AssertUnwindSafe(work[index].work.run(&mut txn)).catch_unwind().await;
                if let Err(error) = done.unwrap_or_else(|_| Err(Error::Internal("a unit of work panicked".into()))) {
                    if matches!(error, Error::Storage(StorageError::Stale)) {
                        *lock(&self.cache) = None;
                    } else {
                        work.remove(index).finish(Err(error));
                    }
                    continue 'again;
                }
            }
            if txn.is_clean() {
                match txn.is_current().await {
                    Ok(true) => return work.into_iter().for_each(|work| work.finish(Ok(()))),
                    Ok(false) => *lock(&self.cache) = None,
                    Err(error) => return fail_all(work, &error),
                }
                continue;
            }
            let (batch, cache, told) = txn.into_batch();
            match self.storage.apply(batch).await {
                Ok(()) => {
                    *lock(&self.snapshot) = cache.replica.clone();
                    *lock(&self.cache) = Some(cache);
                    self.notices.publish(told);
                    work.into_iter().for_each(|work| work.finish(Ok(())));
                    return;
                }
                Err(StorageError::Stale) => *lock(&self.cache) = None,
                Err(error) if work.len() == 1 => {
                    *lock(&self.cache) = None;
                    return fail_all(work, &Error::Storage(error));
                }
                // One unit may be too large for a nearly full disk; the others may fit.
                Err(_) => {
                    *lock(&self.cache) = None;
                    for single in work {
                        Box::pin(self.commit(vec![single])).await;
                    }
                    return;
                }
            }
        }
    }

    async fn begin(&self) -> Result<Txn> {
        let cached = lock(&self.cache).clone();
        let cache = match cached {
            Some(cache) => cache,
            None => load(&*self.storage, &self.environment).await?,
        };
        Ok(Txn::new(
            self.storage.clone(),
            self.environment.clone(),
            self.indexes.clone(),
            cache,
            self.notices.observed(),
        ))
    }
}

/// Reads the guard row, making it if the storage is empty.
async fn load(storage: &dyn Storage, environment: &SharedEnvironment) -> Result<Cache> {
    loop {
        if let Some(row) = storage.get(vec![keys::replica()]).await?.pop().flatten() {
            return Ok(Cache {
                replica: Arc::new(decode(&row.value)?),
                version: row.version,
                scopes: Default::default(),
            });
        }
        let fresh = ReplicaRow::new(DeviceId::generate(&**environment));
        let batch = Batch {
            expect: vec![(keys::replica(), 0)],
            put: vec![(keys::replica(), encode(&fresh))],
            ..Batch::default()
        };
        match storage.apply(batch).await {
            Ok(()) | Err(StorageError::Stale) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn fail_all(work: Vec<Unit>, error: &Error) {
    for work in work {
        work.finish(Err(match error {
            Error::Storage(error) => Error::Storage(error.clone()),
            other => Error::Internal(other.to_string()),
        }));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing is held across code that may panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
