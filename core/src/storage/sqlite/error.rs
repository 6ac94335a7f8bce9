//! The one place where SQLite's and the system's errors become [`StorageError`].

use std::io;

use rusqlite::Error;
use rusqlite::ffi::{self, ErrorCode};

use crate::storage::StorageError;

/// Classifies an error of SQLite.
pub(super) fn typed(error: Error) -> StorageError {
    let message = error.to_string();
    match error {
        Error::SqliteFailure(failure, _) => of_code(failure, message),
        // The columns hold what this module put there; anything else is damage.
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::QueryReturnedNoRows => StorageError::Corrupt(message),
        _ => StorageError::Io(message),
    }
}

fn of_code(failure: ffi::Error, message: String) -> StorageError {
    match failure.code {
        ErrorCode::DiskFull => StorageError::Full(message),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StorageError::Corrupt(message),
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::CannotOpen
        | ErrorCode::PermissionDenied
        | ErrorCode::ReadOnly
        | ErrorCode::OutOfMemory
        | ErrorCode::OperationInterrupted => StorageError::Unavailable(message),
        ErrorCode::SystemIoFailure => match failure.extended_code {
            // The shared-memory file could not grow, which is how a full disk shows first.
            ffi::SQLITE_IOERR_SHMSIZE => StorageError::Full(message),
            // It could not be made: no room for it either, or no right to.
            ffi::SQLITE_IOERR_SHMOPEN => StorageError::Unavailable(message),
            ffi::SQLITE_IOERR_CORRUPTFS | ffi::SQLITE_IOERR_DATA => StorageError::Corrupt(message),
            _ => StorageError::Io(message),
        },
        _ => StorageError::Io(message),
    }
}

/// Classifies an error of a statement that every replica can run: what SQLite calls an error of the statement (a table that is
/// missing, a format that it does not know) is damage.
pub(super) fn of_structure(error: Error) -> StorageError {
    match error {
        Error::SqliteFailure(failure, _) | Error::SqlInputError { error: failure, .. }
            if failure.extended_code == ffi::SQLITE_ERROR =>
        {
            StorageError::Corrupt(error.to_string())
        }
        error => typed(error),
    }
}

/// Classifies an error of the file system.
pub(super) fn of_file(error: &io::Error, path: &std::path::Path) -> StorageError {
    let message = format!("{}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::Full(message),
        io::ErrorKind::NotFound
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::Unsupported => StorageError::Unavailable(message),
        _ => StorageError::Io(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b36_each_sqlite_result_has_the_code_that_an_app_can_act_on() {
        let table = [
            (ffi::SQLITE_FULL, "storage_full"),
            (ffi::SQLITE_IOERR_SHMSIZE, "storage_full"),
            (ffi::SQLITE_IOERR_SHMOPEN, "storage_unavailable"),
            (ffi::SQLITE_CORRUPT, "storage_corrupt"),
            (ffi::SQLITE_CORRUPT_INDEX, "storage_corrupt"),
            (ffi::SQLITE_NOTADB, "storage_corrupt"),
            (ffi::SQLITE_IOERR_DATA, "storage_corrupt"),
            (ffi::SQLITE_BUSY, "storage_unavailable"),
            (ffi::SQLITE_BUSY_SNAPSHOT, "storage_unavailable"),
            (ffi::SQLITE_LOCKED, "storage_unavailable"),
            (ffi::SQLITE_CANTOPEN, "storage_unavailable"),
            (ffi::SQLITE_READONLY, "storage_unavailable"),
            (ffi::SQLITE_NOMEM, "storage_unavailable"),
            (ffi::SQLITE_IOERR_FSYNC, "storage_io"),
            (ffi::SQLITE_IOERR_WRITE, "storage_io"),
            (ffi::SQLITE_TOOBIG, "storage_io"),
            (ffi::SQLITE_MISUSE, "storage_io"),
        ];
        for (code, expected) in table {
            let error = typed(Error::SqliteFailure(ffi::Error::new(code), None));
            assert_eq!(error.code(), expected, "result code {code}");
        }
    }

    #[test]
    fn b36_a_full_file_system_is_full() {
        let path = std::path::Path::new("replica.db");
        for (kind, expected) in [
            (io::ErrorKind::StorageFull, "storage_full"),
            (io::ErrorKind::QuotaExceeded, "storage_full"),
            (io::ErrorKind::NotFound, "storage_unavailable"),
            (io::ErrorKind::PermissionDenied, "storage_unavailable"),
            (io::ErrorKind::Other, "storage_io"),
        ] {
            assert_eq!(of_file(&kind.into(), path).code(), expected);
        }
    }
}
