//! What there is to count about a store.

use std::time::Duration;

/// Upper bounds of the buckets of commits' durations, in seconds.
pub const COMMIT_BUCKETS: [f64; 9] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5];

/// Figures of a store, as of now. Counts are since it was opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreFigures {
    /// Bytes of the database's file.
    pub database_bytes: u64,
    /// Bytes of its write-ahead log.
    pub wal_bytes: u64,
    /// When the last backup was made, in milliseconds of the wall clock.
    pub last_backup_ms: Option<u64>,
    /// Whether everything was checked for damage when it was opened.
    pub checked_at_open: bool,
    /// How often damage was met.
    pub damaged: u64,
    /// Commits that failed.
    pub failed_commits: u64,
    /// How long commits took.
    pub commits: Durations,
}

/// A histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Durations {
    /// By [`COMMIT_BUCKETS`]; longer ones are in `count` alone.
    pub buckets: [u64; COMMIT_BUCKETS.len()],
    /// How many.
    pub count: u64,
    /// How long in all.
    pub sum: Duration,
}

impl Durations {
    /// Counts one.
    pub fn add(&mut self, took: Duration) {
        if let Some(at) = COMMIT_BUCKETS.iter().position(|bound| took.as_secs_f64() <= *bound) {
            self.buckets[at] += 1;
        }
        self.count += 1;
        self.sum += took;
    }
}
