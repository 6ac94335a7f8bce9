//! Files that are not, or no longer, a replica.

use std::path::Path;

use rusqlite::Connection;

use super::helpers::{InFolder, apply, put, value};
use crate::storage::{Batch, RowKey, Scan, Storage, StorageError, Table};
use crate::testing::block_on;

/// A closed replica with some pages in it.
fn filled() -> InFolder {
    let folder = InFolder::new();
    let storage = folder.opened();
    let put = (0..400_u32)
        .map(|n| (RowKey { table: Table::ALL[n as usize % 6], key: n.to_be_bytes().to_vec() }, vec![n as u8; 100]))
        .collect();
    apply(&storage, Batch { put, ..Batch::default() }).unwrap();
    drop(storage);
    folder
}

/// Opening fails with an error that `expected` knows, and the file stays as it is.
fn refused(folder: &InFolder, expected: impl Fn(&StorageError) -> bool) {
    let before = std::fs::read(folder.path()).unwrap();
    let error = folder.try_open().expect_err("it is refused");
    assert!(expected(&error), "{error:?}");
    assert!(std::fs::read(folder.path()).unwrap() == before, "the file was changed: {error:?}");
}

fn corrupt(error: &StorageError) -> bool {
    matches!(error, StorageError::Corrupt(_))
}

fn foreign(error: &StorageError) -> bool {
    matches!(error, StorageError::Foreign(_))
}

fn sql(path: &Path, text: &str) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(text).unwrap();
    connection
}

#[test]
fn b35_a_file_that_is_not_sqlite_is_refused_and_left_alone() {
    let folder = InFolder::new();
    let long = "not a database ".repeat(1000);
    for content in [&b"x"[..], b"SQLite format 3\0", long.as_bytes(), &[0; 5000]] {
        std::fs::write(folder.path(), content).unwrap();
        refused(&folder, corrupt);
    }
}

#[test]
fn an_empty_file_becomes_a_replica() {
    let folder = InFolder::new();
    std::fs::write(folder.path(), b"").unwrap();
    let storage = folder.opened();
    apply(&storage, put("key", "value")).unwrap();
    assert_eq!(value(&storage, "key").unwrap(), b"value");
}

/// Power was lost while SQLite wrote the first pages of a new file: some sectors are there and some are not, and the journal
/// says that there was nothing before.
#[test]
fn b35_a_creation_that_lost_its_power_is_begun_again() {
    let page_without_its_first_sector = [&[0; 512][..], &[7; 3584]].concat();
    for torn in [vec![0; 512], page_without_its_first_sector, b"SQLite".to_vec()] {
        let folder = InFolder::new();
        std::fs::write(folder.path(), &torn).unwrap();
        refused(&folder, corrupt);
        let header = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7, 0, 0, 0, 0, 1, 2, 3, 4];
        let before = |pages: u32| {
            let numbers = [pages, 512, 4096].map(u32::to_be_bytes).concat();
            let mut journal = [&header[..], &numbers].concat();
            journal.resize(512, 0);
            journal
        };
        // Something was there before: that is not ours to give up.
        std::fs::write(folder.beside("-journal"), before(2)).unwrap();
        refused(&folder, corrupt);
        std::fs::write(folder.beside("-journal"), before(0)).unwrap();
        let storage = folder.opened();
        apply(&storage, put("key", "value")).unwrap();
        assert_eq!(value(&storage, "key").unwrap(), b"value");
    }
}

#[test]
fn another_programs_file_is_refused_and_left_alone() {
    let contents = [
        "PRAGMA application_id = 99; CREATE TABLE note (text)",
        "PRAGMA application_id = 99",
        "CREATE TABLE note (text); INSERT INTO note VALUES ('mine')",
        "PRAGMA user_version = 3",
        "PRAGMA journal_mode = WAL; CREATE TABLE meta (key BLOB PRIMARY KEY, value BLOB, version INTEGER)",
    ];
    for content in contents {
        let folder = InFolder::new();
        drop(Connection::open(folder.path()).unwrap().execute_batch(content));
        refused(&folder, foreign);
    }
}

#[test]
fn another_programs_unfinished_log_is_left_alone() {
    let original = InFolder::new();
    let folder = InFolder::new();
    let open =
        sql(&original.path(), "PRAGMA journal_mode = WAL; CREATE TABLE note (text); INSERT INTO note VALUES ('mine')");
    // As after a crash: the files of an open database.
    for suffix in ["", "-wal"] {
        std::fs::copy(original.beside(suffix), folder.beside(suffix)).unwrap();
    }
    drop(open);
    let log = std::fs::read(folder.beside("-wal")).unwrap();
    assert!(!log.is_empty());
    refused(&folder, foreign);
    assert!(std::fs::read(folder.beside("-wal")).unwrap() == log);
}

