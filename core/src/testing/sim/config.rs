//! What a seed stands for: everything that is decided before the first action.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::testing::SeededRandom;

/// The accounts of every simulation; a run may use the first alone.
pub const ACCOUNTS: [&str; 2] = ["anna", "ben"];
/// The workspace that all accounts are members of.
pub const WORKSPACE: &str = "band";

const DAY_MS: u64 = 86_400_000;

/// The configuration of a run. The seed expands into one; a fixture may keep another one under the same seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Decides all randomness of the run.
    pub seed: u64,
    /// How many actions are drawn.
    pub actions: usize,
    /// The devices, by number.
    pub devices: Vec<DeviceConfig>,
    /// Of 100 actions, how many are faults of the network.
    pub network_faults: u64,
    /// Of 100 actions, how many are mishaps of a device.
    pub device_faults: u64,
    /// Of 100 actions, how many are mishaps of the server.
    pub server_faults: u64,
    /// Changes in one pull.
    pub pull_limit: u32,
    /// The queue's limit of events.
    pub queue_events: u64,
    /// Records that anything may happen to, per collection.
    pub records: u64,
    /// The features that write, by name.
    pub features: Vec<String>,
    /// What the server takes the operator's backups to hold: all that is older than this. A restore keeps to it.
    #[serde(default = "week")]
    pub backup_age_ms: u64,
    /// The second account becomes a member of the workspace later than it follows it.
    #[serde(default)]
    pub latecomer: bool,
    /// Whoever is no member of the workspace when everything heals becomes one.
    #[serde(default)]
    pub readmits: bool,
}

/// In milliseconds.
fn week() -> u64 {
    7 * DAY_MS
}

/// One device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceConfig {
    /// Whose it is at the beginning.
    pub account: String,
    /// How far its wall clock is ahead of the server's, in milliseconds.
    pub clock_ms: i64,
    /// Its disk keeps every acknowledged write through a loss of power; else the last ones may go.
    pub survives_power_loss: bool,
    /// It syncs in the background; else only when asked.
    pub worker: bool,
    /// Longest time before a write to its disk takes effect, and before it is acknowledged, in milliseconds.
    #[serde(default)]
    pub disk_ms: u64,
}

impl Config {
    /// What `seed` stands for, for a simulation that knows `features`: their names, and in how many of 100 seeds each takes
    /// part.
    #[must_use]
    pub fn of(seed: u64, features: &[(&str, u64)]) -> Self {
        let random = &mut SeededRandom::stream(seed, 0xc0f);
        let accounts = if random.chance(40) { 2 } else { 1 };
        // Small worlds find most; large ones are dear.
        let devices = 2 + random.below(3) + if random.chance(15) { 2 } else { 0 };
        let calm = random.chance(10);
        let per_hundred = |random: &mut SeededRandom, most: u64| if calm { 0 } else { random.below(most + 1) };
        let mut chosen: Vec<String> =
            features.iter().filter(|(_, share)| random.chance(*share)).map(|(name, _)| (*name).to_owned()).collect();
        if chosen.is_empty() {
            chosen = features.iter().map(|(name, _)| (*name).to_owned()).collect();
        }
        Self {
            seed,
            actions: usize::try_from(40 + random.below(81)).unwrap_or(40),
            devices: (0..devices).map(|number| DeviceConfig::draw(random, number, accounts)).collect(),
            network_faults: per_hundred(random, 25),
            device_faults: per_hundred(random, 15),
            server_faults: per_hundred(random, 8),
            pull_limit: [1, 3, 10, 10_000][index(random, 4)],
            queue_events: if random.chance(5) { 12 } else { 1_000 },
            records: 1 + random.below(5),
            features: chosen,
            backup_age_ms: if random.chance(50) { week() } else { 600_000 },
            latecomer: accounts > 1 && random.chance(20),
            readmits: random.chance(60),
        }
    }
}

impl DeviceConfig {
    fn draw(random: &mut SeededRandom, number: u64, accounts: u64) -> Self {
        let off = |random: &mut SeededRandom, span: u64| {
            i64::try_from(random.below(2 * span)).unwrap_or(0) - i64::try_from(span).unwrap_or(0)
        };
        let clock_ms = match random.below(4) {
            0 => 0,
            1 => off(random, 5_000),
            2 => off(random, DAY_MS),
            _ => off(random, 400 * DAY_MS),
        };
        let whose = usize::try_from(number % accounts).unwrap_or(0);
        Self {
            account: ACCOUNTS[whose].to_owned(),
            clock_ms,
            survives_power_loss: random.chance(60),
            worker: random.chance(50),
            disk_ms: [0, 0, 15, 120][index(random, 4)],
        }
    }
}

/// A place in a list of `len`.
pub(super) fn index(random: &mut SeededRandom, len: usize) -> usize {
    usize::try_from(random.below(len as u64)).unwrap_or(0)
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {} actions on {} devices", self.seed, self.actions, self.devices.len())?;
        for (number, device) in self.devices.iter().enumerate() {
            writeln!(
                f,
                "  d{number}: {}, clock {:+} ms, durability {}, writes of up to 2 x {} ms, {}",
                device.account,
                device.clock_ms,
                if device.survives_power_loss { "full" } else { "normal" },
                device.disk_ms,
                if device.worker { "syncs in the background" } else { "syncs when asked" },
            )?;
        }
        writeln!(
            f,
            "  faults in 100 actions: network {}, devices {}, server {}",
            self.network_faults, self.device_faults, self.server_faults
        )?;
        writeln!(
            f,
            "  pull limit {}, queue limit {} events, {} records, backups hold all of {} s ago{}{}, features: {}",
            self.pull_limit,
            self.queue_events,
            self.records,
            self.backup_age_ms / 1000,
            if self.latecomer { ", the second account joins late" } else { "" },
            if self.readmits { ", members come back" } else { "" },
            self.features.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_expands_into_one_configuration_which_survives_its_json_form() {
        for seed in 0..200 {
            let features = [("fields", 75), ("counters", 75), ("large", 4)];
            let config = Config::of(seed, &features);
            assert_eq!(config, Config::of(seed, &features));
            let json = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
            assert!((2..=6).contains(&config.devices.len()) && !config.features.is_empty(), "{config}");
        }
    }
}
