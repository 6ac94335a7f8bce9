//! The environment of a native process: Tokio's timer and tasks, the system's clock and randomness.
#![expect(clippy::disallowed_methods, reason = "this is where the Environment meets the machine")]

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{BlockingJob, BoxFuture};
use crate::environment::Environment;

/// Runs on the Tokio runtime in whose context its methods are called.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioEnvironment;

impl Environment for TokioEnvironment {
    fn now_ms(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }

    fn random(&self, buffer: &mut [u8]) {
        // The system's generator fails only where the process could not have started either.
        getrandom::fill(buffer).expect("the operating system provides randomness");
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        drop(tokio::spawn(task));
    }

    fn blocking(&self, job: BlockingJob) -> BoxFuture<'static, ()> {
        // Not `block_in_place`, which would save the hop to another thread: it panics within a `LocalSet`, and there is no
        // way to ask whether it may be called.
        Box::pin(async move { drop(tokio::task::spawn_blocking(job).await) })
    }
}
