//! The other end: a device as a process of its own, with its own SQLite replica, told what to do over stdin.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use futures_util::future::try_join_all;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, BufReader};
use unisono::engine::SyncReport;
use unisono::events::ClientEvent;
use unisono::model::value::{canonical, hex};
use unisono::model::{EventId, ReceiptStatus, Scope};
use unisono::replica::rows::Outcome;
use unisono::storage::SqliteStorage;
use unisono::transport::HttpTransport;
use unisono::{Client, Collection, Error};
use unisono_examples::library::Library;

use crate::wire::{Answer, Change, Command, Edit, Fates, Looked};

/// The environment variable with the device's token: arguments can be read by every user of the machine.
pub const TOKEN_VARIABLE: &str = "UNISONO_TOKEN";
/// The collection that the demo works on.
pub const COLLECTION: &str = "samples";
/// Creates that are under way together while importing: they share commits.
const IMPORTED_TOGETHER: usize = 100;

#[derive(Debug, Args)]
pub struct DeviceArgs {
    #[arg(long)]
    pub replica: PathBuf,
    #[arg(long)]
    pub url: String,
    #[arg(long)]
    pub account: String,
}

/// Serves commands until stdin ends.
pub async fn run(args: DeviceArgs) -> std::io::Result<()> {
    let device = match Device::open(&args).await {
        Ok(device) => device,
        Err(error) => return say(&failed(&error)),
    };
    say(&Answer::Ready)?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match serde_json::from_str(&line) {
            Ok(command) => device.obey(command).await.unwrap_or_else(|error| failed(&error)),
            Err(error) => Answer::Failed { code: "invalid_json".into(), message: error.to_string() },
        };
        say(&answer)?;
    }
    // Nobody listens any more; the replica is closed by its drop just as well.
    drop(device.client.close().await);
    Ok(())
}

fn say(answer: &Answer) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, answer)?;
    out.write_all(b"\n")?;
    out.flush()
}

fn failed(error: &Error) -> Answer {
    Answer::Failed { code: error.code().to_owned(), message: error.to_string() }
}

struct Device {
    client: Client,
    samples: Collection,
}

impl Device {
    async fn open(args: &DeviceArgs) -> Result<Self, Error> {
        let client = Client::builder()
            .storage(SqliteStorage::open(&args.replica)?)
            .transport(HttpTransport::new(&args.url)?)
            .account(&args.account)
            .token(std::env::var(TOKEN_VARIABLE).unwrap_or_default())
            .build()
            .await?;
        let samples = client.collection(COLLECTION);
        Ok(Self { client, samples })
    }

    async fn obey(&self, command: Command) -> Result<Answer, Error> {
        Ok(match command {
            Command::Import { records } => Answer::Written { events: self.import(records).await? },
            Command::Write { edits } => {
                let mut events = Vec::with_capacity(edits.len());
                for edit in edits {
                    events.extend(self.write(edit).await?);
                }
                Answer::Written { events }
            }
            Command::Sync => Answer::Synced(self.sync().await?.into()),
            Command::Look { records } => Answer::Looked(Box::new(self.look(records).await?)),
            Command::Follow { events } => {
                let mut fates = Fates::default();
                for event in &events {
                    self.follow(event, &mut fates).await?;
                }
                Answer::Followed(fates)
            }
        })
    }

    async fn import(&self, records: usize) -> Result<Vec<EventId>, Error> {
        let library = Library::embedded().map_err(|error| Error::Internal(error.to_string()))?;
        let mut samples = library.samples().take(records);
        let mut events = Vec::with_capacity(records);
        let mut gauge = Gauge::new(records as u64);
        loop {
            let some = samples.by_ref().take(IMPORTED_TOGETHER);
            let creates: Vec<_> = some.map(|sample| self.samples.create(sample.id, sample.doc)).collect();
            if creates.is_empty() {
                return Ok(events);
            }
            events.extend(try_join_all(creates).await?);
            gauge.show(events.len() as u64);
        }
    }

