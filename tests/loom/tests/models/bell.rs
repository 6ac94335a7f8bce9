//! A ring is never lost, whenever it comes.

use std::sync::Arc;
use std::task::{Poll, Waker};

use loom::future::block_on;
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use unisono::concurrency::Bell;
use unisono_loom::{abandon_after, check, check_within, find_failure};

/// What a worker needs of a bell.
trait Rings: Default + Send + Sync + 'static {
    fn ring(&self);
    fn heard(&self) -> impl Future<Output = ()>;
}

impl Rings for Bell {
    fn ring(&self) {
        Bell::ring(self);
    }

    fn heard(&self) -> impl Future<Output = ()> {
        Bell::heard(self)
    }
}

/// Each writer writes, then rings; the worker waits, then looks, until it has seen all writes. A lost ring is a deadlock.
fn worker_sees_all_writes<B: Rings>(writers: usize, abandoned_waits: usize) {
    let (bell, written) = (Arc::new(B::default()), Arc::new(AtomicUsize::new(0)));
    let threads: Vec<_> = (0..writers)
        .map(|_| {
            let (bell, written) = (bell.clone(), written.clone());
            thread::spawn(move || {
                written.fetch_add(1, Ordering::Relaxed);
                bell.ring();
            })
        })
        .collect();
    for _ in 0..abandoned_waits {
        // The interval ended first: what the dropped wait had heard, the next one hears.
        block_on(abandon_after(0, bell.heard()));
        if written.load(Ordering::Relaxed) == writers {
            break;
        }
    }
    while written.load(Ordering::Relaxed) < writers {
        block_on(bell.heard());
    }
    threads.into_iter().for_each(|writer| writer.join().unwrap());
}

#[test]
fn b10_no_ring_is_lost_between_the_look_and_the_wait() {
    check("bell: a writer, a worker", || worker_sees_all_writes::<Bell>(1, 0));
    check_within("bell: 2 writers, a worker", 3, || worker_sees_all_writes::<Bell>(2, 0));
}

#[test]
fn b10_no_ring_is_lost_with_a_wait_that_is_given_up() {
    check("bell: a wait given up", || worker_sees_all_writes::<Bell>(1, 1));
    check_within("bell: a wait given up, 2 writers", 3, || worker_sees_all_writes::<Bell>(2, 1));
}

#[test]
fn whoever_hears_an_urgent_ring_knows_that_it_is_urgent() {
    check("bell: urgency", || {
        let bell = Arc::new(Bell::default());
        let ringing = thread::spawn({
            let bell = bell.clone();
            move || bell.ring_urgently()
        });
        block_on(bell.heard());
        assert!(bell.is_urgent());
        assert!(bell.take_urgent());
        assert!(!bell.take_urgent(), "it is told once");
        ringing.join().unwrap();
    });
}

/// Broken: a ring wakes who waits, and is not kept for who is about to.
#[derive(Default)]
struct Forgetful {
    waiting: Mutex<Option<Waker>>,
}

impl Rings for Forgetful {
    fn ring(&self) {
        let waiting = self.waiting.lock().unwrap().take();
        waiting.into_iter().for_each(Waker::wake);
    }

    fn heard(&self) -> impl Future<Output = ()> {
        let mut registered = false;
        std::future::poll_fn(move |context| {
            let mut waiting = self.waiting.lock().unwrap();
            if registered && waiting.is_none() {
                return Poll::Ready(());
            }
            registered = true;
            *waiting = Some(context.waker().clone());
            Poll::Pending
        })
    }
}

#[test]
fn a_bell_that_forgets_rings_is_caught() {
    find_failure("bell::a_bell_that_forgets_rings_is_caught", "bell, broken: a ring is not kept", || {
        worker_sees_all_writes::<Forgetful>(1, 0);
    });
}
