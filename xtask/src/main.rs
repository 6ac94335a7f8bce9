//! The project's own commands, run as `cargo xtask <command>`.
//!
//! Everything a contributor or CI runs is here, so that both run the same thing. Nothing needs to be installed by hand:
//! a command that needs a tool fetches it into the user's cache folder and says so.

mod bindings;
mod check;
mod fuzz;
mod host;
mod links;
mod machine_paths;
mod models;
mod npm;
mod openapi;
mod process;
mod programs;
mod suites;
mod supply_chain;
mod tally;
mod tools;
mod tracked;
mod wasm;
mod web;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Unisono's project commands", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the server and the demo, and run the demo
    ///
    /// The demo's exit code is the command's. `cargo xtask demo -- --help` shows the demo's own options.
    Demo {
        /// Build optimised
        #[arg(long)]
        release: bool,
        /// Passed on to the demo
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run every test suite; the last line is `N passed, N failed`
    ///
    /// Fails if a test failed, if something did not compile, or if nothing ran.
    Test {
        /// Only the suites whose name has this in it: `Python`, `JavaScript`, …
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
    },
    /// Build the npm package into `bindings/js/dist`, and print its size
    Web,
    /// Run the benchmarks, optimised
    Bench {
        /// Passed on to the benchmarks
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run the deterministic simulator, optimised
    ///
    /// `cargo xtask sim -- --seeds 0..2000`; `cargo xtask sim -- --help` shows its options.
    Sim {
        /// Passed on to the simulator
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Lose the power of recorded workloads, optimised: more often than the tests do
    ///
    /// `cargo xtask power -- --rounds 4`; `cargo xtask power -- --help` shows its options. Linux with glibc only.
    Power {
        /// Passed on to the campaign
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Check paths, links, format, lints, docs, dependencies and the wasm build; fails at the first step that fails
    Check {
        /// Do not fetch the advisory database, whose home is not a package registry; dependencies are then not checked
        /// for known vulnerabilities
        #[arg(long)]
        no_advisories: bool,
    },
    /// Run the fuzzer; it needs a nightly compiler, and installs cargo-fuzz into the cache folder
    ///
    /// `cargo xtask test` replays the corpus without it.
    Fuzz {
        /// One target; all of them, one after the other, if it is not given
        #[arg(long)]
        target: Option<String>,
        /// Executions per target
        #[arg(long)]
        executions: Option<u64>,
        /// Longest time per target
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo { release, args } => programs::demo(release, &args),
        Command::Bench { args } => programs::bench(&args),
        Command::Sim { args } => programs::sim(&args),
        Command::Power { args } => programs::power(&args),
        Command::Test { only } => suites::run(only.as_deref()),
        Command::Web => web::build(),
        Command::Fuzz { target, executions, seconds } => {
            fuzz::fuzz(target.as_deref(), fuzz::Bounds { executions, seconds })
        }
        Command::Check { no_advisories } => check::run_all(!no_advisories),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
