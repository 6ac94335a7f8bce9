//! Shared commits: who comes while a commit runs waits in line, and the next commit takes the whole line.
//!
//! There is at most one [`Turn`] at a time. Whoever submits while there is none gets it and writes on its own thread, with
//! no hop. When its commit is done, the turn goes to the first in line, who writes the batches of all who have come
//! meanwhile: so nobody writes for others after its own batch is done, and nothing runs in the background. A turn is
//! passed on by its drop, so that neither a cancelled caller nor a panic can lose it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::platform::sync::{Mutex, MutexGuard, lock, oneshot};

/// Most batches in one commit, so that the first of them does not wait for ever.
const MAX_SHARED: usize = 512;

/// The line, of batches `B` with outcomes `O`.
#[derive(Debug)]
pub struct CommitQueue<B, O> {
    line: Mutex<Line<B, O>>,
}

#[derive(Debug)]
struct Line<B, O> {
    /// Somebody has the turn.
    taken: bool,
    waiting: VecDeque<Waiting<B, O>>,
}

#[derive(Debug)]
struct Waiting<B, O> {
    batch: B,
    caller: oneshot::Sender<Answer<B, O>>,
}

/// What a caller in line hears.
#[derive(Debug)]
pub enum Answer<B, O> {
    /// Its batch was committed with others, or refused.
    Done(O),
    /// It is first in line.
    Yours(Turn<B, O>),
}

/// The place of a submitted batch.
#[derive(Debug)]
pub enum Place<B, O> {
    /// Nobody writes: go ahead.
    First(Turn<B, O>),
    /// Wait for the answer. A closed channel says that the writer did not come back.
    InLine(oneshot::Receiver<Answer<B, O>>),
}

/// The right to write, with the holder's own batch.
#[derive(Debug)]
pub struct Turn<B, O> {
    batch: B,
    right: Right<B, O>,
}

impl<B, O> Default for CommitQueue<B, O> {
    fn default() -> Self {
        Self { line: Mutex::new(Line { taken: false, waiting: VecDeque::new() }) }
    }
}

impl<B, O> CommitQueue<B, O> {
    /// Submits `batch`. Batches are written in the order of these calls.
    pub fn submit(self: &Arc<Self>, batch: B) -> Place<B, O> {
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

    fn lock(&self) -> MutexGuard<'_, Line<B, O>> {
        lock(&self.line)
    }

    fn take_line(&self, most: usize) -> Vec<Waiting<B, O>> {
        let mut line = self.lock();
        let most = most.min(line.waiting.len());
        line.waiting.drain(..most).collect()
    }
}

impl<B, O> Turn<B, O> {
    /// Writes the holder's batch and those of all in line with `commit`, which returns an outcome for each in order; tells
    /// each, and passes the turn on. `None` if there was no outcome for the holder's.
    pub fn take(self, commit: impl FnOnce(&[B]) -> Vec<O>) -> Option<O> {
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
        let own = outcomes.next();
        for (caller, outcome) in callers.into_iter().zip(outcomes) {
            // A caller who has been cancelled does not want to know.
            drop(caller.send(Answer::Done(outcome)));
        }
        drop(right);
        own
    }
}

/// Passes the turn on when dropped.
#[derive(Debug)]
struct Right<B, O>(Option<Arc<CommitQueue<B, O>>>);

impl<B, O> Right<B, O> {
    fn queue(&self) -> Option<&Arc<CommitQueue<B, O>>> {
        self.0.as_ref()
    }
}

impl<B, O> Drop for Right<B, O> {
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

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    type Outcome = Result<(), &'static str>;
    type Queue = Arc<CommitQueue<u16, Outcome>>;
    type Caller = oneshot::Receiver<Answer<u16, Outcome>>;

    fn first(queue: &Queue, n: u16) -> Turn<u16, Outcome> {
        match queue.submit(n) {
            Place::First(turn) => turn,
            Place::InLine(_) => panic!("nobody has the turn"),
        }
    }

    fn in_line(queue: &Queue, n: u16) -> Caller {
        match queue.submit(n) {
            Place::First(_) => panic!("somebody has the turn"),
            Place::InLine(answer) => answer,
        }
    }

    fn turn(mut answer: Caller) -> Turn<u16, Outcome> {
        match answer.try_recv() {
            Ok(Answer::Yours(turn)) => turn,
            other => panic!("expected the turn, not {other:?}"),
        }
    }

