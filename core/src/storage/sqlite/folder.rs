//! The folder's entries: a file's bytes are worth nothing if a power loss takes its name.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::error::of_file;
use crate::storage::StorageError;

/// Makes the names of the files beside `path`, and its own, durable.
///
/// SQLite does so too, with the first flush of a new log, but it does not look at the result: a commit would be acknowledged
/// whose log a power loss can take away.
pub(super) fn sync(path: &Path) -> Result<(), StorageError> {
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
    std::fs::File::open(folder)?.sync_all()
}

/// Elsewhere a folder cannot be opened as a file; the system orders changes of names itself.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on unix")]
fn flush(_folder: &Path) -> io::Result<()> {
    Ok(())
}
