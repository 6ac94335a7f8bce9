//! [`SqliteStore`]: opening, the single-process lock, and the way to the writer and the readers.

use std::fmt;
use std::fs::{File, TryLockError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rusqlite::{Connection, TransactionBehavior, params};
use tokio::sync::oneshot;
use unisono::environment::{SharedEnvironment, run_blocking, timeout};
use unisono::model::value::hex;
use unisono::platform::BoxFuture;
use unisono::storage::durable;

use super::check::{self, Damage};
use super::connection::{open_reader, open_writer, store_error};
use super::files::{length, make_private, open_private, sibling};
use super::health::{Health, Probe, STUCK, room, stuck_writer};
use super::operator::last_backup;
use super::reads::ScopeHandle;
use super::table::{META, tables};
use super::writer::{Request, Writer};
use super::{accounts, audit, schema};
use crate::store::{ApiKeyRow, AuditRow, Identity, ReadJob, ScopeKey, Store, StoreError, StoreFigures, WriteJob};

/// Idle readers that are kept open.
const IDLE_READERS: usize = 4;

/// Bytes up to which a file is checked as a whole before it is used; a larger one is checked while it is.
const CHECK_AT_OPEN_BYTES: u64 = 256 << 20;

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
    checked_at_open: bool,
    health: Health,
}

impl SqliteStore {
    /// Opens or makes the database at `path`, for this user alone. A file of up to 256 MiB is checked as a whole first: damage
    /// of its structure is an error; rows that are damaged are reported by [`Store::ready`], and refused when they are read.
    ///
    /// # Errors
    /// `already_open`, `newer_schema`, `storage_corrupt`, `storage_full`, `storage_io`.
    pub fn open(path: impl AsRef<Path>, options: &SqliteOptions) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let lock = lock(path)?;
        Self::new(Some(path.to_owned()), Some(lock), options)
    }

    /// Deletes a scope with everything in it but its audit rows, to which `audit` is added; tells whether there was one.
    ///
    /// # Errors
    /// What the store has to say.
    pub async fn delete_scope(&self, scope: ScopeKey, audit: AuditRow) -> Result<bool, StoreError> {
        let delete = move |inner: &Inner| {
            inner.in_transaction(|connection| {
                let id = ScopeHandle::new(connection, &scope).id()?;
                if id == 0 {
                    return Ok(false);
                }
                for table in tables().filter(|table| table.is_of_scopes()) {
                    let sql = format!("DELETE FROM {} WHERE scope = ?1", table.name);
                    connection.execute(&sql, [id]).map_err(store_error)?;
                }
                if let Some(account) = scope.owner() {
                    accounts::delete(connection, account)?;
                }
                connection.execute("DELETE FROM scope WHERE id = ?1", [id]).map_err(store_error)?;
                audit::append(connection, id, &audit).map(|()| true)
            })
        };
        blocking(&self.inner, delete).await
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
            make_private(path).map_err(|error| StoreError::Io(error.to_string()))?;
        }
        let mut connection = open_writer(path.as_deref(), options)?;
        schema::migrate(&mut connection)?;
        let health = Health::default();
        let checked_at_open = path.as_ref().is_some_and(|path| length(path) <= CHECK_AT_OPEN_BYTES);
        if checked_at_open {
            let damage = check::whole(&connection)?;
            if !damage.structure.is_empty() {
                return Err(StoreError::Corrupt(damage.structure.join("; ")));
            }
            health.found(&damage);
        }
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
            checked_at_open,
            health,
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

