//! Backoff: exponential with full jitter (Brooker, "Exponential Backoff And Jitter", 2015).

use std::time::Duration;

use crate::environment::Environment;
use crate::error::Error;
use crate::transport::TransportError;

/// Shortest ceiling of a wait.
const BASE: Duration = Duration::from_millis(250);
/// Longest wait while the server cannot be reached: it may be back any moment.
const CAP_UNREACHABLE: Duration = Duration::from_secs(15);
/// Longest wait while the server says that it is overloaded or broken.
const CAP_REFUSED: Duration = Duration::from_secs(300);

/// Failures in a row, and how long to wait after them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// After a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait after one more failure. Retry-After is honoured as a minimum.
    pub fn next(&mut self, error: &Error, environment: &dyn Environment) -> Duration {
        let asked = match error {
            Error::Transport(error) => error.retry_after(),
            _ => None,
        };
        let cap = match error {
            Error::Transport(TransportError::Problem(_)) => CAP_REFUSED,
            _ => CAP_UNREACHABLE,
        };
        let ceiling = BASE.saturating_mul(1 << self.failures.min(20)).min(cap);
        self.failures = self.failures.saturating_add(1);
        let mut random = [0; 8];
        environment.random(&mut random);
        let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
        let jittered = Duration::from_nanos(u64::from_le_bytes(random) % nanos.max(1));
        match asked {
            // Clients that were told the same second do not come back together.
            Some(asked) => asked + jittered.min(Duration::from_secs(1)),
            None => jittered,
        }
    }
}
