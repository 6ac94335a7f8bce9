//! A log that is gone or cut off, although its process has not closed it (pitfall B35).

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;

use super::helpers::{InFolder, apply, put, value};
use crate::storage::{Batch, Durability, SqliteStorage, Storage, StorageError};
use crate::testing::{TestEnvironment, block_on};

const EVERYTHING: [&str; 3] = ["", "-wal", ".lock"];

/// A replica at `durability` with some commits in its log.
fn written(durability: Durability) -> (InFolder, SqliteStorage) {
    let mut folder = InFolder::new();
    folder.options = folder.options.durability(durability);
    let storage = folder.opened();
    for n in 0..20_u8 {
        apply(&storage, put(&format!("key-{n:02}"), [n; 500])).unwrap();
    }
    (folder, storage)
}

/// What is on the disk, of some of its files, as if its process had been killed now.
fn left_behind(folder: &InFolder, suffixes: &[&str]) -> InFolder {
    let mut copy = InFolder::new();
    copy.options = folder.options.clone();
    take_over(folder, &copy, suffixes);
    copy
}

fn take_over(from: &InFolder, to: &InFolder, suffixes: &[&str]) {
    for suffix in suffixes {
        std::fs::copy(from.beside(suffix), to.beside(suffix)).unwrap();
    }
}

fn missed(folder: &InFolder) {
    let before = std::fs::read(folder.path()).unwrap();
    match folder.try_open() {
        Err(StorageError::Corrupt(message)) => assert!(message.contains("-wal"), "{message}"),
        other => panic!("{other:?}"),
    }
    assert!(std::fs::read(folder.path()).unwrap() == before, "the file is left alone");
}

fn has(folder: &InFolder, key: &str) {
    assert!(value(&folder.opened(), key).is_some(), "{key}");
}

#[test]
fn b35_a_log_that_vanished_with_acknowledged_writes_is_missed_at_every_durability() {
    for durability in [Durability::Full, Durability::Normal] {
        let (folder, storage) = written(durability);
        missed(&left_behind(&folder, &["", ".lock"]));
        has(&left_behind(&folder, &EVERYTHING), "key-19");
        drop(storage);
    }
}

#[test]
fn b35_a_log_that_was_cut_off_or_damaged_anywhere_is_missed() {
    let (folder, _storage) = written(Durability::Full);
    let log = std::fs::read(folder.beside("-wal")).unwrap();
    for length in [0, 31, 32, 4000, log.len() / 2, log.len() - 1] {
        let killed = left_behind(&folder, &EVERYTHING);
        std::fs::write(killed.beside("-wal"), &log[..length]).unwrap();
        missed(&killed);
    }
    for byte in [17, 40, log.len() / 2, log.len() - 100] {
        let killed = left_behind(&folder, &EVERYTHING);
        let mut damaged = log.clone();
        damaged[byte] ^= 4;
        std::fs::write(killed.beside("-wal"), &damaged).unwrap();
        missed(&killed);
    }
}

