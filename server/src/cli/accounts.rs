//! `unisono-server accounts`.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use unisono_server::store::{AuditRow, DatabaseFile, ScopeKey, Store, StoreError};

use super::CliError;
use super::data::{DataArgs, block_on, output, say};

/// Records read at once.
const STEP: usize = 500;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  unisono-server accounts list --data /var/lib/unisono
  unisono-server accounts export --data /var/lib/unisono --user alice --to alice.ndjson
  unisono-server accounts delete --data /var/lib/unisono --user alice")]
pub(super) struct AccountsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print what each account and workspace has on the server, as columns that tabs divide.
    #[command(after_help = "Example:\n  unisono-server accounts list --data /var/lib/unisono")]
    List {
        #[command(flatten)]
        data: DataArgs,
    },
    /// Write everything that is stored of an account's private scope, as one JSON object a line: its records, its conflict notes
    /// among them, and its rows of the audit trail. The server may be running.
    #[command(
        after_help = "Example:\n  unisono-server accounts export --data /var/lib/unisono --user alice --to alice.ndjson"
    )]
    Export {
        #[command(flatten)]
        data: DataArgs,

        /// The account.
        #[arg(long, value_name = "NAME")]
        user: String,

        /// A file for it, which must not exist yet; standard output if absent.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Delete an account's private scope, or a workspace, with its history. Stop the server first. Its rows of the audit trail
    /// stay for as long as the others, and backups hold it until they are gone. A device that is still signed in would send
    /// again what it has: revoke its tokens first.
    #[command(after_help = "Example:\n  unisono-server accounts delete --data /var/lib/unisono --user alice")]
    Delete {
        #[command(flatten)]
        data: DataArgs,

        /// The account.
        #[arg(long, value_name = "NAME", required_unless_present = "workspace", conflicts_with = "workspace")]
        user: Option<String>,

        /// A workspace, in the place of an account.
        #[arg(long, value_name = "ID")]
        workspace: Option<String>,
    },
}

pub(super) fn run(args: &AccountsArgs) -> Result<(), CliError> {
    match &args.command {
        Command::List { data } => list(data),
        Command::Export { data, user, to } => {
            let file = data.read()?;
            let scope = ScopeKey::account(user);
            if file.read(&scope, |reads| reads.scope()).map_err(|error| data.failed(error))?.is_none() {
                return Err(CliError::NoAccount(user.clone()));
            }
            let mut out = output(to.as_deref())?;
            let exported = export(&file, &scope, user, &mut out).map_err(|error| data.failed(error));
            exported.and_then(|()| out.flush().map_err(|error| CliError::Setup(error.to_string())))
        }
        Command::Delete { data, user, workspace } => {
            let name = user.as_ref().or(workspace.as_ref()).cloned().unwrap_or_default();
            let scope = if user.is_some() { ScopeKey::account(&name) } else { ScopeKey::workspace(&name) };
            block_on(async {
                let (store, environment) = data.write().await?;
                let detail = json!({"scope": scope.as_str()});
                let row = AuditRow::new(environment.now_ms(), "operator", "delete_account", detail);
                let deleted = store.delete_scope(scope, row).await;
                let closed = store.close().await;
                match deleted.and_then(|deleted| closed.map(|()| deleted)).map_err(|error| data.failed(error))? {
                    true => say(format_args!("{name} is deleted")),
                    false => Err(CliError::NoAccount(name)),
                }
            })
        }
    }
}

fn list(data: &DataArgs) -> Result<(), CliError> {
    let file = data.read()?;
    say("scope\trecords\ttombstones\tbytes\tconflicts\trevision\tdevices\tsync")?;
    for scope in file.scopes().map_err(|error| data.failed(error))? {
        let row = file.read(&scope, |reads| Ok((reads.scope()?, reads.devices()?)));
        let (Some(row), devices) = row.map_err(|error| data.failed(error))? else { continue };
        say(format_args!(
            "{}\t{}\t{}\t{}\t{}\t{}\t{devices}\t{}",
            scope.as_str(),
            row.records,
            row.tombstones,
            row.bytes,
            row.conflicts,
            row.revision,
            if row.sync_enabled { "on" } else { "off" }
        ))?;
    }
    Ok(())
}

/// Writes the lines, the records on one snapshot.
fn export(file: &DatabaseFile, scope: &ScopeKey, user: &str, out: &mut dyn Write) -> Result<(), StoreError> {
    let mut line = |kind: &str, value: serde_json::Value| {
        writeln!(out, "{}", json!({ kind: value })).map_err(|error| StoreError::Io(error.to_string()))
    };
    file.read(scope, |reads| {
        let mut at = 0;
        loop {
            let rows = reads.records_after(at, STEP)?;
            let Some(last) = rows.last() else { return Ok(()) };
            at = last.record.revision;
            for row in rows.into_iter().filter(|row| row.record.alive) {
                line("record", json!(row.record.to_change(&row.key)))?;
            }
        }
    })?;
    file.audit_rows(user, |row| line("audit", row))
}
