//! Every unit of work is done once or told that it was not; a round's caller may go away, and a round may be dropped
//! half-way. (A panic takes the same path through the kernel as a drop; that a panic does is tested on the writer itself,
//! since loom's threads share the unwinding of one.)

use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use loom::future::block_on;
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use unisono::concurrency::{Crew, Rounds};
use unisono::platform::BoxFuture;
use unisono::platform::sync::oneshot;
use unisono_loom::{Executor, abandon_after, check, check_within, find_failure, pause};

/// A unit of work, and whom it tells.
struct Unit {
    /// The round that comes to it is dropped.
    fatal: bool,
    done: oneshot::Sender<()>,
}

#[derive(Default)]
struct Workers {
    executor: Executor,
    working: AtomicBool,
    /// The round under way is to be dropped.
    dying: AtomicBool,
    done: AtomicUsize,
    interrupted: AtomicUsize,
}

#[derive(Clone, Default)]
struct Hands(Arc<Workers>);

impl Hands {
    async fn do_all(&self, work: Vec<Unit>) {
        assert!(!self.0.working.swap(true, Ordering::Relaxed), "two rounds at a time");
        pause().await;
        for unit in work {
            if unit.fatal {
                self.0.dying.store(true, Ordering::Relaxed);
                pending::<()>().await;
            }
            self.0.done.fetch_add(1, Ordering::Relaxed);
            unit.done.send(()).ok();
        }
        self.0.working.store(false, Ordering::Relaxed);
    }
}

impl Crew for Hands {
    type Work = Unit;

    fn work(&self, work: Vec<Unit>) -> BoxFuture<'_, ()> {
        Box::pin(self.do_all(work))
    }

    fn interrupted(&self) {
        self.0.working.store(false, Ordering::Relaxed);
        self.0.interrupted.fetch_add(1, Ordering::Relaxed);
    }

    fn spawn(&self, mut task: BoxFuture<'static, ()>) {
        let workers = self.0.clone();
        self.0.executor.spawn(Box::pin(poll_fn(move |context| match task.as_mut().poll(context) {
            Poll::Pending if workers.dying.swap(false, Ordering::Relaxed) => Poll::Ready(()),
            poll => poll,
        })));
    }
}

/// What a writer needs of rounds.
trait Joins: Send + Sync + 'static {
    fn new(hands: Hands) -> Self;
    fn join(self: &Arc<Self>, unit: Unit) -> impl Future<Output = ()>;
}

impl Joins for Rounds<Hands> {
    fn new(hands: Hands) -> Self {
        Rounds::new(hands)
    }

    fn join(self: &Arc<Self>, unit: Unit) -> impl Future<Output = ()> {
        Rounds::join(self, unit)
    }
}

struct World<J> {
    hands: Hands,
    rounds: Arc<J>,
}

impl<J> Clone for World<J> {
    fn clone(&self) -> Self {
        Self { hands: self.hands.clone(), rounds: self.rounds.clone() }
    }
}

impl<J: Joins> World<J> {
    fn new() -> Self {
        let hands = Hands::default();
        Self { rounds: Arc::new(J::new(hands.clone())), hands }
    }

    /// Joins, runs what that spawned, and waits to be told; whether the work was done.
    fn work(&self, fatal: bool, waits: Option<usize>) -> bool {
        let (done, told) = oneshot::channel();
        let join = self.rounds.join(Unit { fatal, done });
        match waits {
            None => block_on(join),
            Some(waits) => block_on(abandon_after(waits, join)).unwrap_or_default(),
        }
        self.hands.0.executor.run();
        block_on(told).is_ok()
    }

    fn done(&self) -> usize {
        self.hands.0.done.load(Ordering::Relaxed)
    }
}

fn everyone_is_told<J: Joins>(callers: usize, waits: Option<usize>) {
    let world = World::<J>::new();
    let others: Vec<_> = (1..callers)
        .map(|_| {
            let world = world.clone();
            thread::spawn(move || assert!(world.work(false, None)))
        })
        .collect();
    assert!(world.work(false, waits), "a round that has begun is finished, its caller or not");
    others.into_iter().for_each(|other| other.join().unwrap());
    assert!(world.work(false, None), "the crew is idle again");
    assert_eq!(world.done(), callers + 1, "each unit is done once");
    assert_eq!(world.hands.0.interrupted.load(Ordering::Relaxed), 0);
}

#[test]
fn every_unit_is_done_once_and_its_caller_told() {
    check("rounds: 2 callers", || everyone_is_told::<Rounds<Hands>>(2, None));
    check_within("rounds: 3 callers", 2, || everyone_is_told::<Rounds<Hands>>(3, None));
}

#[test]
fn b54_a_round_goes_on_without_its_caller() {
    for waits in 0..3 {
        check(&format!("rounds: a caller that goes away after {waits} waits"), move || {
            everyone_is_told::<Rounds<Hands>>(2, Some(waits));
        });
    }
}

