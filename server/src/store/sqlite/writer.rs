//! The writer: whoever waits for it shares one transaction, each job in a savepoint of its own.
//!
//! The disk's flush dominates a small write. While one batch is flushed the next jobs gather, so that throughput grows with
//! the number of writers instead of the number of flushes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;
use unisono::Environment;

use super::connection::store_error;
use super::queue::FairQueue;
use super::reads::ScopeHandle;
use crate::store::{Durations, ScopeKey, StoreError, Verdict, WriteJob};

/// Most jobs in one transaction: bounds how long the first one waits for the last.
const MAX_BATCH: usize = 128;
/// How long a transaction takes on further jobs: those that are done wait for the rest.
const BATCH_TIME: Duration = Duration::from_millis(50);

type Answer = Result<(), StoreError>;

/// A job with its waiter.
pub(super) struct Request {
    pub(super) scope: ScopeKey,
    pub(super) job: WriteJob,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// The connection that writes, and the jobs that wait for it.
pub(super) struct Writer {
    /// `None` once closed.
    connection: Mutex<Option<Connection>>,
    queue: Mutex<Queue>,
    /// How long commits took, and how many failed.
    commits: Mutex<(Durations, u64)>,
}

#[derive(Default)]
struct Queue {
    waiting: FairQueue<Request>,
    /// Whether somebody is at work on them.
    attended: bool,
}

impl Writer {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection: Mutex::new(Some(connection)), queue: Mutex::default(), commits: Mutex::default() }
    }

    /// The connection, for work outside the queue (opening, closing, reading in memory).
    pub(super) fn connection(&self) -> MutexGuard<'_, Option<Connection>> {
        // A panic is caught before it can leave the connection in a transaction, so a poisoned lock says nothing.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job; `true` if the caller has to see to it that [`drain`](Self::drain) runs.
    ///
    /// # Errors
    /// `busy` if too many wait.
    pub(super) fn enqueue(&self, request: Request) -> Result<bool, StoreError> {
        let mut queue = self.queue();
        let scope = request.scope.clone();
        queue.waiting.push(&scope, request).map_err(|_| StoreError::Busy)?;
        Ok(!std::mem::replace(&mut queue.attended, true))
    }

    /// Answers all that wait.
    fn refuse_all(&self, error: &StoreError) {
        let mut waiting = std::mem::take(&mut self.queue().waiting);
        while let Some(request) = waiting.pop() {
            answer(request.answer, Err(error.clone()));
        }
    }

    /// How long commits took, and how many failed.
    pub(super) fn commits(&self) -> (Durations, u64) {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs jobs until none waits.
    pub(super) fn drain(&self, clock: &dyn Environment) {
        loop {
            let mut guard = self.connection();
            {
                let mut queue = self.queue();
                if queue.waiting.is_empty() {
                    queue.attended = false;
                    return;
                }
            }
            match guard.as_ref() {
                Some(connection) => self.run_batch(connection, clock),
                None => self.refuse_all(&StoreError::Closed),
            }
            // A connection that cannot even roll back would fail every later batch in an unclear state.
            if guard.as_ref().is_some_and(|connection| !connection.is_autocommit()) {
                *guard = None;
            }
        }
    }

    /// One transaction: the jobs that wait, and those that come while it runs.
    fn run_batch(&self, connection: &Connection, clock: &dyn Environment) {
        if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
            return self.refuse_all(&store_error(error));
        }
        let mut finished = Vec::new();
        let mut dirty = false;
        let opened = clock.monotonic();
        while finished.len() < MAX_BATCH && clock.monotonic().saturating_sub(opened) < BATCH_TIME {
            // Its own statement: the queue is not locked while the job runs.
            let next = self.queue().waiting.pop();
            let Some(Request { scope, job, answer }) = next else { break };
            let outcome = run_job(connection, &scope, job);
            dirty |= matches!(outcome, Ok(Verdict::Commit));
            finished.push((answer, outcome.map(drop)));
            if connection.is_autocommit() {
                // SQLite gave the whole transaction up (a full disk, for one): nothing of it is kept.
                let error = StoreError::Io("the shared transaction was rolled back".to_owned());
                return settle(finished, Some(&error));
            }
        }
        let begun = clock.monotonic();
        let end = connection.execute_batch(if dirty { "COMMIT" } else { "ROLLBACK" }).map_err(store_error);
        if dirty {
            let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
            commits.0.add(clock.monotonic().saturating_sub(begun));
            commits.1 += u64::from(end.is_err());
        }
        if end.is_err() && !connection.is_autocommit() {
            // Its failure shows in `is_autocommit`, which `drain` looks at.
            drop(connection.execute_batch("ROLLBACK"));
        }
        settle(finished, end.err().as_ref());
    }
}

/// Runs one job in a savepoint, which a refusal, an error or a panic rolls back.
fn run_job(connection: &Connection, scope: &ScopeKey, job: WriteJob) -> Result<Verdict, StoreError> {
    connection.execute_batch("SAVEPOINT job").map_err(store_error)?;
    let result = catch_unwind(AssertUnwindSafe(|| job(&mut ScopeHandle::new(connection, scope))))
        .unwrap_or_else(|_| Err(StoreError::Internal("it panicked".to_owned())));
    if connection.is_autocommit() {
        return Err(result.err().unwrap_or_else(|| StoreError::Io("the transaction was rolled back".to_owned())));
    }
    let end = match result {
        Ok(Verdict::Commit) => "RELEASE job",
        Ok(Verdict::Discard) | Err(_) => "ROLLBACK TO job; RELEASE job",
    };
    connection.execute_batch(end).map_err(store_error)?;
    result
}

/// Answers everyone; `common` is the failure of the shared transaction, which is everyone's who had none of their own.
fn settle(finished: Vec<(oneshot::Sender<Answer>, Answer)>, common: Option<&StoreError>) {
    for (waiter, outcome) in finished {
        answer(
            waiter,
            match common {
                Some(error) => outcome.and(Err(error.clone())),
                None => outcome,
            },
        );
    }
}

fn answer(waiter: oneshot::Sender<Answer>, outcome: Answer) {
    // A waiter that has gone does not stop its job; it only never hears of it.
    drop(waiter.send(outcome));
}
