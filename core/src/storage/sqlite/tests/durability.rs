//! What is asked of SQLite.

use rusqlite::Connection;

use super::super::log::LOG_MAX_BYTES;
use super::super::session::{COMMITS_PER_LOOK, Lane};
use super::helpers::{InFolder, apply, put};
use crate::storage::{Durability, SqliteStorage, Storage};

fn pragma(connection: &Connection, name: &str) -> String {
    let value: rusqlite::types::Value = connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap();
    match value {
        rusqlite::types::Value::Integer(number) => number.to_string(),
        rusqlite::types::Value::Text(text) => text,
        other => panic!("{name}: {other:?}"),
    }
}

fn expect(storage: &SqliteStorage, expected: &[(&str, &str)]) {
    storage
        .with_session(|session| {
            for (name, value) in expected {
                assert_eq!(session.with_writer(|connection| pragma(connection, name)), *value, "{name}");
            }
        })
        .unwrap();
}

#[test]
fn b34_full_durability_syncs_each_commit_past_the_drives_cache() {
    let folder = InFolder::new();
    let storage = SqliteStorage::open(folder.path()).unwrap();
    let expected = [("journal_mode", "wal"), ("synchronous", "2"), ("fullfsync", "1"), ("checkpoint_fullfsync", "1")];
    expect(&storage, &expected);
}

#[test]
fn normal_durability_syncs_at_checkpoints() {
    let folder = InFolder::new();
    let storage = SqliteStorage::options().durability(Durability::Normal).open(folder.path()).unwrap();
    let expected = [("journal_mode", "wal"), ("synchronous", "1"), ("fullfsync", "0"), ("checkpoint_fullfsync", "1")];
    expect(&storage, &expected);
}

#[test]
fn durability_is_a_choice_of_each_opening_and_survives_a_suspension() {
    let folder = InFolder::new();
    drop(SqliteStorage::options().durability(Durability::Normal).open(folder.path()).unwrap());
    let storage = SqliteStorage::open(folder.path()).unwrap();
    crate::testing::block_on(async {
        storage.suspend().await.unwrap();
        storage.resume().await.unwrap();
    });
    expect(&storage, &[("synchronous", "2"), ("fullfsync", "1")]);
}

#[test]
fn b36_nothing_is_compacted_by_itself_and_readers_cannot_write() {
    let folder = InFolder::new();
    let storage = folder.opened();
    expect(&storage, &[("auto_vacuum", "0"), ("page_size", "4096"), ("application_id", "1433299282")]);
    storage
        .with_session(|session| {
            for lane in [Lane::Quick, Lane::Bulk] {
                let write = session.with_reader(lane, |reader| reader.execute_batch("DELETE FROM record"));
                assert!(write.is_err());
            }
        })
        .unwrap();
}

#[test]
fn b35_a_log_that_a_reader_kept_from_shrinking_shrinks_when_the_reader_is_gone() {
    let folder = InFolder::new();
    let storage = folder.opened();
    apply(&storage, put("key", "value")).unwrap();
    let log = || std::fs::metadata(folder.beside("-wal")).unwrap().len();
    let reader = Connection::open(folder.path()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM record").unwrap();
    reader.query_row("SELECT count(*) FROM record", [], |_| Ok(())).unwrap();
    // Each with other bytes, because SQLite does not write a page that stays the same.
    for n in 0..10 {
        apply(&storage, put("key", vec![n; 4 << 20])).unwrap();
    }
    // The reader is not waited for.
    for n in 0..COMMITS_PER_LOOK {
        apply(&storage, put("other", n.to_be_bytes())).unwrap();
    }
    assert!(log() > LOG_MAX_BYTES);
    drop(reader);
    for n in 0..COMMITS_PER_LOOK {
        apply(&storage, put("other", n.to_be_bytes())).unwrap();
    }
    assert!(log() <= 8 << 20, "{}", log());
}
