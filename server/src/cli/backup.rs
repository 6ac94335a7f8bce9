//! `unisono-server backup` and `restore`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use unisono::{Environment, TokioEnvironment};
use unisono_server::store::{self, AuditRow, BackupReport, Store};

use super::CliError;
use super::data::{DataArgs, block_on, say};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  unisono-server backup --data /var/lib/unisono --to /backups/unisono-$(date +%F).db

The server may be running: the copy is of one instant, is checked before it is kept, and takes as long as copying once,
however much is written meanwhile. It holds all accounts' data and the key that signs cursors: keep it as safe as the
server.")]
pub(super) struct BackupArgs {
    #[command(flatten)]
    data: DataArgs,

    /// The copy's file, which must not exist yet.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

pub(super) fn run(args: &BackupArgs) -> Result<(), CliError> {
    let report = args.data.read()?.backup(&args.to, TokioEnvironment.now_ms());
    let report = report.map_err(|error| CliError::Backup(args.to.clone(), error))?;
    say(format_args!("{} holds {}", args.to.display(), in_words(&report)))
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  unisono-server restore --data /var/lib/unisono --from /backups/unisono-2026-01-31.db

Stop the server first. The backup is checked before anything is replaced; what was there is kept as unisono.db.replaced.
Devices that have seen more than the backup holds notice it with their next request, and send again what is missing.")]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    data: DataArgs,

    /// The backup's file.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
}

pub(super) fn restore(args: &RestoreArgs) -> Result<(), CliError> {
    let make = super::serve::make_directory(&args.data.data);
    make.map_err(|error| CliError::DataDirectory(args.data.data.clone(), error))?;
    let report = store::restore(&args.data.database(), &args.from).map_err(|error| match error {
        store::StoreError::AlreadyOpen(_) => args.data.failed(error),
        error => CliError::Restore(args.from.clone(), error),
    })?;
    block_on(async {
        let (store, environment) = args.data.write().await?;
        let detail = json!({"scopes": report.scopes, "records": report.records});
        let row = AuditRow::new(environment.now_ms(), "operator", "restore", detail);
        let noted = store.audit(vec![row]).await.and(store.close().await);
        noted.map_err(|error| args.data.failed(error))
    })?;
    say(format_args!("restored {}; start the server", in_words(&report)))
}

fn in_words(report: &BackupReport) -> String {
    format!("{} scopes with {} records in {} bytes", report.scopes, report.records, report.bytes)
}
