//! The open handles of a replica: one connection that writes, and one each for quick and for long reads, which see the
//! last commit while the next is being written.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::typed;
use super::inspect::{self, length};
use super::lock::ReplicaLock;
use super::log::Log;
use super::options::SqliteOptions;
use super::quarantine::Quarantine;
use super::write::{self, Ended};
use super::{durable, read, schema, sql};
use crate::storage::{Durability, Row, RowKey, Scan, StorageError, Work};

/// Commits between two attempts to empty an overgrown log.
pub(super) const COMMITS_PER_LOOK: u32 = 64;
/// Pages that the writer keeps in memory, in KiB: enough for the inner pages and the recent leaves of a large replica.
const WRITER_CACHE_KIB: i64 = 16 << 10;
/// The same for each reader.
const READER_CACHE_KIB: i64 = 4 << 10;
/// How long to wait for another program that looks into the file; nobody else writes.
const BUSY: Duration = Duration::from_secs(2);
const PAGE_BYTES: u32 = 4096;

/// What became of one batch.
pub(super) type Outcome = Result<(), StorageError>;

/// Open handles. Dropped, it closes them: readers first, so that the writer's end empties the log; the lock last.
#[derive(Debug)]
pub(super) struct Session {
    // The order of fields is the order of drops.
    quick: Handle,
    bulk: Handle,
    writer: Arc<Mutex<Writer>>,
    lock: Option<ReplicaLock>,
}

/// How a file's handles share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    /// Each has its own connection; they meet in a file of shared memory beside the replica.
    Connections,
    /// All are the writer's: a full disk has no room for such a file.
    One,
}

/// In a file each handle has its own connection; in memory all are the writer's.
#[derive(Debug)]
enum Handle {
    Own(Mutex<Connection>),
    Writers(Arc<Mutex<Writer>>),
}

#[derive(Debug)]
struct Writer {
    // The order of fields is the order of drops.
    log: Option<Log>,
    connection: Connection,
    commits: u32,
    /// Each commit is flushed; else those only that ask for it.
    flushes: bool,
}

/// Which handle a read takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// A few rows.
    Quick,
    /// Many rows; quick reads do not wait for these.
    Bulk,
}

impl Session {
    /// Opens the file at `path`, making or migrating it.
    pub(super) fn open_file(path: &Path, options: &SqliteOptions) -> Result<Self, StorageError> {
        let lock = ReplicaLock::take(path)?;
        Quarantine::of(path).finish(&lock)?;
        inspect::header(path)?;
        lock.mark().map_or(Ok(()), |mark| mark.check(path))?;
        let opened = match open(path, options, &lock, Sharing::Connections) {
            Err(error @ (StorageError::Full(_) | StorageError::Unavailable(_))) => {
                open(path, options, &lock, Sharing::One).map_err(|_| error)
            }
            opened => opened,
        };
        Ok(Self::of(opened?, lock))
    }

    fn of((writer, readers): (Arc<Mutex<Writer>>, Option<[Connection; 2]>), lock: ReplicaLock) -> Self {
        let [quick, bulk] = readers.map_or_else(
            || [Handle::Writers(Arc::clone(&writer)), Handle::Writers(Arc::clone(&writer))],
            |readers| readers.map(|reader| Handle::Own(Mutex::new(reader))),
        );
        Self { quick, bulk, writer, lock: Some(lock) }
    }

    /// Opens the file at `path` as on a disk without room for shared memory.
    #[cfg(test)]
    pub(super) fn open_alone(path: &Path, options: &SqliteOptions) -> Result<Self, StorageError> {
        let lock = ReplicaLock::take(path)?;
        Ok(Self::of(open(path, options, &lock, Sharing::One)?, lock))
    }

    /// Opens an empty replica in memory.
    pub(super) fn open_memory(options: &SqliteOptions) -> Result<Self, StorageError> {
        let connection = Connection::open_in_memory().map_err(typed)?;
        connection.set_prepared_statement_cache_capacity(sql::STATEMENT_CACHE);
        set_limit(&connection, options).map_err(typed)?;
        schema::migrate(&connection, &schema::Found::New, options.steps)?;
        let writer = Arc::new(Mutex::new(Writer { log: None, connection, commits: 0, flushes: true }));
        Ok(Self {
            quick: Handle::Writers(Arc::clone(&writer)),
            bulk: Handle::Writers(Arc::clone(&writer)),
            writer,
            lock: None,
        })
    }

    /// Reads rows by key.
    pub(super) fn get(&self, lane: Lane, keys: &[RowKey]) -> Result<Vec<Option<Row>>, StorageError> {
        self.handle(lane).with(|connection| read::get(connection, keys))
    }

    /// Reads a range.
    pub(super) fn scan(&self, lane: Lane, scan: &Scan) -> Result<Vec<Row>, StorageError> {
        self.handle(lane).with(|connection| read::scan(connection, scan))
    }

