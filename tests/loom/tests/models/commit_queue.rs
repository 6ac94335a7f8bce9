//! Every batch that is accepted is answered once and written once; no batch is lost with its leader.

use std::sync::Arc;

use loom::future::block_on;
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use unisono::concurrency::{Answer, CommitQueue, Place};
use unisono::platform::sync::oneshot;
use unisono_loom::{abandon_after, check, check_within, find_failure, pause};

type Outcome = Result<(), u8>;

/// The disk: one commit at a time; the outcome of a batch is its number, so that a swapped answer is seen.
#[derive(Default)]
struct Disk {
    writing: AtomicBool,
    written: Mutex<Vec<u8>>,
}

impl Disk {
    fn commit(&self, batches: &[u8]) -> Vec<Outcome> {
        assert!(!self.writing.swap(true, Ordering::Relaxed), "two commits at a time");
        self.written.lock().unwrap().extend(batches);
        self.writing.store(false, Ordering::Relaxed);
        batches.iter().map(|batch| Err(*batch)).collect()
    }
}

/// What a storage needs of a queue of commits.
trait Queues: Default + Send + Sync + 'static {
    fn apply(self: &Arc<Self>, disk: &Disk, batch: u8) -> impl Future<Output = Option<Outcome>>;
}

impl Queues for CommitQueue<u8, Outcome> {
    async fn apply(self: &Arc<Self>, disk: &Disk, batch: u8) -> Option<Outcome> {
        let turn = match self.submit(batch) {
            Place::First(turn) => turn,
            Place::InLine(answer) => match answer.await.ok()? {
                Answer::Yours(turn) => turn,
                Answer::Done(outcome) => return Some(outcome),
            },
        };
        // As `Environment::blocking`: the holder of the turn may go away before its commit begins.
        pause().await;
        turn.take(|batches| disk.commit(batches))
    }
}

/// Writers in threads of their own, and one here that goes away after `waits`.
fn writers<Q: Queues>(writers: u8, waits: Option<usize>) {
    let (queue, disk) = (Arc::new(Q::default()), Arc::new(Disk::default()));
    let threads: Vec<_> = (1..=writers)
        .map(|batch| {
            let (queue, disk) = (queue.clone(), disk.clone());
            thread::spawn(move || {
                assert_eq!(block_on(queue.apply(&disk, batch)), Some(Err(batch)), "each hears of its own batch");
            })
        })
        .collect();
    let left = match waits {
        Some(waits) => block_on(abandon_after(waits, queue.apply(&disk, 0))).is_none(),
        None => block_on(queue.apply(&disk, 0)).is_none(),
    };
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(block_on(queue.apply(&disk, 9)), Some(Err(9)), "nobody is left with the turn");
    let mut written = disk.written.lock().unwrap().clone();
    written.sort_unstable();
    let of_own = written.iter().filter(|batch| **batch == 0).count();
    assert!(of_own == 1 || left && of_own == 0);
    written.retain(|batch| *batch != 0);
    let expected: Vec<u8> = (1..=writers).chain([9]).collect();
    assert_eq!(written, expected, "each batch is written once");
}

#[test]
fn b54_every_batch_is_written_once_and_answered_with_its_own_outcome() {
    check("commit queue: 2 writers", || writers::<CommitQueue<u8, Outcome>>(1, None));
    check_within("commit queue: 3 writers", 3, || writers::<CommitQueue<u8, Outcome>>(2, None));
}

#[test]
fn b54_a_writer_that_goes_away_passes_its_turn_on() {
    for waits in 0..2 {
        check(&format!("commit queue: a writer that goes away after {waits} waits"), move || {
            writers::<CommitQueue<u8, Outcome>>(1, Some(waits));
        });
        check_within(&format!("commit queue: a writer that goes away after {waits} waits, 2 stay"), 2, move || {
            writers::<CommitQueue<u8, Outcome>>(2, Some(waits));
        });
    }
}

/// Broken: the turn is a message; if its receiver has gone, so has the turn.
#[derive(Default)]
struct TurnIsAMessage {
    /// Whether somebody has the turn, and who waits.
    line: Mutex<(bool, Vec<Waiting>)>,
}

/// A batch and its caller, who is told its outcome, or nothing: then it has the turn.
type Waiting = (u8, oneshot::Sender<Option<Outcome>>);

impl Queues for TurnIsAMessage {
    async fn apply(self: &Arc<Self>, disk: &Disk, batch: u8) -> Option<Outcome> {
        let answer = {
            let mut line = self.line.lock().unwrap();
            if std::mem::replace(&mut line.0, true) {
                let (caller, answer) = oneshot::channel();
                line.1.push((batch, caller));
                Some(answer)
            } else {
                None
            }
        };
        if let Some(answer) = answer
            && let Some(outcome) = answer.await.ok()?
        {
            return Some(outcome);
        }
        let own = disk.commit(&[batch]).pop();
        let mut line = self.line.lock().unwrap();
        if line.1.is_empty() {
            line.0 = false;
        } else {
            line.1.remove(0).1.send(None).ok();
        }
        own
    }
}

#[test]
fn a_turn_that_is_lost_with_its_receiver_is_caught() {
    find_failure(
        "commit_queue::a_turn_that_is_lost_with_its_receiver_is_caught",
        "commit queue, broken: the turn is a message",
        || writers::<TurnIsAMessage>(1, Some(0)),
    );
}
