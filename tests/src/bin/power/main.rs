//! The children that the power-loss tests record. Run by those tests, under the shim.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use unisono::storage::Durability;
use unisono_tests::power::Acknowledge;
use unisono_tests::power::child::Fault;
use unisono_tests::power::client_work::{self, ClientPlan};

#[derive(Debug, Parser)]
#[command(name = "power", about = "Workloads to be recorded by the power-loss tests")]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Work on a replica, recorded by the shim
    #[command(hide = true)]
    Client {
        /// Where the replica lies
        folder: PathBuf,
        #[arg(long, value_enum, default_value = "full")]
        durability: Level,
        /// The short workload
        #[arg(long)]
        short: bool,
        /// Acknowledge each commit before it is made: a defect
        #[arg(long)]
        hasty: bool,
        /// The call that fails, as in `enospc once 12`
        #[arg(long)]
        fault: Option<Fault>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Full,
    Normal,
}

fn main() -> ExitCode {
    match Cli::parse().role {
        Role::Client { folder, durability, short, hasty, fault } => {
            let durability = match durability {
                Level::Full => Durability::Full,
                Level::Normal => Durability::Normal,
            };
            let acknowledge = if hasty { Acknowledge::Before } else { Acknowledge::After };
            client_work::run(&folder, ClientPlan { durability, acknowledge, long: !short, fault });
            ExitCode::SUCCESS
        }
    }
}
