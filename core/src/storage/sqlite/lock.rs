//! One owner per replica: an advisory lock on `<file>.lock`.
//!
//! The lock sits on a file of its own because SQLite's locks on the database file belong to the process: another handle in
//! the same process that is closed would drop them. The system releases it when the process ends, however it ends. The
//! file is never removed: whoever removed it could remove one that somebody else has just locked.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use super::error::of_file;
use crate::storage::StorageError;

/// Held while a replica is open.
#[derive(Debug)]
pub(crate) struct ReplicaLock {
    file: File,
    release: bool,
}

impl ReplicaLock {
    /// Takes the replica at `path`, at once or not at all.
    pub(super) fn take(path: &Path) -> Result<Self, StorageError> {
        let beside = sibling(path, ".lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&beside)
            .map_err(|error| of_file(&error, &beside))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, release: true }),
            Err(TryLockError::WouldBlock) => Err(StorageError::AlreadyOpen(path.display().to_string())),
            Err(TryLockError::Error(error)) => Err(of_file(&error, &beside)),
        }
    }

    /// Forgets the lock without releasing it: in a forked child, where the parent still holds it.
    pub(super) fn leave_to_parent(mut self) {
        self.release = false;
    }
}

impl Drop for ReplicaLock {
    fn drop(&mut self) {
        // Closing alone would leave it to a forked child that shares the handle. There is nobody to tell of a failure.
        if self.release {
            drop(self.file.unlock());
        }
    }
}

/// The file beside `path` whose name has `suffix` added.
pub(super) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The one name of a replica's file, whatever links lead to it, so that two names do not make two owners.
pub(super) fn one_name(path: &Path) -> Result<PathBuf, StorageError> {
    if let Ok(path) = fs::canonicalize(path) {
        return Ok(path);
    }
    let name = path
        .file_name()
        .ok_or_else(|| StorageError::Unavailable(format!("{} does not name a file", path.display())))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    Ok(fs::canonicalize(folder).map_err(|error| of_file(&error, folder))?.join(name))
}
