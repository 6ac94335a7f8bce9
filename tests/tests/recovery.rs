//! Damaged files: a typed error, or data that is as it was written; and a recovery that saves the queue (pitfall B35).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use unisono::model::{EventId, ReceiptStatus, RecordKey, Scope};
use unisono::recovery::RecoveryReport;
use unisono::replica::rows::Outcome;
use unisono::storage::{SqliteStorage, StorageError};
use unisono::testing::{SeededRandom, TestEnvironment};
use unisono::{Client, Error};
use unisono_examples::library::Library;
use unisono_tests::{World, canonical_state};

const ACCOUNT: &str = "anna";
const FILES: u64 = 500;
const SEED: u64 = 0x00c0_ffee;

/// A closed replica with synced records, and unsent work on top of them.
struct Original {
    world: World,
    env: TestEnvironment,
    bytes: Vec<u8>,
    unsent: Vec<EventId>,
    confirmed: BTreeMap<RecordKey, Vec<u8>>,
}

fn client(world: &World, env: &TestEnvironment, path: &Path) -> Result<Client, Error> {
    let builder = Client::builder()
        .storage(SqliteStorage::open(path)?)
        .transport(world.network())
        .environment(env.clone())
        .account(ACCOUNT)
        .token(ACCOUNT);
    world.run(builder.build())
}

impl Original {
    fn new() -> Self {
        let world = World::new(5);
        let env = world.env.device(0);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("replica.db");
        let client = client(&world, &env, &path).unwrap();
        let samples = client.collection("samples");
        let library: Vec<_> = Library::embedded().unwrap().samples().take(80).collect();
        for sample in &library[..60] {
            world.run(samples.create(&sample.id, sample.doc.clone())).unwrap();
        }
        world.run(client.sync_now()).unwrap();
        let mut unsent = Vec::new();
        for (index, sample) in library[..30].iter().enumerate() {
            unsent.extend(world.run(samples.update(&sample.id, json!({"rating": index}))).unwrap());
        }
        for sample in &library[60..] {
            unsent.push(world.run(samples.create(&sample.id, sample.doc.clone())).unwrap());
        }
        let confirmed = world.run(canonical_state(&client, &Scope::User));
        world.run(client.close()).unwrap();
        Self { bytes: std::fs::read(&path).unwrap(), world, env, unsent, confirmed }
    }
}

/// What happens to the `number`th file.
fn damaged(original: &[u8], number: u64) -> Vec<u8> {
    let mut random = SeededRandom::stream(SEED, number);
    let mut bytes = original.to_vec();
    let length = bytes.len() as u64;
    match number % 4 {
        0 => bytes.truncate(1 + random.below(length - 1) as usize),
        1 => {
            for _ in 0..=random.below(4) {
                bytes[random.below(length) as usize] ^= 1 << random.below(8);
            }
        }
        2 => {
            for _ in 0..=random.below(4) {
                let at = random.below(length / 512) as usize * 512;
                bytes[at..at + 512].fill(0);
            }
        }
        _ => {
            let at = random.below(length / 4096) as usize * 4096;
            random.fill(&mut bytes[at..at + 4096]);
        }
    }
    bytes
}