    /// Runs `work` in a transaction, and commits what it returns.
    pub(super) fn transact(&self, work: &mut dyn Work) -> Outcome {
        let mut writer = lock(&self.writer);
        let mut outcome = writer.transact(work);
        if matches!(outcome, Err(StorageError::Full(_))) && self.make_room(&mut writer) {
            outcome = writer.transact(work);
        }
        writer.commits = writer.commits.wrapping_add(1);
        if writer.commits.is_multiple_of(COMMITS_PER_LOOK) && writer.log.as_ref().is_some_and(Log::is_overgrown) {
            self.empty_log(&mut writer);
        }
        outcome
    }

    /// Moves the log into the file and closes everything. Everything is closed even if that fails: the log is as durable
    /// as the file. That the disk has no room to move it is no failure: the next opening finds it.
    pub(super) fn close(self) -> Result<(), StorageError> {
        let Self { quick, bulk, writer, lock } = self;
        drop((quick, bulk));
        let Some(lock) = lock else { return Ok(()) };
        // By now nobody else has a share in the writer.
        let Some(writer) = Arc::into_inner(writer) else { return Ok(()) };
        let Writer { log, connection, .. } = writer.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Some(mut log) = log else { return Ok(()) };
        let emptied = log.empty(&connection);
        let kept = if emptied.is_err() { keep_log(&connection, true) } else { Ok(()) };
        let closed = connection.close().map_err(|(_, error)| typed(error));
        if emptied == Ok(true) && closed.is_ok() {
            log.settle();
        }
        drop((log, lock));
        match emptied {
            Err(StorageError::Full(_)) => Ok(()),
            other => other.map(drop),
        }
        .and(kept)
        .and(closed)
    }

    /// Lets go of everything without a trace on the file: in a forked child, where it belongs to the parent.
    pub(super) fn abandon(mut self) {
        if let Some(lock) = self.lock.take() {
            lock.leave_to_parent();
        }
        std::mem::forget(self);
    }

    fn handle(&self, lane: Lane) -> &Handle {
        match lane {
            Lane::Quick => &self.quick,
            Lane::Bulk => &self.bulk,
        }
    }

    /// Empties an overgrown log while nobody reads. It is tidying: should it fail, a later commit tries again.
    fn empty_log(&self, writer: &mut Writer) {
        let emptied = self.without_readers(writer, Log::empty).unwrap_or(Ok(true));
        if let Err(error) = emptied {
            tracing::warn!(%error, "the write-ahead log could not be emptied");
        }
    }

    /// Empties the log of a full disk. Says whether that has made room.
    fn make_room(&self, writer: &mut Writer) -> bool {
        self.without_readers(writer, Log::make_room).unwrap_or(false)
    }

    /// Does something to the log while none of ours reads; another program that reads is not waited for.
    fn without_readers<T>(&self, writer: &mut Writer, work: impl FnOnce(&mut Log, &Connection) -> T) -> Option<T> {
        let _readers = [&self.quick, &self.bulk].map(|handle| match handle {
            Handle::Own(connection) => Some(lock(connection)),
            Handle::Writers(_) => None,
        });
        let log = writer.log.as_mut()?;
        let waits = |time| {
            if let Err(error) = writer.connection.busy_timeout(time) {
                tracing::warn!(%error, "the time to wait for other programs could not be set");
            }
        };
        waits(Duration::ZERO);
        let done = work(log, &writer.connection);
        waits(BUSY);
        Some(done)
    }

    /// Runs `look` on the writer's connection.
    #[cfg(test)]
    pub(super) fn with_writer<T>(&self, look: impl FnOnce(&Connection) -> T) -> T {
        look(&lock(&self.writer).connection)
    }

    /// Runs `look` on the connection of `lane`.
    #[cfg(test)]
    pub(super) fn with_reader<T>(&self, lane: Lane, look: impl FnOnce(&Connection) -> T) -> T {
        self.handle(lane).with(look)
    }
}

impl Writer {
    /// Runs `work` in a transaction; one that has to survive a loss of power is flushed. A flush takes the whole log with it.
    fn transact(&mut self, work: &mut dyn Work) -> Outcome {
        match write::transact(&self.connection, work, self.flushes)? {
            Ended::Committed => self.committed(self.flushes),
            Ended::Empty => {}
            // How a commit is made cannot be changed within its transaction.
            Ended::NeedsFlush => self.flushed(|connection| write::transact(connection, work, true).map(drop))?,
        }
        Ok(())
    }

    /// Does something that commits while commits are flushed.
    fn flushed(&mut self, commit: impl FnOnce(&Connection) -> Outcome) -> Outcome {
        set_flushes(&self.connection, true).map_err(typed)?;
        let outcome = commit(&self.connection);
        // Should this fail, the next commits are flushed too: slower, not weaker.
        if let Err(error) = set_flushes(&self.connection, false) {
            tracing::warn!(%error, "commits go on being flushed");
        }
        self.committed(true);
        outcome
    }

