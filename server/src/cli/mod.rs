//! Commands, their options, and errors that say what to do.

mod accounts;
mod audit;
mod backup;
mod data;
mod doctor;
mod duration;
mod error;
mod purge;
mod repair;
mod secret;
mod serve;
mod token;
mod verify;

use clap::{Parser, Subcommand};

pub use error::CliError;

/// The companion server of Unisono: devices push their offline writes to it and pull each other's.
#[derive(Debug, Parser)]
#[command(
    name = "unisono-server",
    version,
    arg_required_else_help = true,
    after_help = "\
Try it out on this machine:
  unisono-server serve --dev --data ./data
  unisono-server token --dev --data ./data --user alice

For real, behind a proxy that does TLS:
  openssl rand -hex 32 > jwt-secret
  unisono-server serve --data /var/lib/unisono --jwt-secret-file jwt-secret --listen 127.0.0.1:4747"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::ServeArgs),
    /// Print a token for an account, as a login service would issue it.
    Token(token::TokenArgs),
    /// Copy the database, beside a running server.
    Backup(backup::BackupArgs),
    /// Put a backup in the place of the database.
    Restore(backup::RestoreArgs),
    /// Look for damage in the database.
    Verify(verify::VerifyArgs),
    /// Make a damaged database sound again, from its logs and from devices.
    Repair(repair::RepairArgs),
    /// Drop what has passed its horizon.
    Purge(purge::PurgeArgs),
    /// List, export or delete what accounts have on the server.
    Accounts(accounts::AccountsArgs),
    /// Check the trail of who did what.
    Audit(audit::AuditArgs),
    /// Look for what is wrong with an installation, or soon will be.
    Doctor(doctor::DoctorArgs),
}

/// Runs a command to its end.
pub fn run(cli: Cli) -> Result<(), CliError> {
    match cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Token(args) => token::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Repair(args) => repair::run(&args),
        Command::Purge(args) => purge::run(&args),
        Command::Accounts(args) => accounts::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Doctor(args) => doctor::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound_and_every_option_explains_itself() {
        let mut command = Cli::command();
        command.clone().debug_assert();
        for subcommand in command.get_subcommands_mut() {
            for option in subcommand.get_arguments().filter(|option| !option.is_hide_set()) {
                assert!(option.get_help().is_some(), "--{} has no help", option.get_id());
            }
            let help = subcommand.render_long_help().to_string();
            assert!(help.contains("Example"), "{help}");
        }
    }

    #[test]
    fn bad_values_are_refused_with_their_option() {
        for (args, named) in [
            (&["serve", "--horizon", "soon"][..], "--horizon"),
            (&["serve", "--data", "d", "--cors-origin", "*"], "--cors-origin"),
            (&["serve", "--data", "d", "--jwt-leeway", "61"], "--jwt-leeway"),
            (&["serve", "--data", "d", "--dev", "--jwt-secret-file", "f"], "--jwt-secret-file"),
            (&["serve"], "--data"),
            (&["token"], "--user"),
            (&["token", "--user", "a", "--dev"], "--data"),
            (&["token", "--user", "a", "--ttl", "99999d"], "--ttl"),
        ] {
            let args = std::iter::once("unisono-server").chain(args.iter().copied());
            let error = Cli::try_parse_from(args).unwrap_err().to_string();
            assert!(error.contains(named), "{named}: {error}");
        }
    }
}
