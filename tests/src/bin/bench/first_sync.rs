//! The first sync of a large scope into an empty replica: how long it takes, and that memory stays flat meanwhile.
//!
//! It runs in a process of its own, so that what the process takes is what the sync takes.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use clap::Args;
use serde::{Deserialize, Serialize};
use unisono::Client;
use unisono::client::Events;
use unisono::events::ClientEvent;
use unisono::storage::SqliteStorage;
use unisono::transport::HttpTransport;

use crate::documents::documents;
use crate::drain::fill;
use crate::measure::{Measured, Options, Result, Target};
use crate::place::{Backend, Place};

const ACCOUNT: &str = "library";
const TOKEN_VARIABLE: &str = "UNISONO_TOKEN";
const RECORDS: usize = 100_000;
/// Memory is looked at after each fifth of the records.
const LOOKS: u64 = 5;
/// Records that are queued at a time while the server is filled, which is not measured.
const FILLED: usize = 10_000;

#[derive(Debug, Args)]
pub struct ChildArgs {
    #[arg(long)]
    replica: PathBuf,
    #[arg(long)]
    url: String,
    #[arg(long)]
    records: u64,
}

/// What the child has seen.
#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    seconds: f64,
    pulled: u64,
    /// KiB resident before the sync.
    before: u64,
    /// KiB resident after so many records.
    after: Vec<(u64, u64)>,
    /// The most KiB that were ever resident.
    peak: u64,
}

pub async fn run(place: &Place, options: Options) -> Result<Vec<Measured>> {
    let records = options.amount(RECORDS);
    let backend = place.server().await?;
    seed(place, &backend, records).await?;
    let target = if options.quick { Target::None } else { Target::AtMost(1.5) };
    let mut time = Measured::new(format!("first sync of {records} records"), "s", target);
    let mut memory: Vec<Measured> = (1..=LOOKS)
        .map(|look| {
            Measured::new(
                format!("… memory over its start, after {}", records as u64 * look / LOOKS),
                "MiB",
                Target::None,
            )
        })
        .collect();
    let mut peak = Measured::new("… memory over its start, at most", "MiB", Target::AtMost(60.0));
    for _ in 0..options.rounds {
        let seen = in_child(place, &backend, records).await?;
        if seen.pulled != records as u64 {
            return Err(format!("{} records came of {records}", seen.pulled).into());
        }
        time.samples.push(seen.seconds);
        let over = |now: u64| now.saturating_sub(seen.before) as f64 / 1024.0;
        for (measured, (_, now)) in memory.iter_mut().zip(&seen.after) {
            measured.samples.push(over(*now));
        }
        peak.samples.push(over(seen.peak));
    }
    Ok([time].into_iter().chain(memory).chain([peak]).collect())
}

async fn seed(place: &Place, backend: &Backend, records: usize) -> Result<()> {
    let client = backend.client(ACCOUNT, &place.fresh("seed")).await?;
    for some in documents(records)?.chunks(FILLED) {
        fill(&client, some).await?;
        client.sync_now().await?;
    }
    client.close().await?;
    Ok(())
}

async fn in_child(place: &Place, backend: &Backend, records: usize) -> Result<Seen> {
    let output = tokio::process::Command::new(std::env::current_exe()?)
        .args(["first-sync", "--url", backend.url(), "--records", &records.to_string(), "--replica"])
        .arg(place.fresh("replica"))
        .env(TOKEN_VARIABLE, backend.token(ACCOUNT).await?)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await?;
    if !output.status.success() {
        return Err(format!("the first sync ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The child's part.
pub async fn child(args: ChildArgs) -> Result<()> {
    let client = Client::builder()
        .storage(SqliteStorage::open(&args.replica)?)
        .transport(HttpTransport::new(&args.url)?)
        .account(ACCOUNT)
        .token(std::env::var(TOKEN_VARIABLE)?)
        .build()
        .await?;
    let before = resident("VmRSS")?;
    let looks = tokio::spawn(watch(client.events(), args.records));
    let began = Instant::now();
    let report = client.sync_now().await?;
    let seconds = began.elapsed().as_secs_f64();
    let after = looks.await??;
    let seen = Seen { seconds, pulled: report.pulled, before, after, peak: resident("VmHWM")? };
    client.close().await?;
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, &seen)?;
    out.flush()?;
    Ok(())
}

/// Looks at the memory after each fifth of the records, in a task of its own: the sync may keep its thread to itself.
async fn watch(mut events: Events, records: u64) -> Result<Vec<(u64, u64)>> {
    let mut after: Vec<(u64, u64)> = Vec::new();
    while let Some(event) = events.next().await {
        let (pulled, ended) = match event {
            ClientEvent::Progress { progress, .. } => (progress.pulled, false),
            ClientEvent::Synced { report, .. } => (report.pulled, true),
            _ => continue,
        };
        while after.len() < LOOKS as usize && pulled >= records * (after.len() as u64 + 1) / LOOKS {
            after.push((pulled, resident("VmRSS")?));
        }
        if ended {
            break;
        }
    }
    Ok(after)
}

/// A line of `/proc/self/status`, in KiB; 0 on systems that have none.
fn resident(what: &str) -> Result<u64> {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return Ok(0) };
    let line = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.map(str::parse).transpose()?.unwrap_or(0))
}
