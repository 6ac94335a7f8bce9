//! Looks at a file before it is trusted, and never changes it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rusqlite::Connection;

use super::error::{of_file, of_structure};
use super::lock::sibling;
use super::read;
use super::schema::APPLICATION_ID;
use crate::storage::{StorageError, Table};

/// Where SQLite's header keeps the application id.
pub(super) const APPLICATION_ID_AT: usize = 68;
const HEADER_BYTES: usize = 100;
pub(super) const MAGIC: &[u8] = b"SQLite format 3\0";
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
const JOURNAL_HEADER_BYTES: usize = 20;
/// After a crash, a larger file is not read from end to end at open.
const WHOLE_CHECK_BYTES: u64 = 64 << 20;
/// After a clean end, neither is one that is larger than this: every start of the app would wait for it.
const CLEAN_CHECK_BYTES: u64 = 8 << 20;

/// Refuses a file that begins like none of ours. This comes before SQLite opens it, because SQLite would finish or roll
/// back what another program has left unfinished in it.
///
/// # Precondition
/// The replica's lock is held: closing a handle of a file that SQLite has open in this process would drop its locks.
pub(super) fn header(path: &Path) -> Result<(), StorageError> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    match File::open(path) {
        Ok(file) => file.take(HEADER_BYTES as u64).read_to_end(&mut header).map_err(|error| of_file(&error, path))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(of_file(&error, path)),
    };
    // An empty file is a new one, or one whose creation SQLite has yet to roll back.
    if header.is_empty() {
        return Ok(());
    }
    if !header.starts_with(MAGIC) || header.len() < HEADER_BYTES {
        if creation_unfinished(path) {
            return Ok(());
        }
        return Err(StorageError::Corrupt(format!("{} is not an SQLite file", path.display())));
    }
    let application = &header[APPLICATION_ID_AT..APPLICATION_ID_AT + 4];
    // 0: no program's. SQLite tells then whether there is anything in it.
    if application != APPLICATION_ID.to_be_bytes() && application != [0; 4] {
        return Err(StorageError::Foreign(format!("{} is an SQLite file of another program", path.display())));
    }
    Ok(())
}

/// Whether a journal lies beside the file that takes it back to nothing: power was lost while the file was made, and any of
/// its first sectors may be missing. SQLite rolls it back when it opens it.
fn creation_unfinished(path: &Path) -> bool {
    let mut header = Vec::with_capacity(JOURNAL_HEADER_BYTES);
    let read = File::open(sibling(path, "-journal"))
        .and_then(|file| file.take(JOURNAL_HEADER_BYTES as u64).read_to_end(&mut header));
    // Magic, number of records, nonce, pages that the file had before.
    read.is_ok() && header.len() == JOURNAL_HEADER_BYTES && header.starts_with(&JOURNAL_MAGIC) && header[16..] == [0; 4]
}

/// Whether the last owner went without closing: a journal is left over.
pub(super) fn left_unclean(path: &Path) -> bool {
    ["-wal", "-journal"].iter().any(|suffix| length(&sibling(path, suffix)) > 0)
}

/// A file's length in bytes; 0 if there is none.
pub(super) fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// Checks the structure of the file and the checksums of its rows: all of it if that is quick, else the tables that the server
/// could not give back. When a row is read, its checksum tells that it is sound; but that it is missed, because a search went
/// astray in a damaged tree or because its key has changed, shows here only.
pub(super) fn integrity(connection: &Connection, file_bytes: u64, unclean: bool) -> Result<(), StorageError> {
    let check = |what: &str| {
        let verdict: String =
            connection.query_row(&format!("PRAGMA quick_check({what})"), [], |row| row.get(0)).map_err(of_structure)?;
        if verdict == "ok" { Ok(()) } else { Err(StorageError::Corrupt(verdict)) }
    };
    let rows = |table: Table| read::check_all(connection, table).map_err(of_structure);
    if file_bytes <= if unclean { WHOLE_CHECK_BYTES } else { CLEAN_CHECK_BYTES } {
        check("1")?;
        Table::ALL.into_iter().try_for_each(rows)
    } else {
        [Table::Meta, Table::Event].into_iter().try_for_each(|table| check(table.name()).and_then(|()| rows(table)))
    }
}
