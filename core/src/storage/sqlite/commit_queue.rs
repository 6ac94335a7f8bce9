//! Shared commits: who comes while a commit runs waits in line, and the next commit takes the whole line.
//!
//! There is at most one [`Turn`] at a time. Whoever submits while there is none gets it and writes on its own thread, with
//! no hop. When its commit is done, the turn goes to the first in line, who writes the batches of all who have come
//! meanwhile: so nobody writes for others after its own batch is done, and nothing runs in the background. A turn is
//! passed on by its drop, so that neither a cancelled caller nor a panic can lose it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::storage::{Batch, StorageError};

/// What became of one batch.
pub(super) type Outcome = Result<(), StorageError>;

/// Most batches in one commit, so that the first of them does not wait for ever.
const MAX_SHARED: usize = 512;

/// The line.
#[derive(Debug, Default)]
pub(super) struct CommitQueue {
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    /// Somebody has the turn.
    taken: bool,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    batch: Batch,
    caller: oneshot::Sender<Answer>,
}

/// What a caller in line hears.
#[derive(Debug)]
pub(super) enum Answer {
    /// Its batch was committed with others, or refused.
    Done(Outcome),
    /// It is first in line.
    Yours(Turn),
}

/// The place of a submitted batch.
#[derive(Debug)]
pub(super) enum Place {
    /// Nobody writes: go ahead.
    First(Turn),
    /// Wait for the answer.
    InLine(oneshot::Receiver<Answer>),
}

/// The right to write, with the holder's own batch.
#[derive(Debug)]
pub(super) struct Turn {
    batch: Batch,
    right: Right,
}

impl CommitQueue {
    /// Submits `batch`. Batches are written in the order of these calls.
    pub(super) fn submit(self: &Arc<Self>, batch: Batch) -> Place {
        let mut line = self.lock();
        if line.taken {
            let (caller, answer) = oneshot::channel();
            line.waiting.push_back(Waiting { batch, caller });
            Place::InLine(answer)
        } else {
            line.taken = true;
            Place::First(Turn { batch, right: Right(Some(Arc::clone(self))) })
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // Each critical section is one or two moves; a panic elsewhere leaves the line whole.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_line(&self, most: usize) -> Vec<Waiting> {
        let mut line = self.lock();
        let most = most.min(line.waiting.len());
        line.waiting.drain(..most).collect()
    }
}

impl Turn {
    /// Writes the holder's batch and those of all in line with `commit`, which returns an outcome for each in order; tells
    /// each, and passes the turn on.
    pub(super) fn take(self, commit: impl FnOnce(&[Batch]) -> Vec<Outcome>) -> Outcome {
        let Self { batch, right } = self;
        let waiting = right.queue().map_or_else(Vec::new, |queue| queue.take_line(MAX_SHARED - 1));
        let mut batches = Vec::with_capacity(1 + waiting.len());
        let mut callers = Vec::with_capacity(waiting.len());
        batches.push(batch);
        for Waiting { batch, caller } in waiting {
            batches.push(batch);
            callers.push(caller);
        }
        let mut outcomes = commit(&batches).into_iter();
        let own = outcomes.next().unwrap_or_else(|| Err(interrupted()));
        for (caller, outcome) in callers.into_iter().zip(outcomes) {
            // A caller who has been cancelled does not want to know.
            drop(caller.send(Answer::Done(outcome)));
        }
        drop(right);
        own
    }
}

/// What a caller hears whose writer did not come back.
pub(super) fn interrupted() -> StorageError {
    StorageError::Io("the commit was interrupted".into())
}

/// Passes the turn on when dropped.
#[derive(Debug)]
struct Right(Option<Arc<CommitQueue>>);

impl Right {
    fn queue(&self) -> Option<&Arc<CommitQueue>> {
        self.0.as_ref()
    }
}

impl Drop for Right {
    fn drop(&mut self) {
        let Some(queue) = self.0.take() else { return };
        loop {
            let mut line = queue.lock();
            let Some(Waiting { batch, caller }) = line.waiting.pop_front() else {
                line.taken = false;
                return;
            };
            drop(line);
            let turn = Turn { batch, right: Right(Some(Arc::clone(&queue))) };
            match caller.send(Answer::Yours(turn)) {
                // Cancelled before its turn came: its batch never happens.
                Err(Answer::Yours(mut turn)) => turn.right.0 = None,
                Ok(()) | Err(Answer::Done(_)) => return,
            }
        }
    }
}
