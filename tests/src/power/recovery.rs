//! Power losses while a damaged replica is recovered: whenever they come, the queue that could be saved can still be saved,
//! and the damaged file is still there.

use std::path::{Path, PathBuf};

use serde_json::json;
use unisono::model::EventId;
use unisono::storage::{SqliteStorage, StorageError};
use unisono::testing::TestEnvironment;
use unisono::{Client, Error};
use unisono_examples::library::Library;

use super::child::{Fault, Recorded, record, scratch};
use super::client_check::integrity;
use super::client_work::{ACCOUNT, REPLICA};
use super::disk::{Disk, Image};
use super::losses::{Range, Tally, lose_power};
use super::marks::{Control, Mark, Marks};
use super::trace::Operation;

const PAGE: usize = 4096;
/// Attempts of a recovery: the second meets a lasting fault again, the third comes after it was lifted.
const ATTEMPTS: u32 = 3;

/// A replica that does not open, and the events that can be saved of it: all that wait.
#[derive(Clone, Debug)]
pub struct Damaged {
    bytes: Vec<u8>,
    events: Vec<EventId>,
}

impl Damaged {
    /// A replica with a queue, one page of whose records was overwritten.
    ///
    /// # Panics
    /// If there is no such page.
    #[must_use]
    pub fn new() -> Self {
        let environment = TestEnvironment::new(3);
        let folder = scratch();
        let path = folder.path().join(REPLICA);
        let events = environment.block_on(fill(&path, &environment)).expect("a replica is filled");
        let sound = std::fs::read(&path).expect("it is read");
        (1..sound.len() / PAGE)
            .map(|page| {
                let mut bytes = sound.clone();
                bytes[page * PAGE..(page + 1) * PAGE].fill(0x5a);
                Self { bytes, events: events.clone() }
            })
            .find(|damaged| {
                let (folder, path) = damaged.laid_out();
                let refused = matches!(SqliteStorage::open(&path), Err(StorageError::Corrupt(_)));
                let saved = || environment.block_on(SqliteStorage::recover(&path, environment.shared()));
                let found =
                    refused && saved().is_ok_and(|report| report.events == events.len() as u64 && report.identity_kept);
                drop(folder);
                found
            })
            .expect("a page whose loss costs no event")
    }

    fn laid_out(&self) -> (tempfile::TempDir, PathBuf) {
        let folder = scratch();
        let place = folder.path().join("replica");
        std::fs::create_dir(&place).expect("a folder");
        let path = place.join(REPLICA);
        std::fs::write(&path, &self.bytes).expect("the damaged file is written");
        (folder, path)
    }

    /// Records its recovery by a child of `program`, the `power` binary.
    ///
    /// # Errors
    /// What keeps it from being run.
    pub fn recorded(&self, program: &Path, fault: Option<Fault>) -> Result<Recorded, String> {
        let (_folder, path) = self.laid_out();
        let place = path.parent().unwrap_or(Path::new("."));
        let mut arguments = vec!["recover".to_owned(), place.display().to_string()];
        if let Some(fault) = fault {
            arguments.extend(["--fault".to_owned(), fault.to_string()]);
        }
        record(program, &arguments, place)
    }

    /// Loses power at each moment of a recovery, and goes on from what is left.
    #[must_use]
    pub fn losses(&self, operations: &[Operation], range: Range, enough: usize) -> Tally {
        let disk = Disk::holding(Image::from([(REPLICA.to_owned(), self.bytes.clone())]));
        let note = |done: &mut bool, mark: &Mark| *done |= matches!(mark, Mark::Step { .. });
        lose_power(disk, operations, range, enough, &mut false, note, |folder, done, _| self.check(folder, *done))
    }

