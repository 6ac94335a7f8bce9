//! The simulator against the real service: histories that were kept because they found something.

use std::path::Path;

use serde::{Deserialize, Serialize};
use unisono::testing::sim::{Action, Broken, Config, Failure, Simulation, Violation};
use unisono_server::simulation::ServerHosting;

/// The simulation of the real service, as CI runs it.
#[must_use]
pub fn simulation() -> Simulation {
    Simulation::new(ServerHosting::default())
}

/// The number of seeds, from 0 on, that it took to notice that something is `broken`, and what was noticed; `None` if `most`
/// were not enough.
#[must_use]
pub fn first_to_notice(broken: Broken, most: u64) -> Option<(u64, Violation)> {
    let simulation = simulation().variant(broken);
    (0..most).find_map(|seed| Some((seed + 1, simulation.run_seed(seed).err()?.violation)))
}

/// A history that is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct History {
    /// What it found.
    pub found: String,
    /// How it is configured.
    pub config: Config,
    /// What happens.
    pub actions: Vec<Action>,
}

impl History {
    /// The history of a failure.
    #[must_use]
    pub fn of(failure: &Failure) -> Self {
        Self { found: failure.violation.to_string(), config: failure.config.clone(), actions: failure.actions.clone() }
    }

    /// Reads one.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }

    /// As it is kept.
    ///
    /// # Panics
    /// Never: its parts have JSON forms.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a history has a JSON form")
    }
}
