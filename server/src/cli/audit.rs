//! `unisono-server audit`.

use clap::{Args, Subcommand};

use super::CliError;
use super::data::{DataArgs, say};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  unisono-server audit verify --data /var/lib/unisono
  unisono-server audit verify --data /var/lib/unisono --expect 5f1d…

Every row of the audit trail carries a hash over itself and the row before it. `verify` prints the last one: kept where this
server cannot write, and given back with --expect, it proves later that no row before it was altered or taken out.")]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check that no row was altered or taken out.
    #[command(after_help = "Example:\n  unisono-server audit verify --data /var/lib/unisono")]
    Verify {
        #[command(flatten)]
        data: DataArgs,

        /// A hash that an earlier check printed, and that still has to be there.
        #[arg(long, value_name = "HASH")]
        expect: Option<String>,
    },
}

pub(super) fn run(args: &AuditArgs) -> Result<(), CliError> {
    let Command::Verify { data, expect } = &args.command;
    let chain = data.read()?.audit(expect.as_deref()).map_err(|error| data.failed(error))?;
    if let Some(broken) = chain.broken {
        return Err(CliError::AuditBroken(broken));
    }
    if !chain.expected {
        return Err(CliError::AuditBroken("the expected row is not in it".to_owned()));
    }
    say(format_args!("{} rows, the last is {} {}", chain.rows, chain.end.id, chain.end.hash))
}