    fn check(&self, folder: &Path, done: bool) -> Result<(), String> {
        let path = folder.join(REPLICA);
        let environment = TestEnvironment::new(9);
        match SqliteStorage::open(&path) {
            Ok(storage) => drop(storage),
            Err(StorageError::Corrupt(what)) if done => return Err(format!("recovered, and damaged again: {what}")),
            Err(StorageError::Corrupt(_)) => {
                environment
                    .block_on(SqliteStorage::recover(&path, environment.shared()))
                    .map_err(|error| format!("it is not recovered again: {error}"))?;
            }
            Err(error) => return Err(format!("it neither opens nor is damaged: {error}")),
        }
        environment.block_on(self.holds_all(&path, &environment))?;
        integrity(&path)?;
        if self.is_kept_aside(folder) { Ok(()) } else { Err("the damaged file is gone".into()) }
    }

    async fn holds_all(&self, path: &Path, environment: &TestEnvironment) -> Result<(), String> {
        let words = |error: Error| format!("{}: {error}", error.code());
        let storage = SqliteStorage::open(path).map_err(|error| format!("it does not open again: {error}"))?;
        let client = builder(storage, environment).build().await.map_err(words)?;
        let waiting: Vec<_> = client.pending().await.map_err(words)?.into_iter().map(|event| event.id).collect();
        if waiting != self.events {
            return Err(format!("{} of {} events are left", waiting.len(), self.events.len()));
        }
        client.collection("samples").create("after", json!({"name": "Kick"})).await.map_err(words)?;
        client.close().await.map_err(words)
    }

    fn is_kept_aside(&self, folder: &Path) -> bool {
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        files
            .filter(|file| file.file_name().to_string_lossy().contains(".damaged-"))
            .any(|file| std::fs::read(file.path()).is_ok_and(|bytes| bytes == self.bytes))
    }
}

impl Default for Damaged {
    fn default() -> Self {
        Self::new()
    }
}

fn builder(storage: SqliteStorage, environment: &TestEnvironment) -> unisono::ClientBuilder {
    Client::builder().storage(storage).environment(environment.clone()).account(ACCOUNT)
}

async fn fill(path: &Path, environment: &TestEnvironment) -> Result<Vec<EventId>, Error> {
    let client = builder(SqliteStorage::open(path)?, environment).build().await?;
    let samples = client.collection("samples");
    let library = Library::embedded().expect("the sample library");
    let mut events = Vec::new();
    for sample in library.samples().take(24) {
        events.push(samples.create(&sample.id, sample.doc).await?);
    }
    client.close().await?;
    Ok(events)
}

/// Recovers the replica in `folder`: the child's work.
///
/// # Panics
/// If it does not succeed after the fault is gone.
pub fn run(folder: &Path, fault: Option<Fault>) {
    let marks = Marks::open(folder).expect("the record");
    let mut control = Control::open(folder).expect("the way to the shim");
    if let Some(fault) = fault {
        control.say(&format!("arm {fault}"));
    }
    let environment = TestEnvironment::new(4);
    let path = folder.join(REPLICA);
    for attempt in 1..=ATTEMPTS {
        if attempt == ATTEMPTS {
            control.say("lift");
        }
        match recover(&path, &environment) {
            Ok(()) => {
                marks.put(&Mark::Step { name: "recovered".into() });
                break;
            }
            Err(error) => {
                assert!(attempt < ATTEMPTS, "it does not work after the fault is gone: {error}");
                let (code, message) = (error.code().to_owned(), error.to_string());
                marks.put(&Mark::Refused { step: "recover".into(), code, message, attempt });
            }
        }
    }
    if control.say("fired") {
        marks.put(&Mark::Struck);
    }
}

/// What an app does that finds its replica damaged. An earlier attempt may have succeeded but for its last flush.
fn recover(path: &Path, environment: &TestEnvironment) -> Result<(), Error> {
    match SqliteStorage::open(path) {
        Err(StorageError::Corrupt(_)) => {
            environment.block_on(SqliteStorage::recover(path, environment.shared()))?;
        }
        opened => drop(opened?),
    }
    Ok(())
}