fn laid_out(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replica.db");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// Reads everything there is. An answer that is not an error must be the truth.
fn read_all(original: &Original, path: &Path) -> Result<(), Error> {
    let client = client(&original.world, &original.env, path)?;
    let read = original.world.run(async {
        let pending = client.pending().await?;
        let ids: Vec<_> = pending.iter().map(|event| event.id.clone()).collect();
        assert_eq!(ids, original.unsent, "the queue is whole, or an error");
        for id in &original.unsent {
            let outcome = client.outcome(id).await?;
            assert!(matches!(outcome, Some(Outcome::Pending { .. })), "{outcome:?}");
        }
        let samples = client.collection("samples");
        for key in original.confirmed.keys() {
            samples.get(key.record.as_str()).await?;
        }
        Ok(())
    });
    drop(original.world.run(client.close()));
    read
}

fn recover(original: &Original, path: &Path) -> Result<RecoveryReport, Error> {
    original.world.run(SqliteStorage::recover(path, original.env.shared()))
}

#[test]
fn b35_five_hundred_damaged_files_are_typed_errors_and_recover_every_event_that_can_be_read() {
    let original = Original::new();
    let (mut unharmed, mut whole, mut saved) = (0, 0, 0);
    for number in 0..FILES {
        let bytes = damaged(&original.bytes, number);
        let (_folder, path) = laid_out(&bytes);
        match read_all(&original, &path) {
            Ok(()) => {
                unharmed += 1;
                continue;
            }
            Err(Error::Storage(StorageError::Corrupt(_) | StorageError::Foreign(_))) => {}
            Err(Error::Storage(StorageError::NewerSchema { .. })) => continue,
            Err(other) => panic!("file {number}: {}: {other}", other.code()),
        }
        // As it was before anybody looked at it.
        let (_folder, path) = laid_out(&bytes);
        let report = recover(&original, &path).unwrap_or_else(|error| panic!("file {number}: {error}"));
        assert_eq!(std::fs::read(&report.kept_aside).unwrap(), bytes, "file {number}: the original is kept");
        let replica = open_recovered(&original, &path, &report);
        let pending = original.world.run(replica.pending()).unwrap();
        let parked = original.world.run(replica.parked()).unwrap();
        let mut ids: Vec<_> = pending.iter().chain(&parked).map(|event| event.id.clone()).collect();
        ids.sort();
        assert_eq!(ids.len() as u64, report.events);
        saved += report.events;
        let mut told: Vec<_> = ids.iter().chain(&report.lost_events).cloned().collect();
        told.sort();
        told.dedup();
        assert_eq!(told.len(), ids.len() + report.lost_events.len(), "an event is saved or lost, not both");
        let known = |id: &EventId| original.unsent.contains(id);
        assert!(told.iter().all(known), "file {number}: nothing comes back that was not waiting");
        if ids.len() == original.unsent.len() {
            whole += 1;
        }
        original.world.run(replica.close()).unwrap();
        assert!(SqliteStorage::open(&path).is_ok());
    }
    println!("{FILES} files: {unharmed} unharmed, {whole} recovered with the whole queue, {saved} events saved");
    assert!(whole > 100 && unharmed < 200, "{unharmed} unharmed, {whole} whole");
}

fn open_recovered(original: &Original, path: &Path, report: &RecoveryReport) -> Client {
    let builder = Client::builder()
        .storage(SqliteStorage::open(path).expect("what was recovered opens"))
        .transport(original.world.network())
        .environment(original.env.clone())
        .account(ACCOUNT)
        .token(ACCOUNT);
    let builder = if report.identity_kept { builder } else { builder.claim_anonymous() };
    original.world.run(builder.build()).expect("the client opens")
}

#[test]
fn b35_a_recovered_replica_sends_its_queue_once_and_equals_the_server() {
    for number in [3, 7, 11, 15, 19, 23, 27, 31] {
        let original = Original::new();
        let bytes = damaged(&original.bytes, number);
        let (_folder, path) = laid_out(&bytes);
        let report = recover(&original, &path).unwrap();
        let replica = open_recovered(&original, &path, &report);
        original.world.run(replica.sync_now()).unwrap();
        original.world.run(replica.sync_now()).unwrap();
        let status = replica.status();
        assert_eq!((status.pending, status.parked), (0, 0), "file {number}");
        for id in original.unsent.iter().filter(|id| !report.lost_events.contains(id)) {
            let outcome = original.world.run(replica.outcome(id)).unwrap();
            // Where event and outcome lay on the damaged page, nothing is left that could be told of.
            let traceless = outcome.is_none() && report.events + (report.lost_events.len() as u64) < 50;
            assert!(matches!(outcome, Some(Outcome::Applied { .. })) || traceless, "{id}: {outcome:?}");
        }
        let held = original.world.run(canonical_state(&replica, &Scope::User));
        assert!(held == original.world.server_state(ACCOUNT, &Scope::User), "file {number}: it equals the server");
        assert_eq!(original.world.server.verify(ACCOUNT, &Scope::User), Vec::<String>::new());
        let samples = replica.collection("samples");
        original.world.run(samples.create("after", json!({"name": "Kick"}))).unwrap();
        original.world.run(replica.sync_now()).unwrap();
        let seen: Option<Value> = original.world.run(samples.get("after")).unwrap();
        assert_eq!(seen, Some(json!({"name": "Kick"})));
        original.world.run(replica.close()).unwrap();
    }
}

#[test]
fn b35_a_record_whose_row_was_lost_is_not_taken_for_one_that_is_not_there() {
    let mut met = 0;
    for number in (2..60).step_by(4) {
        let original = Original::new();
        let (_folder, path) = laid_out(&damaged(&original.bytes, number));
        let Ok(report) = recover(&original, &path) else { continue };
        let replica = open_recovered(&original, &path, &report);
        let samples = replica.collection("samples");
        let lost = original
            .confirmed
            .keys()
            .find(|key| original.world.run(samples.get(key.record.clone())).unwrap().is_none());
        let Some(lost) = lost else { continue };
        met += 1;
        let id = original.world.run(samples.create(lost.record.clone(), json!({"name": "mine"}))).unwrap();
        original.world.run(replica.sync_now()).unwrap();
        let Some(Outcome::Applied { receipt }) = original.world.run(replica.outcome(&id)).unwrap() else {
            panic!("file {number}: {lost} is not settled");
        };
        assert_eq!(
            receipt.status,
            ReceiptStatus::Merged,
            "file {number}: what it had not seen is not overwritten unnoted"
        );
        original.world.run(replica.close()).unwrap();
    }
    assert!(met > 0, "some file has lost a record's row");
}

#[test]
fn b35_a_recovery_that_was_interrupted_after_its_commit_is_finished_by_the_next_opening() {
    let original = Original::new();
    let (folder, path) = laid_out(&original.bytes);
    recover(&original, &path).unwrap();
    let recovered = std::fs::read(&path).unwrap();
    // As a crash leaves it that came before anything was moved, and one that came after the damaged log was.
    for moved in [false, true] {
        let beside = |suffix: &str| folder.path().join(format!("replica.db{suffix}"));
        let kept = if moved { ".damaged-3" } else { ".damaged-2" };
        std::fs::write(&path, b"the damaged file").unwrap();
        std::fs::write(beside(".recovered"), &recovered).unwrap();
        let log = if moved { beside(&format!("{kept}-wal")) } else { beside("-wal") };
        std::fs::write(log, b"the damaged log").unwrap();
        drop(SqliteStorage::open(&path).unwrap());
        assert_eq!(std::fs::read(beside(kept)).unwrap(), b"the damaged file");
        assert_eq!(std::fs::read(beside(&format!("{kept}-wal"))).unwrap(), b"the damaged log");
        assert!(!beside(".recovered").exists());
        assert_eq!(read_all(&original, &path).map_err(|error| error.to_string()), Ok(()));
    }
}
