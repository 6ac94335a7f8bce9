//! The simulator against the real service: histories that were kept because they found something.

use std::path::Path;

use serde::{Deserialize, Serialize};
use unisono::testing::sim::{Action, Config, Failure, Simulation};
use unisono_server::simulation::ServerHosting;

/// The simulation of the real service, as CI runs it.
#[must_use]
pub fn simulation() -> Simulation {
    Simulation::new(ServerHosting::default())
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
