//! Minimising: the same failure with fewer actions (delta debugging: Zeller and Hildebrandt, 2002).

use super::action::Action;
use super::run::{Failure, Simulation};

/// Runs after which the best so far is taken.
const MOST_RUNS: usize = 1_500;

impl Simulation {
    /// The shortest history that was found to break the same invariant as `failure`.
    #[must_use]
    pub fn minimise(&self, failure: &Failure) -> Failure {
        let mut best = failure.clone();
        let mut pieces = 2;
        let mut runs = 0;
        while best.actions.len() > 1 && runs < MOST_RUNS {
            let size = best.actions.len().div_ceil(pieces);
            let shorter = (0..pieces).find_map(|piece| {
                runs += 1;
                self.fails_alike(&best, &without(&best.actions, piece * size, size))
            });
            match shorter {
                Some(shorter) => {
                    best = shorter;
                    pieces = pieces.saturating_sub(1).max(2);
                }
                None if size == 1 => break,
                None => pieces = (pieces * 2).min(best.actions.len()),
            }
        }
        best
    }

    fn fails_alike(&self, failure: &Failure, actions: &[Action]) -> Option<Failure> {
        if actions.len() == failure.actions.len() {
            return None;
        }
        let again = self.run(&failure.config, actions).err()?;
        (again.violation.invariant == failure.violation.invariant).then_some(*again)
    }
}

fn without(actions: &[Action], from: usize, count: usize) -> Vec<Action> {
    let left_out = |at: usize| at >= from && at < from + count;
    actions.iter().enumerate().filter(|(at, _)| !left_out(*at)).map(|(_, action)| action.clone()).collect()
}
