//! The environment of the clients of this library: Tokio's, with all work inside the [gate](crate::gate).

use std::time::Duration;

use unisono::platform::{BlockingJob, BoxFuture};
use unisono::{Environment, TokioEnvironment};

use crate::gate::{Gate, Gated};

/// See the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct GatedEnvironment(pub &'static Gate);

impl Environment for GatedEnvironment {
    fn now_ms(&self) -> u64 {
        TokioEnvironment.now_ms()
    }

    fn monotonic(&self) -> Duration {
        TokioEnvironment.monotonic()
    }

    fn random(&self, buffer: &mut [u8]) {
        TokioEnvironment.random(buffer);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        TokioEnvironment.sleep(duration)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        TokioEnvironment.spawn(Box::pin(Gated::new(self.0, task)));
    }

    fn blocking(&self, job: BlockingJob) -> BoxFuture<'static, ()> {
        TokioEnvironment.blocking(job)
    }
}
