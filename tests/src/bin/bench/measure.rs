//! Rounds, medians, targets.

use std::time::Duration;

use serde::Serialize;

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub quick: bool,
    pub rounds: u32,
}

impl Options {
    /// `full`, or a tenth of it in a quick run.
    pub fn amount(self, full: usize) -> usize {
        if self.quick { full.div_ceil(10) } else { full }
    }
}

/// What a scenario has to reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// At least this many.
    AtLeast(f64),
    /// At most this much.
    AtMost(f64),
    /// At least this part of the baseline.
    RatioAtLeast(f64),
    /// Shown for what it is.
    None,
}

/// One scenario's numbers.
#[derive(Debug, Serialize)]
pub struct Measured {
    pub name: String,
    pub unit: &'static str,
    pub samples: Vec<f64>,
    /// The same work on raw SQLite, round by round.
    pub baseline: Vec<f64>,
    pub target: Target,
}

impl Measured {
    pub fn new(name: impl Into<String>, unit: &'static str, target: Target) -> Self {
        Self { name: name.into(), unit, samples: Vec::new(), baseline: Vec::new(), target }
    }

    pub fn median(&self) -> Option<f64> {
        median(&self.samples)
    }

    pub fn baseline_median(&self) -> Option<f64> {
        median(&self.baseline)
    }

    /// Candidate by baseline.
    pub fn ratio(&self) -> Option<f64> {
        Some(self.median()? / self.baseline_median().filter(|baseline| *baseline > 0.0)?)
    }

    /// Whether the target is met; `None` without one, or without numbers.
    pub fn is_met(&self) -> Option<bool> {
        match self.target {
            Target::AtLeast(least) => self.median().map(|median| median >= least),
            Target::AtMost(most) => self.median().map(|median| median <= most),
            Target::RatioAtLeast(least) => self.ratio().map(|ratio| ratio >= least),
            Target::None => None,
        }
    }
}

/// The middle one; of an even number, the mean of the two in the middle.
pub fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (middle, odd) = (sorted.len() / 2, sorted.len() % 2 == 1);
    match odd {
        true => sorted.get(middle).copied(),
        false => Some((sorted.get(middle.checked_sub(1)?)? + sorted.get(middle)?) / 2.0),
    }
}

/// How many of `count` fit in a second.
pub fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(f64::EPSILON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_does_not_care_for_outliers_or_order() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 1000.0]), Some(9.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 1000.0]), Some(3.0));
    }

    #[test]
    fn a_target_is_judged_by_medians() {
        let mut measured = Measured::new("x", "1/s", Target::RatioAtLeast(0.6));
        assert_eq!(measured.is_met(), None);
        (measured.samples, measured.baseline) = (vec![5.0, 7.0, 6.0], vec![10.0, 10.0, 10.0]);
        assert_eq!((measured.ratio(), measured.is_met()), (Some(0.6), Some(true)));
        measured.target = Target::AtMost(5.9);
        assert_eq!(measured.is_met(), Some(false));
    }
}
