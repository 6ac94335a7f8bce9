//! Which process a replica was opened in.
//!
//! A fork copies SQLite's handles into a child where its file locks do not hold; using them there can destroy the file. So
//! every call compares the process id first, before it touches a lock that a vanished thread might hold for ever.

use crate::storage::StorageError;

/// Remembers the process.
#[derive(Debug)]
pub(super) struct Process {
    opened_by: u32,
    current: fn() -> u32,
}

impl Process {
    /// The process that `current` names now.
    pub(super) fn new(current: fn() -> u32) -> Self {
        Self { opened_by: current(), current }
    }

    /// Whether this is a child of the process that opened the replica.
    pub(super) fn forked(&self) -> bool {
        (self.current)() != self.opened_by
    }

    /// Refuses to work in a forked child.
    pub(super) fn check(&self) -> Result<(), StorageError> {
        if self.forked() { Err(StorageError::Closed(": the process forked since it was opened")) } else { Ok(()) }
    }
}
