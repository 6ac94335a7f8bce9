//! The benchmarks, on real sample records. Baseline and candidate take turns in the same run, so that whatever else the
//! machine does meets both; of all rounds the median counts.

mod baseline;
mod crowd;
mod documents;
mod drain;
mod first_sync;
mod measure;
mod place;
mod table;
mod writes;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::measure::{Measured, Options, Result};
use crate::place::Place;

#[derive(Debug, Parser)]
#[command(
    name = "bench",
    about = "Measures Unisono beside raw SQLite, on this machine, in this run",
    args_conflicts_with_subcommands = true
)]
struct Cli {
    /// A short run: fewer rounds of less work. Its numbers say little; that it runs says something.
    #[arg(long)]
    quick: bool,
    /// Rounds per scenario [default: 5, or 2 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: Option<u32>,
    /// Only this scenario; may be given again
    #[arg(long, value_enum, value_name = "NAME")]
    only: Vec<Scenario>,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Where the databases are put for the time of the run; the disk under it is what is measured
    #[arg(long, value_name = "DIR")]
    dir: Option<std::path::PathBuf>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Sync an empty replica in a process of its own, whose memory can be watched
    #[command(hide = true)]
    FirstSync(first_sync::ChildArgs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Single durable writes, `full`
    SingleFull,
    /// Single durable writes, `normal`
    SingleNormal,
    /// Writes in groups of 100, `full`
    Groups,
    /// Drain of queued creates to a durable server
    Drain,
    /// First sync into an empty replica
    FirstSync,
    /// 50 clients that push single events
    Crowd,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let run = match cli.role {
        Some(Role::FirstSync(args)) => first_sync::child(args).await,
        None => bench(cli).await,
    };
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn bench(cli: Cli) -> Result<()> {
    let options = Options { quick: cli.quick, rounds: cli.rounds.unwrap_or(if cli.quick { 2 } else { 5 }) };
    let place = Place::new(cli.dir.as_deref())?;
    let mut all = Vec::new();
    for scenario in Scenario::value_variants() {
        if !cli.only.is_empty() && !cli.only.contains(scenario) {
            continue;
        }
        if let Some(name) = scenario.to_possible_value() {
            eprintln!("{} …", name.get_name());
        }
        all.extend(run(*scenario, &place, options).await?);
    }
    if cli.json {
        table::json(&all)?
    } else {
        table::show(&all)
    }
    Ok(())
}

async fn run(scenario: Scenario, place: &Place, options: Options) -> Result<Vec<Measured>> {
    use unisono::storage::Durability::{Full, Normal};
    match scenario {
        Scenario::SingleFull => writes::single(place, options, Full).await,
        Scenario::SingleNormal => writes::single(place, options, Normal).await,
        Scenario::Groups => writes::groups(place, options).await,
        Scenario::Drain => drain::run(place, options).await,
        Scenario::FirstSync => first_sync::run(place, options).await,
        Scenario::Crowd => crowd::run(place, options).await,
    }
}
