//! One run, in full.

use std::path::Path;

use unisono::testing::sim::Simulation;
use unisono_tests::sim::History;

/// Runs a seed and prints all of it.
pub fn seed(simulation: &Simulation, seed: u64, minimise: bool) -> bool {
    print!("{}", simulation.config(seed));
    match simulation.run_seed(seed) {
        Ok(report) => {
            report.trace.iter().for_each(|line| println!("{line}"));
            println!("trace {}", report.hash);
            true
        }
        Err(failure) => {
            failure.trace.iter().for_each(|line| println!("{line}"));
            println!("\n{}", failure.violation);
            if minimise {
                let least = simulation.minimise(&failure);
                println!("\nminimised to {} actions:\n{least}", least.actions.len());
                println!("{}", History::of(&least).to_json());
            }
            false
        }
    }
}

/// Runs a kept history and prints all of it.
pub fn file(simulation: &Simulation, path: &Path) -> bool {
    let history = match History::read(path) {
        Ok(history) => history,
        Err(why) => {
            eprintln!("{}: {why}", path.display());
            return false;
        }
    };
    print!("{}", history.config);
    match simulation.run(&history.config, &history.actions) {
        Ok(report) => {
            report.trace.iter().for_each(|line| println!("{line}"));
            println!("trace {}", report.hash);
            true
        }
        Err(failure) => {
            failure.trace.iter().for_each(|line| println!("{line}"));
            println!("\n{}", failure.violation);
            false
        }
    }
}