#[test]
fn b39_a_newer_schema_is_refused_and_left_alone() {
    let folder = filled();
    drop(sql(&folder.path(), "PRAGMA user_version = 99"));
    refused(&folder, |error| *error == StorageError::NewerSchema { found: 99, known: 2 });
    drop(sql(&folder.path(), "PRAGMA user_version = -1"));
    refused(&folder, corrupt);
}

#[test]
fn b35_a_truncated_file_is_refused_and_left_alone() {
    let whole = std::fs::read(filled().path()).unwrap();
    let folder = InFolder::new();
    for length in [1, 50, 99, 100, 512, 4095, 4096, 4097, 8192, whole.len() / 2, whole.len() - 4096] {
        std::fs::write(folder.path(), &whole[..length]).unwrap();
        refused(&folder, corrupt);
    }
}

#[test]
fn b35_a_flipped_bit_in_the_header_opens_or_is_a_typed_error_that_leaves_the_file_alone() {
    let whole = std::fs::read(filled().path()).unwrap();
    let folder = InFolder::new();
    let mut refusals = 0;
    for byte in 0..108 {
        for bit in [0, 3, 7] {
            let mut flipped = whole.clone();
            flipped[byte] ^= 1 << bit;
            std::fs::write(folder.path(), &flipped).unwrap();
            match folder.try_open() {
                // Some fields are hints that SQLite does not need.
                Ok(storage) => drop(storage),
                Err(StorageError::Io(message)) => panic!("byte {byte}, bit {bit}: {message}"),
                Err(_) => {
                    refusals += 1;
                    assert!(std::fs::read(folder.path()).unwrap() == flipped, "byte {byte}, bit {bit}");
                }
            }
        }
    }
    assert!(refusals > 60, "{refusals}");
}

#[test]
fn b35_damaged_tables_are_refused_at_open() {
    let folder = filled();
    drop(sql(&folder.path(), "DROP TABLE event"));
    refused(&folder, corrupt);
}

#[test]
fn b35_a_crash_makes_the_next_open_look_for_damage() {
    let original = filled();
    let open = original.opened();
    apply(&open, put("key", "in the log")).unwrap();
    let folder = InFolder::new();
    for suffix in ["", "-wal"] {
        std::fs::copy(original.beside(suffix), folder.beside(suffix)).unwrap();
    }
    drop(open);
    // A page that the log does not replace.
    let mut bytes = std::fs::read(folder.path()).unwrap();
    let last = bytes.len() - 4096;
    bytes[last..last + 64].fill(0xa5);
    std::fs::write(folder.path(), &bytes).unwrap();
    let log = std::fs::read(folder.beside("-wal")).unwrap();
    refused(&folder, corrupt);
    assert!(std::fs::read(folder.beside("-wal")).unwrap() == log, "the log is kept for a rescue");
}

/// A bit of a value flips on the medium; SQLite's own check has nothing against it.
#[test]
fn b35_a_value_that_the_medium_has_changed_is_damage_and_not_data() {
    let folder = InFolder::new();
    apply(&folder.opened(), put("key", "a value that is easily found")).unwrap();
    let storage = folder.opened();
    let change = "UPDATE record SET value = CAST('another value' AS BLOB)";
    storage.with_session(|session| session.with_writer(|file| file.execute_batch(change).unwrap())).unwrap();
    let key = RowKey { table: Table::Record, key: b"key".to_vec() };
    assert!(matches!(block_on(storage.get(vec![key])), Err(StorageError::Corrupt(_))));
    let all = block_on(storage.scan(Scan::prefix(Table::Record, b"")));
    assert!(matches!(all, Err(StorageError::Corrupt(_))), "{all:?}");
    drop(storage);
    assert_eq!(
        sql(&folder.path(), "").query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)),
        Ok("ok".into())
    );
    refused(&folder, corrupt);
}

/// A key that has changed is missed by nobody who asks for it: only a look at all rows finds it.
#[test]
fn b35_a_key_that_the_medium_has_changed_is_found_at_open() {
    let folder = InFolder::new();
    apply(&folder.opened(), put("key-1", "value")).unwrap();
    drop(sql(&folder.path(), "UPDATE record SET key = CAST('key-0' AS BLOB)"));
    refused(&folder, corrupt);
}
