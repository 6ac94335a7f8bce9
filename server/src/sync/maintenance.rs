//! What a running server does for itself, by its own clock: purges, and looks for damage.

use std::time::Duration;

use super::service::SyncService;

/// How often what has passed its horizon is dropped.
const PURGE_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Purges between two checks for damage: one a day.
const PURGES_PER_CHECK: u64 = 24;

impl SyncService {
    /// Purges and checks now, and then again and again: a purge every hour, a check of everything stored every day. A store that
    /// has just checked itself, since it was small, is not checked at once. Ends only by being dropped.
    pub async fn maintain(&self) {
        for round in 0_u64.. {
            match self.collect_garbage().await {
                Ok(report) => tracing::info!(?report, "purged"),
                Err(problem) => {
                    tracing::warn!(code = problem.code, "a purge failed; it is tried again within the hour")
                }
            }
            let checked = round == 0 && self.store_figures().checked_at_open;
            if round.is_multiple_of(PURGES_PER_CHECK) && !checked {
                match self.check().await {
                    Ok(damage) if damage.is_none() => tracing::info!("no damage was found in the database"),
                    // Each finding has a line of its own.
                    Ok(_) => {}
                    Err(problem) => tracing::warn!(code = problem.code, "the database could not be checked for damage"),
                }
            }
            self.environment().sleep(PURGE_INTERVAL).await;
        }
    }
}
