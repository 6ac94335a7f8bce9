//! Counts requests. A bounded table of callers, each with the generic cell rate algorithm; time is the environment's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use unisono::environment::SharedEnvironment;

use super::options::RateOptions;

/// The time in which as many requests as the rate are answered.
const WINDOW: Duration = Duration::from_secs(60);
/// Most callers that are remembered; of more, those that have asked longest ago are forgotten.
const MAX_CALLERS: usize = 50_000;

/// A caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// By the account.
    Account(String),
    /// By the network.
    Network(IpAddr),
}

impl Key {
    /// The name of the policy, as headers tell it.
    pub(super) fn policy(&self) -> &'static str {
        match self {
            Self::Account(_) => "account",
            Self::Network(_) => "address",
        }
    }
}

/// How a caller stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) policy: &'static str,
    /// Requests in a window.
    pub(super) quota: u32,
    /// Requests that would be answered now.
    pub(super) remaining: u32,
    /// Until the next one would be, if this one was not.
    pub(super) wait: Option<Duration>,
}

impl Standing {
    pub(super) const WINDOW: Duration = WINDOW;

    /// Until all of the quota is there again, in seconds.
    pub(super) fn reset(&self) -> u64 {
        let missing = u64::from(self.quota - self.remaining.min(self.quota));
        (missing * WINDOW.as_secs()).div_ceil(u64::from(self.quota))
    }
}

#[derive(Clone, Debug)]
struct Time(SharedEnvironment);

impl Clock for Time {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.monotonic())
    }
}

struct Caller {
    cells: RateLimiter<NotKeyed, InMemoryState, Time, StateInformationMiddleware>,
    asked: Duration,
}

/// The table.
pub(crate) struct Limiter {
    options: RateOptions,
    environment: SharedEnvironment,
    callers: Mutex<HashMap<Key, Caller>>,
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Limiter {
    pub(crate) fn new(options: RateOptions, environment: SharedEnvironment) -> Self {
        Self { options, environment, callers: Mutex::default() }
    }

    pub(super) fn options(&self) -> &RateOptions {
        &self.options
    }

    /// Counts a request; `None` if this caller has no limit.
    pub(super) fn take(&self, key: Key) -> Option<Standing> {
        let rate = match key {
            Key::Account(_) => self.options.account,
            Key::Network(_) => self.options.address,
        };
        let (rate, policy) = (rate?, key.policy());
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.environment.monotonic();
        if callers.len() >= MAX_CALLERS && !callers.contains_key(&key) {
            forget(&mut callers, now);
        }
        let caller = callers.entry(key).or_insert_with(|| self.caller(rate));
        caller.asked = now;
        let (remaining, wait) = match caller.cells.check() {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(refusal) => (0, Some(refusal.wait_time_from(Nanos::from(now)))),
        };
        Some(Standing { policy, quota: rate.get(), remaining, wait })
    }

    fn caller(&self, rate: NonZeroU32) -> Caller {
        let quota = Quota::with_period(WINDOW / rate.get()).unwrap_or(Quota::per_minute(rate)).allow_burst(rate);
        let cells = RateLimiter::direct_with_clock(quota, Time(self.environment.clone()));
        Caller { cells: cells.with_middleware(), asked: Duration::ZERO }
    }
}

/// Makes room: forgets those whose quota is whole again, and if that is not half of them, the half that has asked longest ago.
fn forget(callers: &mut HashMap<Key, Caller>, now: Duration) {
    callers.retain(|_, caller| now.saturating_sub(caller.asked) < WINDOW);
    if callers.len() > MAX_CALLERS / 2 {
        let mut times: Vec<_> = callers.values().map(|caller| caller.asked).collect();
        let middle = times.len() / 2;
        let middle = *times.select_nth_unstable(middle).1;
        callers.retain(|_, caller| caller.asked > middle);
    }
}

#[cfg(test)]
mod tests {
    use unisono::testing::TestEnvironment;

    use super::*;

    fn limiter(environment: &TestEnvironment, account: u32) -> Limiter {
        let options = RateOptions { account: NonZeroU32::new(account), ..RateOptions::default() };
        Limiter::new(options, environment.shared())
    }

    fn account(name: &str) -> Key {
        Key::Account(name.to_owned())
    }

    #[test]
    fn a_minutes_requests_may_come_at_once_and_come_back_one_by_one() {
        let environment = TestEnvironment::new(1);
        let limiter = limiter(&environment, 6);
        for remaining in (0..6).rev() {
            let standing = limiter.take(account("anna")).unwrap();
            assert_eq!((standing.remaining, standing.wait), (remaining, None));
        }
        let refused = limiter.take(account("anna")).unwrap();
        assert_eq!((refused.remaining, refused.wait), (0, Some(Duration::from_secs(10))));
        assert_eq!(refused.reset(), 60);
        assert_eq!(limiter.take(account("bert")).unwrap().remaining, 5, "another account has its own");
        environment.advance(Duration::from_secs(9));
        assert_eq!(limiter.take(account("anna")).unwrap().wait, Some(Duration::from_secs(1)));
        environment.advance(Duration::from_secs(1));
        assert_eq!(limiter.take(account("anna")).unwrap().wait, None);
        environment.advance(Duration::from_secs(600));
        assert_eq!(limiter.take(account("anna")).unwrap().remaining, 5, "more than a minute's is never saved up");
    }

    #[test]
    fn who_has_no_limit_is_not_counted() {
        let environment = TestEnvironment::new(1);
        let limiter = limiter(&environment, 1);
        assert_eq!(limiter.take(Key::Network("192.0.2.1".parse().unwrap())), None);
        assert!(limiter.callers.lock().unwrap().is_empty());
    }

    #[test]
    fn the_table_is_bounded_and_forgets_first_who_has_asked_longest_ago() {
        let environment = TestEnvironment::new(1);
        let limiter = limiter(&environment, 2);
        limiter.take(account("early"));
        environment.advance(Duration::from_secs(1));
        for n in 0..MAX_CALLERS * 2 {
            if n % 1_000 == 0 {
                environment.advance(Duration::from_millis(1));
                limiter.take(account("regular"));
            }
            limiter.take(account(&n.to_string()));
        }
        assert!(limiter.callers.lock().unwrap().len() <= MAX_CALLERS);
        assert_eq!(limiter.take(account("regular")).unwrap().remaining, 0, "whoever keeps asking is remembered");
        assert_eq!(limiter.take(account("early")).unwrap().remaining, 1);
    }
}
