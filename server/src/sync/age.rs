//! The clock by which ages are counted: what is old enough to be in every backup, and which tombstones may go.
//!
//! Whoever prunes by the wall clock loses data when that jumps ahead: clients would forget events that no backup holds, and
//! deletes would come back. So ages are counted in time for which the server has run, by the monotonic clock, and kept with
//! the data. The time between two runs is not counted: a machine that starts with a wrong clock cannot be told from one that
//! was off for long. The clock is kept once an hour and at the end: what a crash takes from it makes things younger.

use std::sync::Arc;
use std::time::Duration;

use unisono::environment::SharedEnvironment;

use crate::store::{ScopeReads, ScopeRow, StoreError};

/// Goes on only while the server runs. Clones are the same clock.
#[derive(Clone, Debug)]
pub(super) struct AgeClock {
    environment: SharedEnvironment,
    /// What it showed …
    begun_ms: u64,
    /// … when the monotonic clock showed this.
    begun_at: Duration,
}

impl AgeClock {
    /// The clock that was `kept` at, or a new one.
    pub(super) fn new(environment: &SharedEnvironment, kept: Option<u64>) -> Self {
        let begun_ms = kept.unwrap_or_else(|| environment.now_ms());
        Self { environment: Arc::clone(environment), begun_ms, begun_at: environment.monotonic() }
    }

    /// What it shows now, in milliseconds.
    pub(super) fn now_ms(&self) -> u64 {
        let run = self.environment.monotonic().saturating_sub(self.begun_at);
        self.begun_ms.saturating_add(super::service::millis(run))
    }

    /// What it shows now, to `scope`: never less than at the scope's newest commit.
    pub(super) fn now_of(&self, reads: &mut dyn ScopeReads, scope: &ScopeRow) -> Result<u64, StoreError> {
        let last = if scope.revision == 0 { None } else { reads.commit_before(scope.revision)? };
        Ok(last.map_or(0, |last| last.at_ms).max(self.now_ms()))
    }
}
