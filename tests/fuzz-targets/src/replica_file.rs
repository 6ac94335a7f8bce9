//! Files that claim to be a replica.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;
use unisono::storage::{Batch, Durability, RowKey, Scan, SqliteStorage, Storage, StorageError, Table};
use unisono::testing::block_on;

use crate::bytes::Bytes;

const PAGE: usize = 4096;

/// A closed replica with rows in every table.
fn template() -> &'static [u8] {
    static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("replica.db");
        let storage = SqliteStorage::options().durability(Durability::Normal).open(&path).expect("a new replica");
        let put = (0..120u32)
            .map(|number| (key(number), format!("{{\"r\":{number}}}").repeat(1 + number as usize % 20).into_bytes()));
        block_on(storage.apply(Batch { put: put.collect(), ..Batch::default() })).expect("rows");
        block_on(storage.close()).expect("it closes");
        std::fs::read(path).expect("a closed replica is one file")
    })
}

fn key(number: u32) -> RowKey {
    RowKey { table: Table::ALL[number as usize % Table::ALL.len()], key: number.to_be_bytes().to_vec() }
}

thread_local! {
    static FOLDER: RefCell<Option<TempDir>> = const { RefCell::new(None) };
}

/// The input as a file, a replica with pages changed, or one with a write-ahead log beside it: it opens or is refused with a
/// typed error; a refused file stays as it is; one that opens answers reads and writes with rows or typed errors.
///
/// # Panics
/// If not.
pub fn replica_file(data: &[u8]) {
    FOLDER.with_borrow_mut(|folder| {
        let folder = folder.get_or_insert_with(|| tempfile::tempdir().expect("a temporary folder"));
        let path = folder.path().join("replica.db");
        for suffix in ["", "-wal", "-shm", "-journal"] {
            drop(std::fs::remove_file(beside(&path, suffix)));
        }
        let mut bytes = Bytes::new(data);
        let (file, log) = match bytes.below(4) {
            0 => (bytes.rest().to_vec(), None),
            3 => {
                let count = usize::from(bytes.u16());
                let log = bytes.take(count).to_vec();
                (damaged(&mut bytes), Some(log))
            }
            _ => (damaged(&mut bytes), None),
        };
        std::fs::write(&path, &file).expect("the file is written");
        if let Some(log) = &log {
            std::fs::write(beside(&path, "-wal"), log).expect("the log is written");
        }
        check(&path, &file, log.as_deref());
    });
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The template with bytes overwritten, and cut or grown.
fn damaged(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut file = template().to_vec();
    if bytes.once_in(8) {
        file.resize(usize::from(bytes.u16()), bytes.byte());
    }
    while !bytes.is_empty() {
        let page = bytes.below(file.len() / PAGE + 1) * PAGE;
        // Where headers and cell pointers are, or anywhere in the page.
        let at = page + if bytes.below(2) == 0 { bytes.below(128) } else { usize::from(bytes.u16()) % PAGE };
        let count = 1 + bytes.below(8);
        for (place, byte) in file.iter_mut().skip(at).zip(bytes.take(count)) {
            *place = *byte;
        }
    }
    file
}

fn check(path: &Path, file: &[u8], log: Option<&[u8]>) {
    let storage = match SqliteStorage::options().durability(Durability::Normal).open(path) {
        Ok(storage) => storage,
        Err(error) => {
            assert!(is_verdict(&error), "{error:?}");
            assert!(std::fs::read(path).expect("the file is there") == file, "a refused file was changed: {error:?}");
            if let Some(log) = log {
                assert!(std::fs::read(beside(path, "-wal")).expect("the log is there") == log, "so was its log");
            }
            return;
        }
    };
    let sound = file == template() && log.is_none();
    for number in 0..120 {
        let row = answered(block_on(storage.get(vec![key(number)])), sound);
        assert!(!sound || row.is_some_and(|mut row| row.pop().flatten().is_some()));
    }
    for table in Table::ALL {
        if let Some(rows) = answered(block_on(storage.scan(Scan::prefix(table, &[]).limit(1000))), sound) {
            assert!(rows.is_sorted_by(|a, b| a.key < b.key) || !sound, "rows come in the order of their keys");
        }
    }
    let batch = Batch {
        put: vec![(key(7), b"new".to_vec())],
        delete: vec![key(8)],
        clear: vec![RowKey { table: Table::Settled, key: vec![0] }],
        ..Batch::default()
    };
    answered(block_on(storage.apply(batch)), sound);
    answered(block_on(storage.close()), sound);
}

fn answered<T>(answer: Result<T, StorageError>, sound: bool) -> Option<T> {
    match answer {
        Ok(value) => Some(value),
        Err(error) => {
            assert!(!sound, "a sound replica works: {error:?}");
            assert!(error.code().starts_with("storage_"), "{error:?}");
            None
        }
    }
}

/// What may be said of a file that is not taken. (A format that SQLite can read only is `Unavailable`.)
fn is_verdict(error: &StorageError) -> bool {
    use StorageError::{Corrupt, Foreign, NewerSchema, Unavailable};
    matches!(error, Corrupt(_) | Foreign(_) | NewerSchema { .. } | Unavailable(_))
}
