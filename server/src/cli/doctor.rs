//! `unisono-server doctor`.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use unisono::{Environment, TokioEnvironment};
use unisono_server::store::{DatabaseFile, StoreError};

use super::data::{DataArgs, say};
use super::{CliError, duration};

/// A write-ahead log beyond this was not written back for long: something holds an old snapshot.
const LARGE_WAL_BYTES: u64 = 1 << 30;
/// Files up to this size are checked for damage.
const QUICK_BYTES: u64 = 256 << 20;
/// Descriptors that the default limit of connections needs, with the database's own.
const DESCRIPTORS: u64 = 10_240;

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  unisono-server doctor --data /var/lib/unisono

The server may be running. Each line begins with `ok` or `attention`; it fails if something needs attention.")]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    data: DataArgs,

    /// The age that the last backup may have.
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = duration::parse)]
    backup_within: Duration,
}

/// What is fine, or what to do.
type Finding = Result<String, String>;

pub(super) fn run(args: &DoctorArgs) -> Result<(), CliError> {
    let database = args.data.database();
    let mut findings = vec![private(&args.data.data, "the data directory"), descriptors()];
    match args.data.read() {
        Ok(file) => {
            findings.extend([private(&database, "the database"), wal(&file), backup(&file, args.backup_within)]);
            findings.extend([trail(&file), damage(&file)]);
        }
        Err(error) => findings.push(Err(error.to_string())),
    }
    let unwell = findings.iter().filter(|finding| finding.is_err()).count();
    for finding in findings {
        match finding {
            Ok(text) => say(format_args!("ok         {text}"))?,
            Err(text) => say(format_args!("attention  {text}"))?,
        }
    }
    if unwell == 0 { Ok(()) } else { Err(CliError::Unwell(unwell)) }
}

#[cfg(unix)]
fn private(path: &Path, what: &str) -> Finding {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).map_err(|error| format!("{what} cannot be read: {error}"))?.permissions().mode();
    match mode & 0o077 {
        0 => Ok(format!("{what} is for the server's user alone")),
        _ => Err(format!("{what} is open to other users: chmod go= {}", path.display())),
    }
}

#[cfg(not(unix))]
fn private(path: &Path, what: &str) -> Finding {
    std::fs::metadata(path)
        .map(|_| format!("{what} is there"))
        .map_err(|error| format!("{what} cannot be read: {error}"))
}

/// Where the system tells: how many connections there can be.
fn descriptors() -> Finding {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    match line.and_then(|line| line.split_whitespace().next()).map(str::parse::<u64>) {
        Some(Ok(limit)) if limit < DESCRIPTORS => Err(format!(
            "only {limit} files can be open here: for 10,000 connections set LimitNOFILE={DESCRIPTORS} or more"
        )),
        _ => Ok("enough files can be open".to_owned()),
    }
}

fn wal(file: &DatabaseFile) -> Finding {
    match file.wal_bytes() {
        bytes if bytes > LARGE_WAL_BYTES => Err(format!(
            "the write-ahead log has {bytes} bytes: end what reads the database for long, restart the server"
        )),
        bytes => Ok(format!("the write-ahead log has {bytes} bytes")),
    }
}

fn backup(file: &DatabaseFile, within: Duration) -> Finding {
    let Some(at_ms) = file.last_backup_ms() else {
        return Err("there is no backup: `unisono-server backup`, every day".to_owned());
    };
    let age = Duration::from_millis(TokioEnvironment.now_ms().saturating_sub(at_ms));
    let hours = age.as_secs() / 3_600;
    if age > within {
        Err(format!("the last backup is {hours} h old"))
    } else {
        Ok(format!("the last backup is {hours} h old"))
    }
}

fn trail(file: &DatabaseFile) -> Finding {
    match file.audit(None) {
        Ok(chain) => chain.broken.map_or_else(
            || Ok(format!("the audit trail has {} rows", chain.rows)),
            |broken| Err(format!("the audit trail is broken: {broken}")),
        ),
        Err(error) => Err(format!("the audit trail cannot be read: {error}")),
    }
}

fn damage(file: &DatabaseFile) -> Finding {
    if file.bytes() > QUICK_BYTES {
        return Ok("the file is large: `unisono-server verify` looks for damage".to_owned());
    }
    let in_words = |error: StoreError| error.to_string();
    let damage = file.check().map_err(in_words)?;
    let found = damage.all().next().cloned();
    found.map_or_else(
        || Ok("the database is not damaged".to_owned()),
        |text| Err(format!("the database is damaged: {text}")),
    )
}