    fn committed(&mut self, flushed: bool) {
        if let Some(log) = &mut self.log {
            log.committed(&self.connection, flushed);
        }
    }
}

impl Handle {
    fn with<T>(&self, read: impl FnOnce(&Connection) -> T) -> T {
        match self {
            Self::Own(connection) => read(&lock(connection)),
            Self::Writers(writer) => read(&lock(writer).connection),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A transaction that a panic left open is rolled back before the next begins.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The writer, and the readers if there is room for them.
type Handles = (Arc<Mutex<Writer>>, Option<[Connection; 2]>);

/// Opens the handles of the file at `path`: the writer, and the readers if there is room for them.
fn open(path: &Path, options: &SqliteOptions, lock: &ReplicaLock, sharing: Sharing) -> Result<Handles, StorageError> {
    let unclean = inspect::left_unclean(path);
    let connection = connect(path, OpenFlags::SQLITE_OPEN_CREATE)?;
    // Until the file is known to be sound, closing must not move a log into it.
    keep_log(&connection, true)?;
    if sharing == Sharing::One {
        connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(())).map_err(typed)?;
    }
    let found = schema::recognise(&connection, options.steps)?;
    if found != schema::Found::New {
        inspect::integrity(&connection, length(path), unclean)?;
    }
    if unclean {
        durable::log(path)?;
    }
    set_limit(&connection, options).map_err(typed)?;
    schema::migrate(&connection, &found, options.steps)?;
    schema::verify(&connection)?;
    // After the first commit, so that the file itself says whose it is before anything lies in a log only.
    use_log(&connection)?;
    set_durability(&connection, options).map_err(typed)?;
    set_cache(&connection, WRITER_CACHE_KIB).map_err(typed)?;
    let reader = || {
        let reader = connect(path, OpenFlags::empty())?;
        set_cache(&reader, READER_CACHE_KIB).map_err(typed)?;
        reader.pragma_update(None, "query_only", true).map_err(typed)?;
        Ok(reader)
    };
    let readers = if sharing == Sharing::Connections { Some([reader()?, reader()?]) } else { None };
    // By now the log is there too.
    durable::names(path)?;
    let log = Log::open(path, lock, &connection, options.checkpoint_bytes)?;
    keep_log(&connection, false)?;
    let flushes = options.durability == Durability::Full;
    Ok((Arc::new(Mutex::new(Writer { log: Some(log), connection, commits: 0, flushes })), readers))
}

/// Whether closing leaves the log where it is.
fn keep_log(connection: &Connection, keep: bool) -> Result<(), StorageError> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map(drop).map_err(typed)
}

/// Opens a connection; asks nothing of it that would make SQLite read the file.
fn connect(path: &Path, extra: OpenFlags) -> Result<Connection, StorageError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | extra;
    let connection = Connection::open_with_flags(path, flags).map_err(typed)?;
    let set = || {
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(sql::STATEMENT_CACHE);
        connection.pragma_update(None, "trusted_schema", false)?;
        // Looks at each page when it is read, so that a damaged one is an error and no wrong answer.
        connection.pragma_update(None, "cell_size_check", true)?;
        // A statement is planned once. Without this, SQLite plans a range scan anew for every bound that it is given.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.pragma_update(None, "temp_store", "MEMORY")
    };
    set().map_err(typed)?;
    Ok(connection)
}

fn set_limit(connection: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    match options.max_bytes {
        Some(bytes) => {
            let pages = i64::try_from(bytes / u64::from(PAGE_BYTES)).unwrap_or(i64::MAX).max(1);
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
        }
        None => Ok(()),
    }
}

/// Switches the write-ahead log on. SQLite says that it is on before it has written that down, and whether that went well
/// only to those who read on: if the disk refuses, commits use a rollback journal, under which `synchronous=FULL` does not
/// survive a loss of power.
fn use_log(connection: &Connection) -> Result<(), StorageError> {
    let mut mode = String::new();
    let read = |row: &rusqlite::Row<'_>| row.get(0).map(|name| mode = name);
    connection.pragma(None, "journal_mode", "WAL", read).map_err(typed)?;
    if mode.eq_ignore_ascii_case("wal") {
        Ok(())
    } else {
        Err(StorageError::Unavailable(format!("the journal mode is {mode}, not WAL")))
    }
}

fn set_durability(connection: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    set_flushes(connection, options.durability == Durability::Full)?;
    // Apple's fsync leaves the data in the drive's cache; elsewhere this has no effect, nor has `fullfsync`.
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    // `Log` says when.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))
}

/// Whether commits are flushed to the medium from now on. Not to be called within a transaction.
fn set_flushes(connection: &Connection, flushes: bool) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", if flushes { "FULL" } else { "NORMAL" })?;
    connection.pragma_update(None, "fullfsync", flushes)
}

fn set_cache(connection: &Connection, kib: i64) -> rusqlite::Result<()> {
    // Negative: in KiB, not in pages.
    connection.pragma_update(None, "cache_size", -kib)
}
