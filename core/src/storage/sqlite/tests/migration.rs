//! Old files, new builds, and the other way round.

use rusqlite::Connection;

use super::super::mark::Mark;
use super::super::schema::{APPLICATION_ID, STEPS};
use super::helpers::{InFolder, apply, put, value};
use crate::storage::StorageError;

/// A file of each released version, written down as it was, with the row `key` = "kept". A new version adds its
/// own; none is ever changed.
const FIXTURES: &[&str] = &["
    CREATE TABLE meta        (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE record      (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE event       (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE outcome     (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE settled     (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE index_entry (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO record (key, value, version) VALUES (CAST('key' AS BLOB), CAST('kept' AS BLOB), 5);
", "
    CREATE TABLE meta        (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL, sum INTEGER) WITHOUT ROWID;
    CREATE TABLE record      (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL, sum INTEGER) WITHOUT ROWID;
    CREATE TABLE event       (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL, sum INTEGER) WITHOUT ROWID;
    CREATE TABLE outcome     (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL, sum INTEGER) WITHOUT ROWID;
    CREATE TABLE settled     (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL, sum INTEGER) WITHOUT ROWID;
    CREATE TABLE index_entry (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL, sum INTEGER) WITHOUT ROWID;
    INSERT INTO record (key, value, version, sum) VALUES (CAST('key' AS BLOB), CAST('kept' AS BLOB), 5, 1779450173245025946);
"];

/// The next version, as far as these tests need one.
const NEXT: &[&str] = &[
    STEPS[0],
    STEPS[1],
    "CREATE TABLE extra (key BLOB NOT NULL PRIMARY KEY) WITHOUT ROWID; INSERT INTO extra SELECT key FROM record",
    "ALTER TABLE extra ADD COLUMN note TEXT",
];

/// The next version with a mistake in its last step.
const BROKEN: &[&str] =
    &[NEXT[0], NEXT[1], NEXT[2], "INSERT INTO extra (key) VALUES (x'00'); INSERT INTO nowhere VALUES (1)"];

fn version(folder: &InFolder) -> i64 {
    Connection::open(folder.path()).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

#[test]
fn b39_a_file_of_every_released_version_opens_with_all_its_rows() {
    assert_eq!(FIXTURES.len(), STEPS.len(), "each version has a fixture");
    for (fixture, version) in FIXTURES.iter().zip(1..) {
        let folder = InFolder::new();
        let connection = Connection::open(folder.path()).unwrap();
        connection.execute_batch(fixture).unwrap();
        connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
        drop(connection);
        let storage = folder.opened();
        assert_eq!(value(&storage, "key").unwrap(), b"kept");
        apply(&storage, put("key", "new")).unwrap();
        let mark = Mark::read(&std::fs::File::open(folder.beside(".lock")).unwrap());
        assert!(mark.is_some_and(|mark| mark.frames > 0), "its log is watched: {mark:?}");
    }
}

#[test]
fn b39_a_new_build_migrates_an_old_file_and_the_old_build_then_refuses_it() {
    let mut folder = InFolder::new();
    apply(&folder.opened(), put("key", "kept")).unwrap();
    folder.options.steps = NEXT;
    let storage = folder.opened();
    assert_eq!(value(&storage, "key").unwrap(), b"kept");
    let copied: i64 = storage
        .with_session(|session| {
            session.with_writer(|writer| writer.query_row("SELECT count(*) FROM extra", [], |row| row.get(0)).unwrap())
        })
        .unwrap();
    assert_eq!(copied, 1);
    drop(storage);
    assert_eq!(version(&folder), 4);
    drop(folder.opened());
    folder.options.steps = STEPS;
    assert_eq!(folder.try_open().unwrap_err(), StorageError::NewerSchema { found: 4, known: 2 });
    folder.options.steps = NEXT;
    assert_eq!(value(&folder.opened(), "key").unwrap(), b"kept");
}

#[test]
fn b38_b39_a_migration_that_fails_leaves_the_old_file() {
    let mut folder = InFolder::new();
    apply(&folder.opened(), put("key", "kept")).unwrap();
    folder.options.steps = BROKEN;
    for _ in 0..2 {
        let error = folder.try_open().unwrap_err();
        assert!(matches!(error, StorageError::Corrupt(_)), "{error:?}");
        assert_eq!(version(&folder), 2);
    }
    folder.options.steps = STEPS;
    assert_eq!(value(&folder.opened(), "key").unwrap(), b"kept");
    folder.options.steps = NEXT;
    assert_eq!(value(&folder.opened(), "key").unwrap(), b"kept");
}

#[test]
fn b39_a_new_file_is_made_at_the_last_version_or_not_at_all() {
    let mut folder = InFolder::new();
    folder.options.steps = BROKEN;
    assert!(folder.try_open().is_err());
    folder.options.steps = NEXT;
    drop(folder.opened());
    assert_eq!(version(&folder), 4);
}
