//! `unisono-server repair`.

use std::sync::Arc;

use clap::Args;
use unisono::environment::SharedEnvironment;
use unisono::{Environment, TokioEnvironment};
use unisono_server::store::{self, Repair, Salvaged, SqliteOptions, SqliteStore, Store, StoreError, Verdict};
use unisono_server::sync;

use super::CliError;
use super::data::{DataArgs, block_on, say};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  unisono-server repair --data /var/lib/unisono
  unisono-server repair --data /var/lib/unisono --accept-loss

Stop the server first. What is sound is copied to a new file; records, counts and digests are made again from each scope's
log. The damaged file is kept as unisono.db.replaced. If a log itself has lost something, nothing is replaced: a backup that
is younger than the damage may hold more. With --accept-loss such a history ends before the hole, and a new one begins:
devices send again what they still have of the rest (everything that is younger than --backup-age of `serve`).")]
pub(super) struct RepairArgs {
    #[command(flatten)]
    data: DataArgs,

    /// Cut histories off where their logs have holes, and leave out what cannot be attributed to anybody.
    #[arg(long)]
    accept_loss: bool,
}

pub(super) fn run(args: &RepairArgs) -> Result<(), CliError> {
    let failed = |error| args.data.failed(error);
    let (repair, salvaged) = Repair::begin(&args.data.database(), TokioEnvironment.now_ms()).map_err(failed)?;
    tell(&salvaged)?;
    let left = block_on(async { scopes(&repair, args).await.map_err(failed) })?;
    let left = left + if args.accept_loss { 0 } else { salvaged.nameless };
    if left > 0 {
        repair.give_up();
        return Err(CliError::Irreparable(left));
    }
    repair.finish().map_err(failed)?;
    say("repaired; start the server")
}

fn tell(salvaged: &Salvaged) -> Result<(), CliError> {
    say(format_args!("{} rows are sound", salvaged.rows))?;
    for (table, rows) in &salvaged.damaged {
        say(format_args!("{rows} rows of `{table}` are damaged"))?;
    }
    for table in &salvaged.unreadable {
        say(format_args!("`{table}` cannot be read from end to end"))?;
    }
    if salvaged.headless > 0 {
        say(format_args!("{} scopes have lost their own row", salvaged.headless))?;
    }
    if salvaged.nameless > 0 {
        say(format_args!("{} scopes have lost their name: nobody can say whose they are", salvaged.nameless))?;
    }
    Ok(())
}

/// Repairs every scope of the new file; answers how many could not be.
async fn scopes(repair: &Repair, args: &RepairArgs) -> Result<u64, StoreError> {
    let environment: SharedEnvironment = Arc::new(TokioEnvironment);
    let store = SqliteStore::open(repair.fresh(), &SqliteOptions::default())?;
    store.attach(Arc::clone(&environment)).await?;
    let mut left = 0;
    for scope in store.scopes(None, usize::MAX).await? {
        let (name, environment, cut) = (scope.as_str().to_owned(), Arc::clone(&environment), args.accept_loss);
        let job = move |tx: &mut dyn store::ScopeTx| Ok((Verdict::Commit, sync::repair(tx, &*environment, cut)?));
        let repaired = store::write(&store, scope, job).await?;
        let mut lines = Vec::new();
        lines.extend(repaired.rebuilt.then(|| "made again from its log".to_owned()));
        lines.extend(
            repaired.cut.map(|(to, lost)| format!("cut off after revision {to}: {lost} are for devices to send again")),
        );
        lines.extend(repaired.new_epoch.then(|| "a new history begins".to_owned()));
        left += u64::from(!repaired.left.is_empty());
        for line in lines.iter().chain(&repaired.left) {
            say(format_args!("{name}: {line}")).map_err(|error| StoreError::Internal(error.to_string()))?;
        }
    }
    store.close().await?;
    Ok(left)
}
