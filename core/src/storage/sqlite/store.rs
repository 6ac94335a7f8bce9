//! [`SqliteStorage`]: the seam's methods over the open handles.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::lock::{ReplicaLock, one_name};
use super::options::SqliteOptions;
use super::process::Process;
use super::salvage;
use super::session::{Lane, Outcome, Session};
use crate::concurrency::{Door, Room, Shut};
use crate::environment::{SharedEnvironment, run_blocking};
use crate::platform::BoxFuture;
use crate::platform::sync::TurnLock;
use crate::storage::{Row, RowKey, Scan, Storage, StorageError, Work};

/// Reads of at most so many rows are made on the caller's thread.
const QUICK_ROWS: usize = 128;

/// Keeps a replica in an SQLite file, with a write-ahead log and a lock file beside it.
///
/// - One owner: a second one, in this process or another, gets [`StorageError::AlreadyOpen`] at once. The lock ends with
///   the process. It follows symbolic links, but not hard links.
/// - [`Durability::Full`](crate::storage::Durability) syncs the log at each commit; [`Durability::Normal`](crate::storage::Durability) leaves the syncing to checkpoints.
/// - Reads do not wait for writes. The log is kept below 32 MiB. The file is never compacted by itself; pages that become
///   free are used again.
/// - In a forked child every call fails with [`StorageError::Closed`] and nothing touches the file.
/// - Dropping it closes it too, but cannot report a failure.
#[derive(Debug)]
pub struct SqliteStorage {
    shared: Arc<Shared>,
    /// Writes are made in the order in which they were asked for.
    turn: Arc<TurnLock>,
    environment: OnceLock<SharedEnvironment>,
}

#[derive(Debug)]
struct Shared {
    options: SqliteOptions,
    path: Option<PathBuf>,
    process: Process,
    /// Every call works behind it. A replica in memory keeps its handles, which hold no file, while it is suspended.
    door: Door<Session>,
}

/// Takes the replica at `path`, and refuses a file that is surely another program's or a newer SDK's. Returns its one name.
pub(crate) fn take(path: &Path) -> Result<(PathBuf, ReplicaLock), StorageError> {
    let path = one_name(path)?;
    let lock = ReplicaLock::take(&path)?;
    salvage::check_owner(&path)?;
    Ok((path, lock))
}

impl SqliteStorage {
    /// Opens the replica at `path` with [`Durability::Full`](crate::storage::Durability); makes the file if there is none.
    ///
    /// # Errors
    /// See [`SqliteOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StorageError> {
        Self::options().open(path)
    }

    /// Opens an empty replica in memory, which is gone when it is closed.
    ///
    /// # Errors
    /// `Unavailable` if there is no memory.
    pub fn in_memory() -> Result<Self, StorageError> {
        Self::options().open_in_memory()
    }

    /// Options to open one with.
    #[must_use]
    pub fn options() -> SqliteOptions {
        SqliteOptions::default()
    }

    /// The replica's file; `None` if it is in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.shared.path.as_deref()
    }

    pub(super) fn with_file(options: SqliteOptions, path: &Path) -> Result<Self, StorageError> {
        let path = one_name(path)?;
        let session = Session::open_file(&path, &options)?;
        Ok(Self::new(options, Some(path), session))
    }

    pub(super) fn with_memory(options: SqliteOptions) -> Result<Self, StorageError> {
        let session = Session::open_memory(&options)?;
        Ok(Self::new(options, None, session))
    }

    fn new(options: SqliteOptions, path: Option<PathBuf>, session: Session) -> Self {
        let process = Process::new(options.process_id);
        let shared = Shared { options, path, process, door: Door::new(session) };
        Self { shared: Arc::new(shared), turn: Arc::default(), environment: OnceLock::new() }
    }

    /// Runs `job`, which may wait for the disk.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Shared) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        match self.environment.get() {
            None => job(&self.shared),
            Some(environment) => {
                let shared = Arc::clone(&self.shared);
                run_blocking(environment.as_ref(), move || job(&shared)).await.unwrap_or_else(|| Err(interrupted()))
            }
        }
    }

    /// Runs a read of at most `rows` rows.
    async fn read<T: Send + 'static>(
        &self,
        rows: usize,
        read: impl FnOnce(&Session, Lane) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        if rows <= QUICK_ROWS {
            self.shared.with_session(|session| read(session, Lane::Quick))
        } else {
            self.run(|shared| shared.with_session(|session| read(session, Lane::Bulk))).await
        }
    }

    /// Runs `look` on the open handles.
    #[cfg(test)]
    pub(super) fn with_session<T>(&self, look: impl FnOnce(&Session) -> T) -> Result<T, StorageError> {
        self.shared.with_session(|session| Ok(look(session)))
    }
}

