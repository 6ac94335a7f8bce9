//! What SQLite takes for durable and does not make so: names of files, and a log that somebody else has left behind.
//!
//! For every database in WAL mode, the server's too.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use super::error::of_file;
use super::lock::sibling;
use crate::storage::StorageError;

/// Makes the names of the files beside `path`, and its own, durable.
///
/// SQLite does so too, with the first flush of a new log, but it does not look at the result: a commit would be acknowledged
/// whose log a power loss can take away.
///
/// # Errors
/// `storage_full`, `storage_unavailable`, `storage_io`.
pub fn names(path: &Path) -> Result<(), StorageError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match flush(folder) {
        // Some file systems have no such thing; there names are as safe as they get.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        result => result.map_err(|error| of_file(&error, folder)),
    }
}

#[cfg(unix)]
fn flush(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Elsewhere a folder cannot be opened as a file; the system orders changes of names itself.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on unix")]
fn flush(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Writes the log that was left beside `path` once more, as it is, and flushes it.
///
/// If a flush of it has failed before, the system may show bytes that are not on the medium, and take them for clean: later
/// commits, and the pages that a checkpoint copies, would be built on a log that a power loss takes away. Written again
/// they are flushed with the next flush. Whoever calls this holds the database's lock, and no connection to it.
///
/// # Errors
/// `storage_full`, `storage_unavailable`, `storage_io`.
pub fn log(path: &Path) -> Result<(), StorageError> {
    let log = sibling(path, "-wal");
    let again = |bytes: Vec<u8>| {
        let mut file = OpenOptions::new().write(true).open(&log)?;
        file.write_all(&bytes)?;
        file.sync_all()
    };
    match fs::read(&log).and_then(again) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(of_file(&error, &log)),
        _ => Ok(()),
    }
}
