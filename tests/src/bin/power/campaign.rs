//! All power losses of the recorded workloads: many more draws than the tests make.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, ValueEnum};
use unisono::storage::Durability;
use unisono_tests::power::Operation;
use unisono_tests::power::child::Recorded;
use unisono_tests::power::client_run::{self, Child};
use unisono_tests::power::losses::{Range, Tally};
use unisono_tests::power::server_run::{self, Server};

/// How far to go.
#[derive(Debug, Args)]
pub struct Campaign {
    /// Draws of each seeded way (cut short, reordered, torn) at each moment
    #[arg(long, default_value_t = 1)]
    rounds: u64,
    /// What decides the draws
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Violations after which a workload is given up
    #[arg(long, default_value_t = 5)]
    failures: usize,
    /// The only side whose workloads lose power
    #[arg(long, value_enum)]
    only: Option<Side>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Side {
    Client,
    Server,
}

type Losses = fn(&[Operation], Durability, Range, usize) -> Tally;

/// Runs the campaign with this program as the children; prints a row per workload.
///
/// # Errors
/// What keeps a child from being recorded.
pub fn run(campaign: &Campaign) -> Result<ExitCode, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut violations = Vec::new();
    println!("| workload | durability | moments | images | violations | seconds |\n|---|---|---|---|---|---|");
    for (durability, level) in [(Durability::Full, "full"), (Durability::Normal, "normal")] {
        if campaign.only != Some(Side::Server) {
            let client = sound(Child::sound(durability).run(&program)?)?;
            violations.extend(campaign.lose("client", (durability, level), &client, client_run::losses));
        }
        if campaign.only != Some(Side::Client) {
            let server = sound(Server::sound(durability).run(&program)?)?;
            violations.extend(campaign.lose("server", (durability, level), &server, server_run::losses));
        }
    }
    for violation in &violations {
        println!("{violation}");
    }
    Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn sound(recorded: Recorded) -> Result<Vec<Operation>, String> {
    if recorded.succeeded { Ok(recorded.operations) } else { Err(recorded.complaint) }
}

impl Campaign {
    fn lose(
        &self,
        workload: &str,
        (durability, level): (Durability, &str),
        operations: &[Operation],
        losses: Losses,
    ) -> Vec<String> {
        let begun = Instant::now();
        let range = |part| Range { rounds: self.rounds, seed: self.seed, part, parts: self.jobs };
        let mut tally = Tally::default();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.jobs)
                .map(|part| scope.spawn(move || losses(operations, durability, range(part), self.failures)))
                .collect();
            for thread in threads {
                tally.add(thread.join().expect("a thread of the campaign does not panic"));
            }
        });
        let (moments, images, found) = (tally.moments, tally.images, tally.violations.len());
        println!("| {workload} | `{level}` | {moments} | {images} | {found} | {} |", begun.elapsed().as_secs());
        tally.violations.iter().map(|violation| format!("{workload}, {level}: {violation}")).collect()
    }
}

/// Whether children can be recorded on this system.
#[must_use]
pub fn has_shim() -> bool {
    unisono_tests::power::child::shim().is_some_and(Path::exists)
}