/// Takes the lock file beside the database; the lock goes with the process, whatever ends it.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let io = |error: std::io::Error| StoreError::Io(format!("the lock file: {error}"));
    let file = open_private(&sibling(path, ".lock")).map_err(io)?;
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

    /// Runs `work` in a write transaction of its own.
    fn in_transaction<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.with_writer(|connection| {
            let tx = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
                .map_err(store_error)?;
            let result = work(&tx)?;
            tx.commit().map_err(store_error)?;
            Ok(result)
        })
    }

    /// Commits a row that says nothing, to learn whether one can be.
    fn try_write(&self) -> Result<(), StoreError> {
        self.path.as_deref().map_or(Ok(()), room)?;
        self.in_transaction(|connection| {
            let last = META.value(connection, "probe")?.and_then(|text| text.parse().ok()).unwrap_or(0_u64);
            META.write(connection, params!["probe", last.wrapping_add(1).to_string()], None)
        })
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
pub(super) fn snapshot<T>(
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
    let clock_ms = clock(connection)?;
    Ok(Identity { server_id: hex(&server_id), cursor_key, clock_ms })
}

fn clock(connection: &Connection) -> Result<Option<u64>, StoreError> {
    let text = META.value(connection, "clock")?;
    let unreadable = |_| StoreError::Corrupt("the stored `clock` cannot be read".to_owned());
    text.map(|text| text.parse()).transpose().map_err(unreadable)
}

fn keep_clock(connection: &Connection, ms: u64) -> Result<(), StoreError> {
    if clock(connection)?.is_some_and(|kept| kept >= ms) {
        return Ok(());
    }
    META.write(connection, params!["clock", ms.to_string()], None)
}

/// The random bytes kept under `name`, drawn the first time that they are asked for.
fn kept<const N: usize>(
    connection: &Connection,
    environment: &SharedEnvironment,
    name: &str,
) -> Result<[u8; N], StoreError> {
    if let Some(known) = META.value(connection, name)? {
        return unhex(&known).ok_or_else(|| StoreError::Corrupt(format!("the stored `{name}` cannot be read")));
    }
    let mut bytes = [0; N];
    environment.random(&mut bytes);
    META.write(connection, params![name, hex(&bytes)], None)?;
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

pub(super) fn list_scopes(connection: &Connection, after: &str, limit: usize) -> Result<Vec<ScopeKey>, StoreError> {
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
        let done = Arc::clone(&inner);
        let outcome = run_blocking(&*environment, move || catch_unwind(AssertUnwindSafe(|| work(&inner))))
            .await
            .and_then(Result::ok)
            .unwrap_or_else(|| Err(StoreError::Internal("it panicked".to_owned())));
        done.health.noted(outcome)
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
            inner.health.trusted()?;
            inner.with_reader(|connection| job(&mut ScopeHandle::new(connection, &scope)))
        })
    }

    fn write(&self, scope: ScopeKey, job: WriteJob) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let environment = self.inner.environment()?;
            self.inner.health.trusted()?;
            let (answer, outcome) = oneshot::channel();
            if self.inner.writer.enqueue(Request { scope, job, answer })? {
                // A task of its own: the caller may go away, the others who wait may not suffer from it.
                let inner = Arc::clone(&self.inner);
                let clock = Arc::clone(environment);
                let run = environment.blocking(Box::new(move || inner.writer.drain(&*clock)));
                environment.spawn(run);
            }
            self.inner.health.noted(outcome.await.unwrap_or(Err(StoreError::Closed)))
        })
    }

    fn scopes(&self, after: Option<ScopeKey>, limit: usize) -> BoxFuture<'_, Result<Vec<ScopeKey>, StoreError>> {
        blocking(&self.inner, move |inner| {
            let after = after.as_ref().map_or("", ScopeKey::as_str);
            inner.with_reader(|connection| list_scopes(connection, after, limit))
        })
    }

    fn api_key(&self, key_id: String) -> BoxFuture<'_, Result<Option<ApiKeyRow>, StoreError>> {
        blocking(&self.inner, move |inner| {
            inner.health.trusted()?;
            inner.with_reader(|connection| accounts::api_key(connection, &key_id))
        })
    }

    fn audit(&self, rows: Vec<AuditRow>) -> BoxFuture<'_, Result<(), StoreError>> {
        blocking(&self.inner, move |inner| {
            inner.in_transaction(|connection| rows.iter().try_for_each(|row| audit::append(connection, 0, row)))
        })
    }

    fn prune_audit(&self, before_ms: u64, limit: usize) -> BoxFuture<'_, Result<u64, StoreError>> {
        blocking(&self.inner, move |inner| {
            inner.in_transaction(|connection| audit::prune(connection, before_ms, limit))
        })
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let environment = self.inner.environment()?;
            self.inner.idle_readers(|readers| readers.as_ref().map(drop).ok_or(StoreError::Closed))?;
            match self.inner.health.probe(environment.monotonic()) {
                Probe::Known(outcome) => outcome,
                Probe::Due => {
                    let (answer, outcome) = oneshot::channel();
                    let (inner, clock) = (Arc::clone(&self.inner), Arc::clone(environment));
                    // A task of its own: it ends, and is noted, even if nobody waits for it any more.
                    environment.spawn(Box::pin(async move {
                        let outcome = blocking(&inner, move |inner| inner.try_write()).await;
                        drop(answer.send(inner.health.probed(clock.monotonic(), outcome)));
                    }));
                    let outcome = timeout(&**environment, STUCK, outcome).await.ok_or_else(stuck_writer)?;
                    outcome.unwrap_or(Err(StoreError::Closed))
                }
            }
        })
    }

    fn check(&self) -> BoxFuture<'_, Result<Damage, StoreError>> {
        blocking(&self.inner, move |inner| {
            let damage = inner.with_reader(check::whole)?;
            inner.health.found(&damage);
            Ok(damage)
        })
    }

    fn figures(&self) -> StoreFigures {
        let (commits, failed_commits) = self.inner.writer.commits();
        let length = |suffix| self.inner.path.as_ref().map_or(0, |path| length(&sibling(path, suffix)));
        StoreFigures {
            database_bytes: length(""),
            wal_bytes: length("-wal"),
            last_backup_ms: self.inner.path.as_deref().and_then(last_backup),
            checked_at_open: self.inner.checked_at_open,
            damaged: self.inner.health.damages(),
            failed_commits,
            commits,
        }
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
