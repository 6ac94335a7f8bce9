//! The file format: who it belongs to, which version it has, and how an old one becomes the present one.
//!
//! A step, once released, is never changed. All steps that a file needs run in one transaction together with the version
//! stamp, so that a file has either the old format or the new one, whenever the process dies.

use rusqlite::Connection;

use super::error::{of_structure, typed};
use super::sql::{self, Transaction};
use crate::storage::{StorageError, Table};

/// Marks a file as a Unisono replica: "UniR" in SQLite's application id.
pub(super) const APPLICATION_ID: i32 = 0x556e_6952;

/// The steps from each version to the next; a file's version is the number of steps that it has behind it.
pub(super) const STEPS: &[&str] = &[
    // 1: rows by table.
    "CREATE TABLE meta        (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
     CREATE TABLE record      (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
     CREATE TABLE event       (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
     CREATE TABLE outcome     (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
     CREATE TABLE settled     (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
     CREATE TABLE index_entry (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;",
    // 2: a checksum per row; none for rows from before.
    "ALTER TABLE meta        ADD COLUMN sum INTEGER;
     ALTER TABLE record      ADD COLUMN sum INTEGER;
     ALTER TABLE event       ADD COLUMN sum INTEGER;
     ALTER TABLE outcome     ADD COLUMN sum INTEGER;
     ALTER TABLE settled     ADD COLUMN sum INTEGER;
     ALTER TABLE index_entry ADD COLUMN sum INTEGER;",
];

/// Whether a file is new, ours, or not for this build.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It has nothing in it.
    New,
    /// A replica that has so many steps behind it.
    Replica(usize),
}

/// Says what `connection` leads to, without changing it.
pub(super) fn recognise(connection: &Connection, steps: &[&str]) -> Result<Found, StorageError> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(typed);
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    if application != i64::from(APPLICATION_ID) {
        let empty = application == 0 && version == 0 && number("SELECT count(*) FROM sqlite_schema")? == 0;
        return if empty {
            Ok(Found::New)
        } else {
            Err(StorageError::Foreign("an SQLite file of another program".into()))
        };
    }
    match usize::try_from(version) {
        // The stamps of a program and of a version are written together.
        Ok(0) | Err(_) => Err(StorageError::Corrupt(format!("schema version {version}"))),
        Ok(behind) if behind <= steps.len() => Ok(Found::Replica(behind)),
        Ok(_) => Err(StorageError::NewerSchema { found: version, known: steps.len() as i64 }),
    }
}

/// Brings a file to the last of `steps`.
pub(super) fn migrate(connection: &Connection, found: &Found, steps: &[&str]) -> Result<(), StorageError> {
    let behind = match found {
        Found::New => 0,
        Found::Replica(behind) => *behind,
    };
    let Some(ahead) = steps.get(behind..).filter(|ahead| !ahead.is_empty()) else { return Ok(()) };
    let all = || {
        let transaction = Transaction::write(connection)?;
        for step in ahead {
            connection.execute_batch(step)?;
        }
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", steps.len() as i64)?;
        transaction.commit()
    };
    // A step that does not fit meets tables that are not those of the file's version.
    all().map_err(of_structure)
}

/// Refuses a file whose tables are not those of its version.
pub(super) fn verify(connection: &Connection) -> Result<(), StorageError> {
    for table in Table::ALL {
        connection.prepare_cached(&sql::of(table).get).map(drop).map_err(of_structure)?;
    }
    Ok(())
}
