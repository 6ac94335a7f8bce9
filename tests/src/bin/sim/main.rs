//! The simulator's runner: many seeds, or one, or a kept history.
//!
//! `cargo xtask sim --help` tells how to call it. It ends with 0 only if every run held every promise and, with `--coverage`,
//! every kind of fault and error was met.

mod campaign;
mod replay;
mod variants;

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use unisono::testing::sim::{Broken, Simulation};
use unisono_tests::sim::simulation;

/// Run the deterministic simulator
#[derive(Debug, Parser)]
#[command(name = "sim")]
struct Cli {
    /// Seeds to run: `A..B`, without B
    #[arg(long, value_parser = range, conflicts_with_all = ["seed", "history"])]
    seeds: Option<Range<u64>>,
    /// One seed: prints its configuration and its trace
    #[arg(long, conflicts_with = "history")]
    seed: Option<u64>,
    /// A kept history, as JSON
    #[arg(long)]
    history: Option<PathBuf>,
    /// How many runs go on at once; as many as there are processors if absent
    #[arg(long)]
    jobs: Option<usize>,
    /// Run every n-th seed twice and compare the traces' hashes
    #[arg(long, default_value_t = 50)]
    twice: u64,
    /// Fail unless every kind of fault and error was met
    #[arg(long)]
    coverage: bool,
    /// Leave failing histories as long as they are
    #[arg(long)]
    as_is: bool,
    /// Failures after which no further seed is begun
    #[arg(long, default_value_t = 5)]
    failures: usize,
    /// Say what came of it as a test harness does, a test a seed: for `cargo xtask test`
    #[arg(long)]
    tests: bool,
    /// Break something on purpose, by name: the run is to fail
    #[arg(long, value_parser = variant)]
    variant: Option<Broken>,
    /// Break each thing on purpose, and tell after how many seeds it was noticed
    #[arg(long, conflicts_with_all = ["seeds", "seed", "history", "variant"])]
    variants: bool,
    /// Where failing histories are written
    #[arg(long)]
    keep: Option<PathBuf>,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("a range is written A..B")?;
    let number = |text: &str| text.trim().parse::<u64>().map_err(|error| format!("{text}: {error}"));
    let range = number(from)?..number(to)?;
    if range.is_empty() { Err("the range is empty".to_owned()) } else { Ok(range) }
}

fn variant(name: &str) -> Result<Broken, String> {
    let names = || Broken::ALL.map(Broken::name).join(", ");
    Broken::ALL.into_iter().find(|broken| broken.name() == name).ok_or_else(|| format!("one of {}", names()))
}

impl Cli {
    /// What runs: the real service, or something that is broken.
    fn simulation(&self) -> Simulation {
        let sound = simulation();
        self.variant.map_or_else(simulation, |broken| sound.variant(broken))
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let good = match (&cli.seed, &cli.history) {
        _ if cli.variants => variants::table(),
        (Some(seed), _) => replay::seed(&cli.simulation(), *seed, !cli.as_is),
        (None, Some(file)) => replay::file(&cli.simulation(), file),
        (None, None) => campaign::run(&cli, cli.seeds.clone().unwrap_or(0..2_000)),
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
