//! Opening connections, and SQLite's errors as the store's.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::store::SqliteOptions;
use crate::store::StoreError;

/// Prepared statements kept per connection: a few more than there are.
const STATEMENTS: usize = 64;
/// Page cache per connection, in KiB.
const CACHE_KIB: i64 = 16_384;

/// Opens the writer's connection.
pub(super) fn open_writer(path: Option<&Path>, options: &SqliteOptions) -> Result<Connection, StoreError> {
    let connection = match path {
        Some(path) => Connection::open(path),
        None => Connection::open_in_memory(),
    }
    .map_err(store_error)?;
    if path.is_some() {
        let mut mode = String::new();
        // To the end: whether the disk took it shows after the row that names the mode.
        connection
            .pragma(None, "journal_mode", "WAL", |row| row.get(0).map(|name| mode = name))
            .map_err(store_error)?;
        if !mode.eq_ignore_ascii_case("wal") {
            return Err(StoreError::Io(format!("the journal mode is {mode}, not WAL")));
        }
        let synchronous = if options.survive_power_loss { "FULL" } else { "NORMAL" };
        connection.pragma_update(None, "synchronous", synchronous).map_err(store_error)?;
        // Has an effect on Apple's systems only, where a plain fsync does not reach the medium.
        connection.pragma_update(None, "fullfsync", options.survive_power_loss).map_err(store_error)?;
    }
    tune(&connection)?;
    Ok(connection)
}

/// Opens a reader on the same file.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(store_error)?;
    connection.pragma_update(None, "query_only", true).map_err(store_error)?;
    tune(&connection)?;
    Ok(connection)
}

fn tune(connection: &Connection) -> Result<(), StoreError> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Without it SQLite plans a statement anew whenever the bounds of a range are bound: a quarter of a small push's time.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(store_error)?;
    // A page whose cells do not fit into it is damage, not something to be read on.
    connection.pragma_update(None, "cell_size_check", true).map_err(store_error)?;
    // Savepoints keep their undo copies in memory instead of a file.
    connection.pragma_update(None, "temp_store", "MEMORY").map_err(store_error)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB).map_err(store_error)
}

/// What an SQLite failure means to the server.
pub(super) fn store_error(error: rusqlite::Error) -> StoreError {
    let text = error.to_string();
    match &error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DiskFull => StoreError::Full(text),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Corrupt(text),
            ErrorCode::ConstraintViolation | ErrorCode::ApiMisuse => StoreError::Internal(text),
            _ => StoreError::Io(text),
        },
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..) => StoreError::Corrupt(text),
        _ => StoreError::Internal(text),
    }
}

/// A stored text that does not parse.
pub(super) fn unreadable(what: &'static str) -> impl Fn(&dyn std::fmt::Display) -> StoreError {
    move |error| StoreError::Corrupt(format!("{what} cannot be read: {error}"))
}
