//! Puts a recovered file in the place of a damaged one, which is kept aside, whatever happens on the way.
//!
//! A database is two files, itself and its log, and no system renames two files at once. So a recovery is *complete* when
//! its file has been renamed to `<file>.recovered`; from then on every opening first finishes putting it in place: the
//! damaged log moves aside, then the damaged file, then the recovered file takes its name. Each of these steps finds out
//! for itself whether it was made before.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::durable;
use super::error::of_file;
use super::lock::{ReplicaLock, sibling};
use crate::storage::StorageError;

/// The names around a replica's file.
#[derive(Debug)]
pub(crate) struct Quarantine {
    path: PathBuf,
    recovered: PathBuf,
}

impl Quarantine {
    /// Around the replica at `path`.
    pub(crate) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), recovered: sibling(path, ".recovered") }
    }

    /// Where a recovery works; what an earlier one has left there is removed.
    pub(crate) fn workplace(&self) -> Result<PathBuf, StorageError> {
        let place = sibling(&self.path, ".recovering");
        self.clear(&place)?;
        Ok(place)
    }

    /// The file at `place` is complete and closed: puts it in the replica's place. Returns where the damaged one is kept.
    pub(crate) fn install(&self, place: &Path, lock: &ReplicaLock) -> Result<PathBuf, StorageError> {
        rename(place, &self.recovered)?;
        durable::names(&self.path)?;
        let kept = self.kept_aside();
        self.finish(lock)?;
        self.clear(place)?;
        Ok(kept)
    }

    /// Finishes what an interrupted recovery has left to do. Nearly always there is nothing.
    pub(crate) fn finish(&self, lock: &ReplicaLock) -> Result<(), StorageError> {
        if !self.recovered.exists() {
            return Ok(());
        }
        // It speaks of the damaged file's log.
        lock.forget_mark(&self.path)?;
        let kept = self.kept_aside();
        // The log first: as long as the file is there, its place aside is free and the same.
        for suffix in ["-wal", "-journal", "-shm", ""] {
            let part = sibling(&self.path, suffix);
            if part.exists() {
                rename(&part, &sibling(&kept, suffix))?;
            }
        }
        // Never may the recovered file lie beside the damaged log.
        durable::names(&self.path)?;
        rename(&self.recovered, &self.path)?;
        durable::names(&self.path)
    }

    /// The first name that no damaged file has yet.
    fn kept_aside(&self) -> PathBuf {
        let mut number = 1_u32;
        loop {
            let kept = sibling(&self.path, &format!(".damaged-{number}"));
            if !kept.exists() {
                return kept;
            }
            number += 1;
        }
    }

    fn clear(&self, place: &Path) -> Result<(), StorageError> {
        for suffix in ["", "-wal", "-shm", "-journal", ".lock"] {
            let part = sibling(place, suffix);
            match fs::remove_file(&part) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(of_file(&error, &part)),
                _ => {}
            }
        }
        Ok(())
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), StorageError> {
    fs::rename(from, to).map_err(|error: io::Error| of_file(&error, from))
}
