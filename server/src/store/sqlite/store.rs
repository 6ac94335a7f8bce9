//! [`SqliteStore`]: opening, the single-process lock, and the way to the writer and the readers.

use std::fmt;
use std::fs::{File, TryLockError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;
use unisono::environment::{SharedEnvironment, run_blocking};
use unisono::model::value::hex;
use unisono::platform::BoxFuture;
use unisono::storage::durable;

use super::connection::{open_reader, open_writer, store_error};
use super::reads::ScopeHandle;
use super::schema;
use super::writer::{Request, Writer};
use crate::store::{Identity, ReadJob, ScopeKey, Store, StoreError, WriteJob};

/// Idle readers that are kept open.
const IDLE_READERS: usize = 4;

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// Whether an acknowledged write survives a power loss (`synchronous=FULL`, the default), or a crash of the process
    /// only (`NORMAL`).
    pub survive_power_loss: bool,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { survive_power_loss: true }
    }
}

/// Keeps scopes in one SQLite database. Clones are handles of the same store.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    /// `None` in memory, where readers share the writer's connection.
    path: Option<PathBuf>,
    writer: Writer,
    /// Idle readers; `None` once closed.
    readers: Mutex<Option<Vec<Connection>>>,
    /// Held while open: a second server on the same file would hand out the same revisions.
    lock: Mutex<Option<File>>,
    environment: OnceLock<SharedEnvironment>,
}

impl SqliteStore {
    /// Opens or makes the database at `path`.
    ///
    /// # Errors
    /// `already_open`, `newer_schema`, `storage_corrupt`, `storage_full`, `storage_io`.
    pub fn open(path: impl AsRef<Path>, options: &SqliteOptions) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let lock = lock(path)?;
        Self::new(Some(path.to_owned()), Some(lock), options)
    }

    /// A database in memory, which goes with its last handle.
    ///
    /// # Errors
    /// What SQLite says if there is no memory.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::new(None, None, &SqliteOptions::default())
    }

    /// Work on the connection itself.
    #[cfg(feature = "testing")]
    pub(super) fn with_connection<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        work(self.inner.writer.connection().as_mut().ok_or(StoreError::Closed)?)
    }

    fn new(path: Option<PathBuf>, lock: Option<File>, options: &SqliteOptions) -> Result<Self, StoreError> {
        if let Some(path) = &path {
            durable::log(path)?;
        }
        let mut connection = open_writer(path.as_deref(), options)?;
        schema::migrate(&mut connection)?;
        if let Some(path) = &path {
            // By now the log is there.
            durable::names(path)?;
        }
        let inner = Inner {
            path,
            writer: Writer::new(connection),
            readers: Mutex::new(Some(Vec::new())),
            lock: Mutex::new(lock),
            environment: OnceLock::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

/// Takes the lock file beside the database; the lock goes with the process, whatever ends it.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let io = |error: std::io::Error| StoreError::Io(format!("the lock file: {error}"));
    let file = File::options().create(true).truncate(false).write(true).open(PathBuf::from(name)).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::AlreadyOpen(path.display().to_string())),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

impl Inner {
    fn environment(&self) -> Result<&SharedEnvironment, StoreError> {
        self.environment.get().ok_or_else(|| StoreError::Internal("the store has no environment yet".to_owned()))
    }

    fn with_writer<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        work(self.writer.connection().as_ref().ok_or(StoreError::Closed)?)
    }

    /// Runs `work` in a read transaction.
    fn with_reader<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let Some(path) = &self.path else {
            return self.with_writer(|connection| snapshot(connection, work));
        };
        let idle = self.idle_readers(|readers| readers.as_mut().ok_or(StoreError::Closed).map(Vec::pop))?;
        let connection = match idle {
            Some(connection) => connection,
            None => open_reader(path)?,
        };
        let result = snapshot(&connection, work);
        self.idle_readers(|readers| {
            // A reader that could not end its transaction, or came back after `close`, is not used again.
            if let Some(readers) = readers.as_mut().filter(|idle| idle.len() < IDLE_READERS)
                && connection.is_autocommit()
            {
                readers.push(connection);
            }
        });
        result
    }

    fn idle_readers<T>(&self, work: impl FnOnce(&mut Option<Vec<Connection>>) -> T) -> T {
        work(&mut self.readers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn close(&self) -> Result<(), StoreError> {
        self.idle_readers(|readers| drop(readers.take()));
        let closed = match self.writer.connection().take() {
            // The last connection to close writes the log back into the database.
            Some(connection) => connection.close().map_err(|(_, error)| store_error(error)),
            None => Ok(()),
        };
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
        closed
    }
}

/// Runs `work` on one snapshot.
fn snapshot<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let tx = connection.unchecked_transaction().map_err(store_error)?;
    let result = work(connection);
    tx.finish().map_err(store_error)?;
    result
}