    /// Makes an edit; there is no event where nothing changes.
    async fn write(&self, edit: Edit) -> Result<Option<EventId>, Error> {
        let Edit { record, change } = edit;
        match change {
            Change::Create { doc } => self.samples.create(record, doc).await.map(Some),
            Change::Set { path, value } => self.samples.edit(record).set(path, value).commit().await,
            Change::Increment { path, by } => self.samples.edit(record).increment(path, by).commit().await,
            Change::Add { path, values } => self.samples.edit(record).add(path, values).commit().await,
            Change::Delete => self.samples.delete(record).await.map(Some),
        }
    }

    /// Syncs, and shows how many events have left the queue and how many changes have come.
    async fn sync(&self) -> Result<SyncReport, Error> {
        let mut events = self.client.events();
        let queued = self.client.status().pending;
        let mut gauge = Gauge::new(queued);
        let (mut pulled, mut to_pull) = (0, 0);
        let mut sync = std::pin::pin!(self.client.sync_now());
        loop {
            tokio::select! {
                biased;
                report = &mut sync => return report,
                event = events.next() => {
                    if let Some(ClientEvent::Progress { progress, .. }) = event {
                        (pulled, to_pull) = (progress.pulled, progress.total.unwrap_or(0).max(progress.pulled));
                    }
                }
            }
            gauge.total = queued + to_pull;
            gauge.show(queued.saturating_sub(self.client.status().pending) + pulled);
        }
    }

    async fn look(&self, records: Vec<String>) -> Result<Looked, Error> {
        let mut content = Sha256::new();
        let mut count = 0;
        for record in self.samples.all().await? {
            count += 1;
            fingerprint(&mut content, record.id.as_str(), &record.doc);
        }
        let mut notes = Vec::new();
        for note in self.client.conflicts().await? {
            fingerprint(&mut content, note.id.as_str(), &note.doc);
            notes.push(note.doc.clone());
        }
        let mut docs = BTreeMap::new();
        for record in records {
            docs.insert(record.clone(), self.samples.get(&record).await?);
        }
        let replica = self.client.replica();
        let status = self.client.status();
        Ok(Looked {
            device: replica.replica().await?.device.to_string(),
            count,
            content: hex(&content.finalize()),
            digest: replica.digest(&Scope::User).await?.total().to_string(),
            pending: status.pending,
            parked: status.parked,
            docs,
            notes,
        })
    }

    async fn follow(&self, event: &EventId, fates: &mut Fates) -> Result<(), Error> {
        match self.client.outcome(event).await? {
            None => fates.lost += 1,
            Some(Outcome::Pending { .. }) => fates.pending += 1,
            Some(Outcome::Parked { .. }) => fates.parked += 1,
            Some(Outcome::Applied { receipt }) => match receipt.status {
                ReceiptStatus::Merged => fates.merged += 1,
                ReceiptStatus::Superseded => fates.superseded += 1,
                _ => fates.applied += 1,
            },
            Some(Outcome::ReplacedBy { .. }) => fates.folded += 1,
            Some(Outcome::Discarded | Outcome::Cancelled) => fates.withdrawn += 1,
        }
        Ok(())
    }
}

/// Adds one record: its name, a separator that no name may contain, and its canonical bytes.
fn fingerprint(content: &mut Sha256, id: &str, doc: &serde_json::Value) {
    content.update(id.as_bytes());
    content.update([0]);
    content.update(canonical(doc));
    content.update([0]);
}

/// Tells progress, at most a hundred times.
struct Gauge {
    total: u64,
    shown: u64,
}

impl Gauge {
    fn new(total: u64) -> Self {
        Self { total, shown: 0 }
    }

    fn show(&mut self, done: u64) {
        let step = done * 100 / self.total.max(1);
        if step != self.shown {
            self.shown = step;
            // Only a picture of what goes on: who does not look misses nothing.
            drop(say(&Answer::Progress { done, total: self.total }));
        }
    }
}
