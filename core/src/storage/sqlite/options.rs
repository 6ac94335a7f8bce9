//! How a replica's file is opened.

use std::path::Path;

use super::schema::STEPS;
use super::store::SqliteStorage;
use crate::storage::{Durability, StorageError};

/// How large the write-ahead log grows, by default, before a commit moves it into the database file.
const CHECKPOINT_BYTES: u64 = 8 << 20;

/// The path that stands for no file, in every language.
const IN_MEMORY: &str = ":memory:";

/// Options of a [`SqliteStorage`].
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    pub(super) durability: Durability,
    pub(super) max_bytes: Option<u64>,
    pub(super) checkpoint_bytes: u64,
    pub(super) steps: &'static [&'static str],
    pub(super) process_id: fn() -> u32,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            max_bytes: None,
            checkpoint_bytes: CHECKPOINT_BYTES,
            steps: STEPS,
            process_id: std::process::id,
        }
    }
}

impl SqliteOptions {
    /// What an acknowledged write survives; [`Durability::Full`] unless set.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Most bytes of the database file, rounded down to pages of 4 KiB; writes beyond fail with [`StorageError::Full`].
    /// Unlimited unless set. The write-ahead log beside it takes up to 32 MiB more.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// How large the write-ahead log grows at most before a commit moves it into the database file; 8 MiB unless set. It is
    /// moved when it has half the size of the database, and 256 KiB at least; less saves room on a small device, and costs
    /// more flushes.
    #[must_use]
    pub fn checkpoint_bytes(mut self, bytes: u64) -> Self {
        self.checkpoint_bytes = bytes;
        self
    }

    /// Opens the replica at `path`; makes the file if there is none. `:memory:` is no file: the replica is in memory, as with
    /// [`open_in_memory`](Self::open_in_memory).
    ///
    /// # Errors
    /// `AlreadyOpen` at once if somebody has it open; `Foreign` for another program's file; `NewerSchema` for a newer SDK's;
    /// `Corrupt`, also if the log of a process that did not close it is gone; `Unavailable` if the path cannot be opened. None
    /// of these changes the file.
    pub fn open(self, path: impl AsRef<Path>) -> Result<SqliteStorage, StorageError> {
        let path = path.as_ref();
        if path.as_os_str() == IN_MEMORY {
            SqliteStorage::with_memory(self)
        } else {
            SqliteStorage::with_file(self, path)
        }
    }

    /// Opens an empty replica in memory, which is gone when it is closed.
    ///
    /// # Errors
    /// `Unavailable` if there is no memory.
    pub fn open_in_memory(self) -> Result<SqliteStorage, StorageError> {
        SqliteStorage::with_memory(self)
    }
}
