//! Backoff: exponential with full jitter (Brooker, "Exponential Backoff And Jitter", 2015).

use std::time::Duration;

use crate::environment::Environment;
use crate::error::Error;
use crate::transport::TransportError;

/// Shortest ceiling of a wait.
const BASE: Duration = Duration::from_millis(250);
/// Longest wait while the server cannot be reached: it may be back any moment.
const CAP_UNREACHABLE: Duration = Duration::from_secs(15);
/// Longest wait after an answer of a gateway, and after one of an overloaded server that does not say when to come back. With
/// the requests of the sync that follows it stays within the 30 s in which everything that can be sent is gone (I10).
const CAP_ANSWERED: Duration = Duration::from_secs(25);
/// Longest wait while the server itself refuses, in its own words: waiting alone may not help.
const CAP_REFUSED: Duration = Duration::from_secs(300);
/// Longest time for which a server may send its clients away.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(86_400);
/// A lost scope is asked for so often, at least: its membership may have been restored.
const LONGEST_PROBE: Duration = Duration::from_secs(300);

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

    /// The wait after one more failure. Retry-After is honoured as a minimum, up to a day.
    pub fn next(&mut self, error: &Error, environment: &dyn Environment) -> Duration {
        let asked = match error {
            Error::Transport(error) => error.retry_after(),
            _ => None,
        };
        let ceiling = BASE.saturating_mul(1 << self.failures.min(20)).min(cap(error));
        self.failures = self.failures.saturating_add(1);
        let jittered = random_below(ceiling, environment);
        match asked {
            // Clients that were told the same second do not come back together.
            Some(asked) => asked.min(LONGEST_RETRY_AFTER) + jittered.min(Duration::from_secs(1)),
            None => jittered,
        }
    }

    /// The wait before a lost scope is asked for again.
    #[must_use]
    pub fn probe(environment: &dyn Environment) -> Duration {
        LONGEST_PROBE / 2 + random_below(LONGEST_PROBE / 2, environment)
    }
}

/// Whether an error is the server's own word on what to do, which a local write does not change.
#[must_use]
pub(super) fn is_own_word(error: &Error) -> bool {
    match error {
        Error::Transport(transport) if transport.retry_after().is_some() => true,
        Error::Transport(transport @ TransportError::Problem(problem)) => {
            !problem.is_bare() && !transport.is_ambiguous()
        }
        Error::Auth(_) | Error::ScopeLost(_) | Error::IdentityMismatch { .. } => true,
        _ => false,
    }
}

fn cap(error: &Error) -> Duration {
    match error {
        error if is_own_word(error) => CAP_REFUSED,
        Error::Transport(TransportError::Problem(_)) => CAP_ANSWERED,
        _ => CAP_UNREACHABLE,
    }
}

fn random_below(ceiling: Duration, environment: &dyn Environment) -> Duration {
    let mut random = [0; 8];
    environment.random(&mut random);
    let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(u64::from_le_bytes(random) % nanos.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Problem;
    use crate::testing::TestEnvironment;

    /// The longest of many waits, after so many failures that the ceiling is the cap.
    fn longest(error: &Error) -> Duration {
        let environment = TestEnvironment::new(1);
        let mut backoff = Backoff { failures: 30 };
        (0..2_000).map(|_| backoff.next(error, &environment)).max().unwrap()
    }

    fn answer(status: u16, code: &str) -> Error {
        TransportError::problem(Problem::new(status, code, "scripted")).into()
    }

    #[test]
    fn b64_no_wait_but_after_the_servers_own_word_lets_i10_pass() {
        let ways = [
            answer(502, "http_502"),
            answer(403, "http_403"),
            answer(401, "http_401"),
            answer(404, "http_404"),
            answer(429, "http_429"),
            answer(503, "unavailable"),
            answer(429, "rate_limited"),
            Error::NoToken("the login page is down".into()),
            Error::Deadline(Duration::from_secs(1)),
            TransportError::Malformed("HTML".into()).into(),
            TransportError::Unreachable("no route".into()).into(),
        ];
        for error in ways {
            let longest = longest(&error);
            assert!(longest <= CAP_ANSWERED && longest > Duration::from_secs(14), "{error}: {longest:?}");
            assert!(!is_own_word(&error), "{error}");
        }
        for error in [answer(403, "forbidden"), answer(426, "unsupported_protocol"), Error::Auth("expired".into())] {
            assert!(longest(&error) > CAP_ANSWERED && is_own_word(&error), "{error}");
        }
    }

    #[test]
    fn any_retry_after_is_taken_up_to_a_day() {
        for (seconds, least) in [(7, 7), (86_400, 86_400), (u64::MAX, 86_400)] {
            let problem = Problem { retry_after: Some(seconds), ..Problem::new(503, "unavailable", "later") };
            let error = TransportError::problem(problem).into();
            let wait = Backoff::default().next(&error, &TestEnvironment::new(2));
            assert!(wait >= Duration::from_secs(least) && wait <= Duration::from_secs(least + 1), "{wait:?}");
        }
    }

    #[test]
    fn a_lost_scope_is_asked_for_every_five_minutes_at_least() {
        let environment = TestEnvironment::new(3);
        let waits: Vec<_> = (0..500).map(|_| Backoff::probe(&environment)).collect();
        assert!(waits.iter().all(|wait| *wait >= LONGEST_PROBE / 2 && *wait < LONGEST_PROBE));
    }
}