/// The server's identity, made with the first start.
fn identity(connection: &Connection, environment: &SharedEnvironment) -> Result<Identity, StoreError> {
    let server_id = kept::<16>(connection, environment, "server_id")?;
    let cursor_key = kept(connection, environment, "cursor_key")?;
    let clock_ms: Option<i64> = connection
        .query_row("SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'clock'", [], |row| row.get(0))
        .optional()
        .map_err(store_error)?;
    Ok(Identity { server_id: hex(&server_id), cursor_key, clock_ms: clock_ms.map(i64::cast_unsigned) })
}

fn keep_clock(connection: &Connection, ms: u64) -> Result<(), StoreError> {
    let sql = "INSERT INTO meta (name, value) VALUES ('clock', CAST(?1 AS TEXT)) ON CONFLICT (name) DO UPDATE \
               SET value = CAST(max(CAST(value AS INTEGER), ?1) AS TEXT)";
    connection.execute(sql, params![ms.cast_signed()]).map(drop).map_err(store_error)
}

/// The random bytes kept under `name`, drawn the first time that they are asked for.
fn kept<const N: usize>(
    connection: &Connection,
    environment: &SharedEnvironment,
    name: &str,
) -> Result<[u8; N], StoreError> {
    let known: Option<String> = connection
        .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))
        .optional()
        .map_err(store_error)?;
    if let Some(known) = known {
        return unhex(&known).ok_or_else(|| StoreError::Corrupt(format!("the stored `{name}` cannot be read")));
    }
    let mut bytes = [0; N];
    environment.random(&mut bytes);
    connection
        .execute("INSERT INTO meta (name, value) VALUES (?1, ?2)", params![name, hex(&bytes)])
        .map_err(store_error)?;
    Ok(bytes)
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

fn list_scopes(connection: &Connection, after: &str, limit: usize) -> Result<Vec<ScopeKey>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement =
        connection.prepare_cached("SELECT key FROM scope WHERE key > ?1 ORDER BY key LIMIT ?2").map_err(store_error)?;
    let keys = statement.query_map(params![after, limit], |row| row.get(0)).map_err(store_error)?;
    keys.map(|key| key.map(ScopeKey::new).map_err(store_error)).collect()
}

/// Runs `work` off the tasks' threads.
fn blocking<T: Send + 'static>(
    inner: &Arc<Inner>,
    work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
) -> BoxFuture<'static, Result<T, StoreError>> {
    let inner = Arc::clone(inner);
    Box::pin(async move {
        let environment = Arc::clone(inner.environment()?);
        // A panic ends here: it is this job's failure, not the caller's.
        run_blocking(&*environment, move || catch_unwind(AssertUnwindSafe(|| work(&inner))))
            .await
            .and_then(Result::ok)
            .unwrap_or_else(|| Err(StoreError::Internal("it panicked".to_owned())))
    })
}

impl Store for SqliteStore {
    fn attach(&self, environment: SharedEnvironment) -> BoxFuture<'_, Result<Identity, StoreError>> {
        let environment = Arc::clone(self.inner.environment.get_or_init(|| environment));
        blocking(&self.inner, move |inner| inner.with_writer(|connection| identity(connection, &environment)))
    }

    fn keep_clock(&self, ms: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        blocking(&self.inner, move |inner| inner.with_writer(|connection| keep_clock(connection, ms)))
    }

    fn read(&self, scope: ScopeKey, job: ReadJob) -> BoxFuture<'_, Result<(), StoreError>> {
        blocking(&self.inner, move |inner| {
            inner.with_reader(|connection| job(&mut ScopeHandle::new(connection, &scope)))
        })
    }

    fn write(&self, scope: ScopeKey, job: WriteJob) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let environment = self.inner.environment()?;
            let (answer, outcome) = oneshot::channel();
            if self.inner.writer.enqueue(Request { scope, job, answer }) {
                // A task of its own: the caller may go away, the others who wait may not suffer from it.
                let inner = Arc::clone(&self.inner);
                let run = environment.blocking(Box::new(move || inner.writer.drain()));
                environment.spawn(run);
            }
            outcome.await.unwrap_or(Err(StoreError::Closed))
        })
    }

    fn scopes(&self, after: Option<ScopeKey>, limit: usize) -> BoxFuture<'_, Result<Vec<ScopeKey>, StoreError>> {
        blocking(&self.inner, move |inner| {
            let after = after.as_ref().map_or("", ScopeKey::as_str);
            inner.with_reader(|connection| list_scopes(connection, after, limit))
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        blocking(&self.inner, Inner::close)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.inner.path).finish_non_exhaustive()
    }
}
