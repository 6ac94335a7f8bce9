//! The world as the core sees it: clock, timer, randomness, tasks, threads.
//!
//! Everything that makes a run differ from another goes through [`Environment`], so that a simulation which replaces it
//! replays a run exactly. It is also the list of what a test has to fake.

use std::fmt::Debug;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::platform::{BlockingJob, BoxFuture, MaybeSend, MaybeSync};

/// Clock, timer, randomness and execution.
///
/// The core keeps no other contact with time or chance.
pub trait Environment: Debug + MaybeSend + MaybeSync + 'static {
    /// Wall clock in milliseconds since the Unix epoch. May be wrong and may jump in both directions.
    fn now_ms(&self) -> u64;

    /// Time since an arbitrary start; never goes back. May stand still while the machine sleeps.
    fn monotonic(&self) -> Duration;

    /// Fills `buffer` with random bytes, fit for identifiers.
    fn random(&self, buffer: &mut [u8]);

    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Runs `task` to its end in the background.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Runs `job`, which may wait for a disk, without holding up other tasks: on a thread in production, inline in a
    /// simulation. Completes when the job has run (or has panicked).
    fn blocking(&self, job: BlockingJob) -> BoxFuture<'static, ()>;
}

/// A shared environment.
pub type SharedEnvironment = Arc<dyn Environment>;

/// Runs `job` through [`Environment::blocking`] and hands its result back; `None` if it panicked.
pub async fn run_blocking<T: MaybeSend + 'static>(
    environment: &dyn Environment,
    job: impl FnOnce() -> T + MaybeSend + 'static,
) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    environment.blocking(Box::new(move || drop(sender.send(job())))).await;
    receiver.await.ok()
}

/// Completes with `Some(output)` of `future`, or with `None` once `limit` has passed.
pub async fn timeout<F: Future>(environment: &dyn Environment, limit: Duration, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut passed = environment.sleep(limit);
    // The future first: a result that is ready wins over a deadline that has passed.
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => passed.as_mut().poll(context).map(|()| None),
    })
    .await
}
