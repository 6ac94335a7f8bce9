//! What the tests share.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use crate::environment::SharedEnvironment;
use crate::platform::{BoxFuture, TokioEnvironment};
use crate::storage::{Batch, RowKey, SqliteOptions, SqliteStorage, Storage, StorageError, Table};
use crate::testing::block_on;
use crate::testing::storage_suite::Replica;

/// A folder with a replica, gone when dropped.
#[derive(Debug)]
pub(super) struct InFolder {
    folder: TempDir,
    pub(super) options: SqliteOptions,
    environment: Option<SharedEnvironment>,
}

impl InFolder {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // How much survives a power cut is not what these tests see; they need not wait for the disk.
        let options = SqliteStorage::options().durability(crate::storage::Durability::Normal);
        Self { folder, options, environment: None }
    }

    /// Whose storages block where Tokio wants it.
    pub(super) fn in_tokio() -> Self {
        Self { environment: Some(Arc::new(TokioEnvironment)), ..Self::new() }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("replica.db")
    }

    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        self.folder.path().join(format!("replica.db{suffix}"))
    }

    pub(super) fn try_open(&self) -> Result<SqliteStorage, StorageError> {
        let storage = self.options.clone().open(self.path())?;
        if let Some(environment) = &self.environment {
            storage.attach(Arc::clone(environment));
        }
        Ok(storage)
    }

    pub(super) fn opened(&self) -> SqliteStorage {
        self.try_open().expect("the replica opens")
    }
}

impl Replica for InFolder {
    type Storage = SqliteStorage;

    fn open(&self) -> BoxFuture<'_, SqliteStorage> {
        Box::pin(async { self.opened() })
    }
}

pub(super) fn row(key: &str) -> RowKey {
    RowKey { table: Table::Record, key: key.as_bytes().to_vec() }
}

pub(super) fn put(key: &str, value: impl AsRef<[u8]>) -> Batch {
    Batch { put: vec![(row(key), value.as_ref().to_vec())], ..Batch::default() }
}

pub(super) fn apply(storage: &SqliteStorage, batch: Batch) -> Result<(), StorageError> {
    block_on(storage.apply(batch))
}

pub(super) fn value(storage: &SqliteStorage, key: &str) -> Option<Vec<u8>> {
    block_on(storage.get(vec![row(key)])).expect("a row can be read").pop().flatten().map(|row| row.value)
}

/// Names, in a child process, the replica that it is to work on.
const CHILD_REPLICA: &str = "UNISONO_TEST_CHILD_REPLICA";

/// A command that runs `test` (its full path, with the crate's name) again in another process, where [`child_role`] gives
/// it `replica`.
pub(super) fn child(test: &str, replica: &Path) -> Command {
    let (_crate, name) = test.split_once("::").expect("a full path");
    let mut command = Command::new(std::env::current_exe().expect("this program has a file"));
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD_REPLICA, replica);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// The replica to work on, if this process is a child made by [`child`].
pub(super) fn child_role() -> Option<PathBuf> {
    std::env::var_os(CHILD_REPLICA).map(PathBuf::from)
}