/// One caller goes away while its round runs; the other is told that its work was done.
fn the_other_is_told<J: Joins>() {
    let world = World::<J>::new();
    let leaving = thread::spawn({
        let world = world.clone();
        move || {
            let (done, _told) = oneshot::channel();
            block_on(abandon_after(0, world.rounds.join(Unit { fatal: false, done }))).unwrap_or_default();
            world.hands.0.executor.run();
        }
    });
    assert!(world.work(false, None));
    leaving.join().unwrap();
}

#[test]
fn b54_whoever_came_during_the_round_of_one_who_goes_away_is_told() {
    check("rounds: the other of one who goes away", the_other_is_told::<Rounds<Hands>>);
}

/// The round of one caller's unit is dropped: it is told, and whoever came meanwhile has a round.
fn a_round_is_dropped(callers: usize) {
    let world = World::<Rounds<Hands>>::new();
    let threads: Vec<_> = (1..callers)
        .map(|caller| {
            let world = world.clone();
            thread::spawn(move || world.work(caller == 1, Some(0)))
        })
        .collect();
    let own = world.work(false, Some(0));
    let mut told: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(!told.remove(0), "the fatal unit is not done");
    told.push(own);
    assert_eq!(world.done(), told.into_iter().filter(|done| *done).count(), "what each was told is what happened");
    assert_eq!(world.hands.0.interrupted.load(Ordering::Relaxed), 1);
    assert!(world.work(false, None), "the crew is idle again");
}

#[test]
fn b10_a_round_that_is_dropped_leaves_nobody_waiting() {
    check("rounds: a round dropped half-way", || a_round_is_dropped(2));
    check_within("rounds: a round dropped half-way, 3 callers", 2, || a_round_is_dropped(3));
}

#[test]
fn b10_an_executor_that_ends_leaves_nobody_waiting() {
    check("rounds: the executor ends", || {
        let world = World::<Rounds<Hands>>::new();
        let shutting_down = thread::spawn({
            let world = world.clone();
            move || {
                let (done, told) = oneshot::channel();
                block_on(abandon_after(1, world.rounds.join(Unit { fatal: false, done }))).unwrap_or_default();
                world.hands.0.executor.end();
                block_on(told).is_ok()
            }
        });
        let told = [world.work(false, None), shutting_down.join().unwrap()];
        assert_eq!(world.done(), told.into_iter().filter(|done| *done).count(), "what each was told is what happened");
        // There is no executor any more; callers who poll for themselves go on.
        assert!(world.work(false, None));
    });
}

/// Broken: sees that nothing waits, and says that it has stopped, in two steps.
struct TwoSteps {
    hands: Hands,
    waiting: Mutex<VecDeque<Unit>>,
    running: AtomicBool,
}

impl Joins for TwoSteps {
    fn new(hands: Hands) -> Self {
        Self { hands, waiting: Mutex::default(), running: AtomicBool::new(false) }
    }

    async fn join(self: &Arc<Self>, unit: Unit) {
        self.waiting.lock().unwrap().push_back(unit);
        if self.running.swap(true, Ordering::AcqRel) {
            return;
        }
        loop {
            let work: Vec<_> = self.waiting.lock().unwrap().drain(..).collect();
            self.hands.do_all(work).await;
            if self.waiting.lock().unwrap().is_empty() {
                break;
            }
        }
        self.running.store(false, Ordering::Release);
    }
}

#[test]
fn a_look_and_a_stop_in_two_steps_are_caught() {
    find_failure(
        "rounds::a_look_and_a_stop_in_two_steps_are_caught",
        "rounds, broken: looks and stops in two steps",
        || everyone_is_told::<TwoSteps>(2, None),
    );
}

/// Broken: a round that is dropped says that it has stopped, and leaves those who wait to the next caller.
struct NoHandOver {
    hands: Hands,
    queue: Mutex<(VecDeque<Unit>, bool)>,
}

struct Unstick<'a>(&'a NoHandOver);

impl Drop for Unstick<'_> {
    fn drop(&mut self) {
        self.0.hands.interrupted();
        self.0.queue.lock().unwrap().1 = false;
    }
}

impl Joins for NoHandOver {
    fn new(hands: Hands) -> Self {
        Self { hands, queue: Mutex::default() }
    }

    async fn join(self: &Arc<Self>, unit: Unit) {
        {
            let mut queue = self.queue.lock().unwrap();
            queue.0.push_back(unit);
            if std::mem::replace(&mut queue.1, true) {
                return;
            }
        }
        loop {
            let unstick = Unstick(self);
            let work: Vec<_> = self.queue.lock().unwrap().0.drain(..).collect();
            self.hands.do_all(work).await;
            std::mem::forget(unstick);
            let mut queue = self.queue.lock().unwrap();
            queue.1 = !queue.0.is_empty();
            if !queue.1 {
                return;
            }
        }
    }
}

#[test]
fn a_dropped_round_that_leaves_others_waiting_is_caught() {
    find_failure(
        "rounds::a_dropped_round_that_leaves_others_waiting_is_caught",
        "rounds, broken: no hand-over",
        || {
            the_other_is_told::<NoHandOver>();
        },
    );
}
