//! Deadlines that a slow link can meet and a dead one cannot.

use std::time::Duration;

use super::TransportError;
use crate::environment::{Environment, timeout};

/// What the slowest useful link moves, in bytes a second.
const SLOWEST: u64 = 16 << 10;

/// One wait: the deadline, and a second more for every 16 KiB that have moved. A transfer that goes on is not abandoned
/// (it would be for ever, as each attempt would take as long), while one that drips is.
#[derive(Debug)]
pub(super) struct Pace {
    environment: &'static dyn Environment,
    started: Duration,
    deadline: Duration,
    bytes: u64,
}

impl Pace {
    /// Begins now, by the clock of the backend's own environment.
    pub(super) fn start(environment: &'static dyn Environment, deadline: Duration) -> Self {
        Self { environment, started: environment.monotonic(), deadline, bytes: 0 }
    }

    /// Bytes have moved, or are to be sent.
    pub(super) fn moved(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// Waits for `work`.
    pub(super) async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, TransportError>>,
    ) -> Result<T, TransportError> {
        let allowed = self.deadline.saturating_add(Duration::from_millis(self.bytes * 1000 / SLOWEST));
        let elapsed = self.environment.monotonic().saturating_sub(self.started);
        let late = || TransportError::Unreachable(format!("no answer within {} s", allowed.as_secs_f64()));
        timeout(self.environment, allowed.saturating_sub(elapsed), work).await.unwrap_or_else(|| Err(late()))
    }
}