    fn outcome(mut answer: Caller) -> Outcome {
        match answer.try_recv() {
            Ok(Answer::Done(outcome)) => outcome,
            other => panic!("expected an outcome, not {other:?}"),
        }
    }

    /// All pass.
    fn pass(batches: &[u16]) -> Vec<Outcome> {
        vec![Ok(()); batches.len()]
    }

    #[test]
    fn one_commit_takes_all_who_came_before_it_and_tells_each_its_own_outcome() {
        let queue = Queue::default();
        let turn = first(&queue, 1);
        let (second, third) = (in_line(&queue, 2), in_line(&queue, 3));
        let own = turn.take(|batches| {
            assert_eq!(batches, [1, 2, 3]);
            vec![Ok(()), Err("stale"), Ok(())]
        });
        assert_eq!((own, outcome(second), outcome(third)), (Some(Ok(())), Err("stale"), Ok(())));
        assert_eq!(first(&queue, 4).take(pass), Some(Ok(())), "the line is empty again");
    }

    #[test]
    fn who_comes_during_a_commit_writes_the_next_one() {
        let queue = Queue::default();
        let mut late = Vec::new();
        let own = first(&queue, 1).take(|batches| {
            late = vec![in_line(&queue, 2), in_line(&queue, 3)];
            pass(batches)
        });
        assert_eq!(own, Some(Ok(())));
        let third = late.pop().unwrap();
        let next = turn(late.pop().unwrap()).take(|batches| {
            assert_eq!(batches, [2, 3]);
            pass(batches)
        });
        assert_eq!((next, outcome(third)), (Some(Ok(())), Ok(())));
    }

    #[test]
    fn b54_a_caller_cancelled_in_line_is_skipped_and_its_batch_never_happens() {
        let queue = Queue::default();
        let turn_of_first = first(&queue, 1);
        let own = turn_of_first.take(|batches| {
            drop(in_line(&queue, 2));
            drop(in_line(&queue, 3));
            pass(batches)
        });
        assert_eq!(own, Some(Ok(())));
        assert_eq!(first(&queue, 4).take(pass), Some(Ok(())), "nobody is left with the turn");
    }

    #[test]
    fn b54_a_caller_cancelled_with_the_turn_in_its_mailbox_passes_it_on() {
        let queue = Queue::default();
        let mut late = Vec::new();
        let own = first(&queue, 1).take(|batches| {
            late = vec![in_line(&queue, 2), in_line(&queue, 3), in_line(&queue, 4)];
            pass(batches)
        });
        assert_eq!(own, Some(Ok(())));
        let (fourth, third, second) = (late.pop().unwrap(), late.pop().unwrap(), late.pop().unwrap());
        drop(second);
        drop(turn(third));
        let own = turn(fourth).take(|batches| {
            assert_eq!(batches, [4]);
            pass(batches)
        });
        assert_eq!(own, Some(Ok(())));
        assert_eq!(first(&queue, 5).take(pass), Some(Ok(())));
    }

    #[test]
    fn b10_a_commit_that_panics_does_not_stop_the_line() {
        let queue = Queue::default();
        let turn_of_first = first(&queue, 1);
        let mut shared = in_line(&queue, 2);
        let mut late = None;
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            turn_of_first.take(|_| {
                late = Some(in_line(&queue, 3));
                panic!("a defect")
            })
        }));
        assert!(panicked.is_err());
        assert!(shared.try_recv().is_err(), "its outcome is unknown, and it is told so by the closed channel");
        assert_eq!(turn(late.unwrap()).take(pass), Some(Ok(())));
    }

    #[test]
    fn a_commit_is_bounded() {
        let queue = Queue::default();
        let turn_of_first = first(&queue, 0);
        let mut line: VecDeque<_> = (0..MAX_SHARED).map(|n| in_line(&queue, n as u16)).collect();
        let own = turn_of_first.take(|batches| {
            assert_eq!(batches.len(), MAX_SHARED);
            pass(batches)
        });
        assert_eq!(own, Some(Ok(())));
        let last = line.pop_back().unwrap();
        assert!(line.into_iter().all(|answer| outcome(answer) == Ok(())));
        assert_eq!(turn(last).take(pass), Some(Ok(())));
    }
}
