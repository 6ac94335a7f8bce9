//! The children that the power-loss tests record, run by those tests under the shim; and the campaign, which loses power more
//! often than the tests do.

mod campaign;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use unisono::storage::Durability;
use unisono_tests::power::Acknowledge;
use unisono_tests::power::child::Fault;
use unisono_tests::power::client_work::{self, ClientPlan};
use unisono_tests::power::recovery;
use unisono_tests::power::server_work::{self, ServerPlan};

#[derive(Debug, Parser)]
#[command(name = "power", about = "Power losses on the real SQLite of the client and of the server")]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Lose power at every moment of every workload, and check what is left
    Campaign(campaign::Campaign),
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
    /// Serve pushes from a database, recorded by the shim
    #[command(hide = true)]
    Server {
        /// Where the database lies
        folder: PathBuf,
        #[arg(long, value_enum, default_value = "full")]
        durability: Level,
        /// The short workload
        #[arg(long)]
        short: bool,
        /// The call that fails, as in `enospc once 12`
        #[arg(long)]
        fault: Option<Fault>,
    },
    /// Recover a damaged replica, recorded by the shim
    #[command(hide = true)]
    Recover {
        /// Where the replica lies
        folder: PathBuf,
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
        Role::Campaign(_) if !campaign::has_shim() => {
            eprintln!("power: the shim is made for Linux with glibc (64 bits) only");
            ExitCode::FAILURE
        }
        Role::Campaign(campaign) => campaign::run(&campaign).unwrap_or_else(|error| {
            eprintln!("power: {error}");
            ExitCode::FAILURE
        }),
        Role::Client { folder, durability, short, hasty, fault } => {
            let durability = match durability {
                Level::Full => Durability::Full,
                Level::Normal => Durability::Normal,
            };
            let acknowledge = if hasty { Acknowledge::Before } else { Acknowledge::After };
            client_work::run(&folder, ClientPlan { durability, acknowledge, long: !short, fault });
            ExitCode::SUCCESS
        }
        Role::Recover { folder, fault } => {
            recovery::run(&folder, fault);
            ExitCode::SUCCESS
        }
        Role::Server { folder, durability, short, fault } => {
            let survive_power_loss = matches!(durability, Level::Full);
            server_work::run(&folder, ServerPlan { survive_power_loss, long: !short, fault });
            ExitCode::SUCCESS
        }
    }
}