impl Shared {
    fn with_session<T>(&self, work: impl FnOnce(&Session) -> Result<T, StorageError>) -> Result<T, StorageError> {
        self.process.check()?;
        self.door.enter(work).unwrap_or_else(|shut| {
            Err(match shut {
                Shut::Suspended => StorageError::Suspended,
                Shut::Closed => StorageError::Closed(""),
            })
        })
    }

    fn change(&self, change: impl FnOnce(Room<Session>) -> (Room<Session>, Outcome)) -> Outcome {
        self.process.check()?;
        self.door.change(change)
    }

    fn suspend(&self) -> Result<(), StorageError> {
        self.change(|room| match room {
            Room::Open(session) if self.path.is_some() => (Room::Suspended(None), session.close()),
            Room::Open(session) => (Room::Suspended(Some(session)), Ok(())),
            Room::Suspended(session) => (Room::Suspended(session), Ok(())),
            Room::Closed => (Room::Closed, Err(StorageError::Closed(""))),
        })
    }

    fn resume(&self) -> Result<(), StorageError> {
        self.change(|room| match (room, &self.path) {
            (Room::Suspended(None), Some(path)) => match Session::open_file(path, &self.options) {
                Ok(session) => (Room::Open(session), Ok(())),
                Err(error) => (Room::Suspended(None), Err(error)),
            },
            (Room::Suspended(Some(session)), _) | (Room::Open(session), _) => (Room::Open(session), Ok(())),
            (Room::Suspended(None) | Room::Closed, _) => (Room::Closed, Err(StorageError::Closed(""))),
        })
    }

    fn close(&self) -> Result<(), StorageError> {
        self.change(|room| match room {
            Room::Open(session) | Room::Suspended(Some(session)) => (Room::Closed, session.close()),
            Room::Suspended(None) | Room::Closed => (Room::Closed, Ok(())),
        })
    }
}

/// What a caller hears whose writer did not come back.
fn interrupted() -> StorageError {
    StorageError::Io("the commit was interrupted".into())
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(session) = self.door.clear() {
            if self.process.forked() {
                session.abandon();
            } else {
                drop(session);
            }
        }
    }
}

impl Storage for SqliteStorage {
    fn attach(&self, environment: SharedEnvironment) {
        // A second client on the same storage keeps the first one's environment.
        drop(self.environment.set(environment));
    }

    fn get(&self, keys: Vec<RowKey>) -> BoxFuture<'_, Result<Vec<Option<Row>>, StorageError>> {
        Box::pin(self.read(keys.len(), move |session, lane| session.get(lane, &keys)))
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<Row>, StorageError>> {
        Box::pin(self.read(scan.limit, move |session, lane| session.scan(lane, &scan)))
    }

    fn transact(&self, mut work: Box<dyn Work>) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            let turn = Arc::clone(&self.turn).lock_owned().await;
            self.run(move |shared| {
                // Kept until it is written, whether the caller still waits or not.
                let _turn = turn;
                shared.with_session(|session| session.transact(&mut *work))
            })
            .await
        })
    }

    fn suspend(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(self.run(Shared::suspend))
    }

    fn resume(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(self.run(Shared::resume))
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(self.run(Shared::close))
    }
}
