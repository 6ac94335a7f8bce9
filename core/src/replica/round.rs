//! The writer: units of work one after the other, the waiting ones together in one commit.
//!
//! Whoever finds the writer idle runs a round: it takes all work that waits, does it on one [`Txn`], and commits. Work that
//! arrives meanwhile makes the next round. So a lone writer pays for no hand-over, and many share a commit.
//!
//! A round that has begun is always finished: if its caller's future is dropped, it goes on in the background.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::notice::Notices;
use super::rows::ReplicaRow;
use super::txn::{Cache, Txn, decode, encode};
use super::{keys, reader::Replica};
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
    snapshot: Mutex<ReplicaRow>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Box<dyn Work>>,
    running: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("waiting", &self.waiting.len()).field("running", &self.running).finish()
    }
}

/// A unit of work in the queue. It may run more than once before it is committed.
trait Work: MaybeSend {
    fn run<'t>(&'t mut self, txn: &'t mut Txn) -> BoxFuture<'t, Result<()>>;
    fn finish(self: Box<Self>, result: Result<()>);
}

struct Job<T, F> {
    body: F,
    output: Option<T>,
    caller: oneshot::Sender<Result<T>>,
}

impl<T, F> Work for Job<T, F>
where
    T: MaybeSend,
    F: for<'t> FnMut(&'t mut Txn) -> BoxFuture<'t, Result<T>> + MaybeSend,
{
    fn run<'t>(&'t mut self, txn: &'t mut Txn) -> BoxFuture<'t, Result<()>> {
        Box::pin(async move {
            self.output = Some((self.body)(txn).await?);
            Ok(())
        })
    }

    fn finish(self: Box<Self>, result: Result<()>) {
        let output = match (result, self.output) {
            (Ok(()), Some(output)) => Ok(output),
            (Ok(()), None) => Err(Error::Internal("work was committed without having run".into())),
            (Err(error), _) => Err(error),
        };
        // A caller that went away does not want to know.
        drop(self.caller.send(output));
    }
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
            queue: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
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
        let (caller, result) = oneshot::channel();
        let idle = {
            let mut queue = lock(&self.shared.queue);
            queue.waiting.push_back(Box::new(Job { body, output: None, caller }));
            !std::mem::replace(&mut queue.running, true)
        };
        if idle {
            let round = Box::pin(Shared::round(self.shared.clone()));
            Finishing { environment: self.shared.environment.clone(), future: Some(round) }.await;
        }
        result.await.map_err(|_| Error::Internal("the writer dropped a unit of work".into()))?
    }
}

/// Waits for one turn of whoever polls.
async fn let_others_in() {
    let mut waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs a future; if it is dropped before the end, the rest runs in the background.
struct Finishing {
    environment: SharedEnvironment,
    future: Option<BoxFuture<'static, ()>>,
}

impl Future for Finishing {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(future) = &mut self.future else { return Poll::Ready(()) };
        let poll = future.as_mut().poll(context);
        if poll.is_ready() {
            self.future = None;
        }
        poll
    }
}

impl Drop for Finishing {
    fn drop(&mut self) {
        if let Some(future) = self.future.take() {
            self.environment.spawn(future);
        }
    }
}

impl Shared {
    pub(super) fn snapshot(&self) -> ReplicaRow {
        lock(&self.snapshot).clone()
    }

    pub(super) fn cache(&self) -> Option<Cache> {
        lock(&self.cache).clone()
    }

    /// One round; what arrived meanwhile goes on in the background.
    async fn round(shared: Arc<Self>) {
        // Writers that are polled beside this one, in the same task (`join_all`), get to say what they want: a round that
        // began at once would keep the thread until its commit is durable, and so would each of theirs.
        let_others_in().await;
        if shared.next_round().await {
            let rest = shared.clone();
            shared.environment.spawn(Box::pin(async move { while rest.next_round().await {} }));
        }
    }

    /// Runs the waiting work; returns whether there is more.
    async fn next_round(&self) -> bool {
        let _unstick = Unstick(self);
        let work: Vec<_> = lock(&self.queue).waiting.drain(..).collect();
        self.commit(work).await;
        let mut queue = lock(&self.queue);
        queue.running = !queue.waiting.is_empty();
        queue.running
    }

    /// Does all of `work` in one commit. Work that fails is taken out, and the rest done again without it: nothing that a
    /// failed unit has changed survives, and failures are rare.
    async fn commit(&self, mut work: Vec<Box<dyn Work>>) {
        'again: while !work.is_empty() {
            let mut txn = match self.begin().await {
                Ok(txn) => txn,
                Err(error) => return fail_all(work, &error),
            };
            for index in 0..work.len() {
                if let Err(error) = work[index].run(&mut txn).await {
                    if matches!(error, Error::Storage(StorageError::Stale)) {
                        *lock(&self.cache) = None;
                    } else {
                        work.remove(index).finish(Err(error));
                    }
                    continue 'again;
                }
            }
            let (batch, cache, notices) = txn.into_batch();
            match self.storage.apply(batch).await {
                Ok(()) => {
                    *lock(&self.snapshot) = cache.replica.clone();
                    *lock(&self.cache) = Some(cache);
                    self.notices.publish(notices);
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
        let cached = self.cache();
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
                replica: decode(&row.value)?,
                version: row.version,
                scopes: Default::default(),
                digests: Default::default(),
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

/// Lets the next caller begin a round if this one panics; the panicking unit's caller gets `internal`.
struct Unstick<'a>(&'a Shared);

impl Drop for Unstick<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            *lock(&self.0.cache) = None;
            lock(&self.0.queue).running = false;
        }
    }
}

fn fail_all(work: Vec<Box<dyn Work>>, error: &Error) {
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
