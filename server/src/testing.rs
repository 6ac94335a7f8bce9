//! What the tests of several modules share.

use std::sync::Arc;
use std::time::Duration;

use unisono::environment::SharedEnvironment;
use unisono::platform::{BlockingJob, BoxFuture};
use unisono::{Environment, TokioEnvironment};

/// The instant at which a test's clock stands, in seconds.
pub(crate) const NOW: u64 = 1_700_000_000;
/// A secret that must never show anywhere.
pub(crate) const SECRET: &str = "canary-canary-canary-canary-canary";

/// Tokio's tasks and timers, a clock that stands at [`NOW`] and "random" bytes that are all alike.
#[derive(Debug)]
struct Still;

impl Environment for Still {
    fn now_ms(&self) -> u64 {
        NOW * 1000
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn random(&self, buffer: &mut [u8]) {
        buffer.fill(0xab);
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
    Arc::new(Still)
}
