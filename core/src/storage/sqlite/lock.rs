//! One owner per replica: an advisory lock on `<file>.lock`.
//!
//! The lock sits on a file of its own because SQLite's locks on the database file belong to the process: another handle in
//! the same process that is closed would drop them. The system releases it when the process ends, however it ends. The
//! file is never removed: whoever removed it could remove one that somebody else has just locked. It holds the
//! [mark](super::mark) of how far the log has come.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use super::error::of_file;
use super::mark::Mark;
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

    /// The lock's file, to keep a mark in.
    pub(super) fn file(&self) -> std::io::Result<File> {
        self.file.try_clone()
    }

    /// How far the log of the last owner had come.
    pub(super) fn mark(&self) -> Option<Mark> {
        Mark::read(&self.file)
    }

    /// Whether the replica at `path` lacks commits that its last owner has acknowledged.
    pub(crate) fn log_lost(&self, path: &Path) -> bool {
        self.mark().is_some_and(|mark| matches!(mark.check(path), Err(StorageError::Corrupt(_))))
    }

    /// The replica's file is about to be replaced: durably, the mark says nothing.
    pub(super) fn forget_mark(&self, path: &Path) -> Result<(), StorageError> {
        let forgotten = Mark::default().write(&self.file).and_then(|()| self.file.sync_data());
        forgotten.map_err(|error| of_file(&error, &sibling(path, ".lock")))
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
