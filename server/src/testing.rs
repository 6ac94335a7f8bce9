//! What the tests of several modules share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use unisono::environment::SharedEnvironment;
use unisono::platform::{BlockingJob, BoxFuture};
use unisono::{Environment, TokioEnvironment};

/// The instant at which a test's clock stands, in seconds.
pub(crate) const NOW: u64 = 1_700_000_000;
/// A secret that must never show anywhere.
pub(crate) const SECRET: &str = "canary-canary-canary-canary-canary";

/// Tokio's tasks and timers, a clock that stands at [`NOW`] and "random" bytes that count.
#[derive(Debug, Default)]
struct Still(AtomicU64);

impl Environment for Still {
    fn now_ms(&self) -> u64 {
        NOW * 1000
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn random(&self, buffer: &mut [u8]) {
        let draw = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        buffer
            .iter_mut()
            .rev()
            .zip(draw.iter().rev().chain(std::iter::repeat(&0xab)))
            .for_each(|(to, from)| *to = *from);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        TokioEnvironment.sleep(duration)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        TokioEnvironment.spawn(task);
    }

    fn blocking(&self, job: BlockingJob) -> BoxFuture<'static, ()> {
        TokioEnvironment.blocking(job)
    }
}

pub(crate) fn environment() -> SharedEnvironment {
    Arc::new(Still::default())
}
