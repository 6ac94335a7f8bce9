//! Closed once, whoever asks and whoever gives up; and nobody is told so before it is true.

use std::sync::Arc;

use loom::future::block_on;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use unisono::concurrency::Closing;
use unisono_loom::{abandon_after, check, find_failure, pause};

/// What a client needs to be closed.
trait Closes: Default + Send + Sync + 'static {
    fn has_begun(&self) -> bool;
    fn run<F: Future<Output = Result<(), ()>>>(
        &self,
        close: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<(), ()>>;
}

impl Closes for Closing {
    fn has_begun(&self) -> bool {
        Closing::has_begun(self)
    }

    fn run<F: Future<Output = Result<(), ()>>>(
        &self,
        close: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<(), ()>> {
        Closing::run(self, close)
    }
}

#[derive(Default)]
struct House<C> {
    closing: C,
    closed: AtomicUsize,
}

impl<C: Closes> House<C> {
    async fn close(&self) {
        let close = || async {
            pause().await;
            self.closed.fetch_add(1, Ordering::Relaxed);
            pause().await;
            Ok(())
        };
        self.closing.run(close).await.unwrap();
        assert!(self.closed.load(Ordering::Relaxed) > 0, "told before it was closed");
        assert!(self.closing.has_begun());
    }
}

/// One caller gives up after `waits`, another does not.
fn two_callers<C: Closes>(waits: usize) {
    let house = Arc::new(House::<C>::default());
    let impatient = thread::spawn({
        let house = house.clone();
        move || block_on(abandon_after(waits, house.close())).is_some()
    });
    block_on(house.close());
    let stayed = impatient.join().unwrap();
    block_on(house.close());
    let closed = house.closed.load(Ordering::Relaxed);
    // Given up between the deed and its note, it is done anew: so it must bear that, as the storage's close does.
    assert!(closed == 1 || closed == 2 && !stayed, "closed {closed} times");
}

#[test]
fn whoever_returns_finds_it_closed_and_a_caller_who_gives_up_leaves_it_to_the_next() {
    for waits in 0..4 {
        check(&format!("closing: a caller that gives up after {waits} waits"), move || two_callers::<Closing>(waits));
    }
}

/// Broken: a flag alone. The second caller is told at once, and the first may never have come to the end.
#[derive(Default)]
struct Flag(AtomicBool);

impl Closes for Flag {
    fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    async fn run<F: Future<Output = Result<(), ()>>>(&self, close: impl FnOnce() -> F) -> Result<(), ()> {
        if self.0.swap(true, Ordering::AcqRel) { Ok(()) } else { close().await }
    }
}

#[test]
fn a_flag_alone_is_caught() {
    find_failure("closing::a_flag_alone_is_caught", "closing, broken: a flag alone", || two_callers::<Flag>(0));
}