#[test]
fn a_log_that_was_begun_anew_again_and_again_is_missed_too_and_found_where_it_is() {
    let mut folder = InFolder::new();
    folder.options = folder.options.durability(Durability::Full).checkpoint_bytes(64 << 10);
    let storage = folder.opened();
    let mut begun = std::collections::BTreeSet::new();
    for n in 0..200_u8 {
        apply(&storage, put(&format!("key-{n:03}"), [n; 3000])).unwrap();
        let killed = left_behind(&folder, &EVERYTHING);
        begun.insert(std::fs::read(killed.beside("-wal")).unwrap()[12..16].to_vec());
        if n % 10 == 0 {
            has(&killed, &format!("key-{n:03}"));
            let killed = left_behind(&folder, &["", ".lock"]);
            // Some moments have all of it in the file.
            match killed.try_open() {
                Ok(opened) => assert!(value(&opened, &format!("key-{n:03}")).is_some()),
                Err(StorageError::Corrupt(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    assert!(begun.len() > 3, "{}", begun.len());
}

#[test]
fn what_was_closed_dropped_or_copied_alone_opens_without_its_log() {
    let (folder, storage) = written(Durability::Full);
    block_on(storage.close()).unwrap();
    has(&left_behind(&folder, &["", ".lock"]), "key-19");
    let storage = folder.opened();
    apply(&storage, put("dropped", "1")).unwrap();
    drop(storage);
    assert!(!folder.beside("-wal").exists());
    has(&left_behind(&folder, &["", ".lock"]), "dropped");
    let storage = folder.opened();
    apply(&storage, put("later", "1")).unwrap();
    // Without the file of the lock nobody can know.
    has(&left_behind(&folder, &[""]), "dropped");
}

#[test]
fn another_program_that_looks_into_the_file_of_a_killed_process_takes_nothing_away() {
    let (folder, _storage) = written(Durability::Full);
    let killed = left_behind(&folder, &EVERYTHING);
    let look = Connection::open(killed.path()).unwrap();
    let rows: i64 = look.query_row("SELECT count(*) FROM record", [], |row| row.get(0)).unwrap();
    drop(look);
    assert_eq!((rows, killed.beside("-wal").exists()), (20, false), "it has moved the log into the file");
    has(&killed, "key-19");
}

/// A loss of power may keep the mark and take the log, as far as it was not flushed; or the other way round.
#[test]
fn b34_a_loss_of_power_at_normal_opens_unless_what_was_flushed_is_missing() {
    let (folder, storage) = written(Durability::Normal);
    let earlier = left_behind(&folder, &EVERYTHING);
    apply(&storage, put("later", "1")).unwrap();
    let lost = left_behind(&folder, &EVERYTHING);
    take_over(&earlier, &lost, &["-wal"]);
    assert_eq!(value(&lost.opened(), "later"), None, "an earlier state");
    std::fs::write(lost.beside("-wal"), b"").unwrap();
    let lost = left_behind(&folder, &EVERYTHING);
    std::fs::write(lost.beside("-wal"), b"").unwrap();
    drop(lost.opened());

    apply(&storage, Batch { durable: true, ..put("sent", "1") }).unwrap();
    apply(&storage, put("last", "1")).unwrap();
    let lost = left_behind(&folder, &EVERYTHING);
    take_over(&earlier, &lost, &["-wal"]);
    missed(&lost);
    let lost = left_behind(&folder, &EVERYTHING);
    take_over(&earlier, &lost, &[".lock"]);
    has(&lost, "last");
}

#[test]
fn a_log_that_the_last_owner_has_left_is_missed_before_anything_new_is_written() {
    let (folder, _storage) = written(Durability::Full);
    let killed = left_behind(&folder, &EVERYTHING);
    let _second = killed.opened();
    missed(&left_behind(&killed, &["", ".lock"]));
}

#[test]
fn b35_a_replica_that_was_cut_to_nothing_is_damage_and_one_that_was_removed_is_a_new_one() {
    let (folder, storage) = written(Durability::Full);
    drop(storage);
    std::fs::write(folder.path(), b"").unwrap();
    assert!(matches!(folder.try_open(), Err(StorageError::Corrupt(_))));
    std::fs::remove_file(folder.path()).unwrap();
    assert_eq!(value(&folder.opened(), "key-19"), None);
}

#[test]
fn a_recovery_tells_of_the_lost_log_and_its_replica_opens() {
    let (folder, _storage) = written(Durability::Full);
    let killed = left_behind(&folder, &["", ".lock"]);
    missed(&killed);
    let recover = |path: PathBuf| block_on(SqliteStorage::recover(path, Arc::new(TestEnvironment::new(3)))).unwrap();
    assert!(recover(killed.path()).log_lost);
    drop(killed.opened());
    assert!(!recover(killed.path()).log_lost);
}
