//! `unisono-server purge`.

use std::time::Duration;

use clap::Args;
use unisono_server::sync::{ServiceOptions, SyncService};

use super::data::{DataArgs, block_on, say};
use super::{CliError, duration};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  unisono-server purge --data /var/lib/unisono --horizon 90d --audit-retention 365d

A running server purges by itself, at its start and every hour; this is for one that is stopped. Use the horizon that the
server runs with: devices that were away for longer start afresh.")]
pub(super) struct PurgeArgs {
    #[command(flatten)]
    data: DataArgs,

    /// How long deletes are remembered.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = duration::parse)]
    horizon: Duration,

    /// How long audit rows are kept; for ever if absent.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    audit_retention: Option<Duration>,
}

pub(super) fn run(args: &PurgeArgs) -> Result<(), CliError> {
    block_on(async {
        let (store, environment) = args.data.write().await?;
        let options = ServiceOptions {
            tombstone_horizon: args.horizon,
            audit_retention: args.audit_retention,
            ..ServiceOptions::default()
        };
        let service = SyncService::open(store, environment, options).await.map_err(|error| args.data.failed(error))?;
        let report = service.collect_garbage().await;
        service.close().await;
        let report = report.map_err(|problem| CliError::Setup(format!("purging failed: {}", problem.code)))?;
        say(format_args!(
            "{} tombstones and {} audit rows dropped in {} scopes",
            report.tombstones, report.audit_rows, report.scopes
        ))
    })
}
