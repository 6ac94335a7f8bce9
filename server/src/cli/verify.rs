//! `unisono-server verify`.

use clap::Args;
use unisono_server::sync;

use super::CliError;
use super::data::{DataArgs, say};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  unisono-server verify --data /var/lib/unisono
  unisono-server verify --data /var/lib/unisono --no-replay

The server may be running. It reads everything: the file's structure, every row's checksum, the audit trail; and it merges
each scope's log again and compares what comes out with what is stored. It prints what is wrong, one finding a line, and
then fails. What to do about it: docs/operations.md, \"Damage\".")]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    data: DataArgs,

    /// Do not merge the logs again, which takes longest and needs memory for the largest scope.
    #[arg(long)]
    no_replay: bool,
}

pub(super) fn run(args: &VerifyArgs) -> Result<(), CliError> {
    let failed = |error| args.data.failed(error);
    let file = args.data.read()?;
    let damage = file.check().map_err(failed)?;
    let mut findings: Vec<String> = damage.all().cloned().collect();
    if damage.structure.is_empty() {
        let chain = file.audit(None);
        findings.extend(chain.map_or_else(|error| Some(error.to_string()), |chain| chain.broken));
        let scopes = if args.no_replay { Vec::new() } else { file.scopes().map_err(failed)? };
        for (number, scope) in scopes.iter().enumerate() {
            let found = file.read(scope, sync::verify).unwrap_or_else(|error| vec![error.to_string()]);
            findings.extend(found.into_iter().map(|text| format!("scope {}: {text}", number + 1)));
        }
    }
    findings.iter().try_for_each(say)?;
    if findings.is_empty() { say("nothing is wrong") } else { Err(CliError::Damaged(findings.len())) }
}
