//! What an operator does with a database's file, beside a running server (reading, backing up) or instead of one (restoring).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};
use unisono::storage::durable;

use super::audit::{self, Chain};
use super::check::{self, Damage};
use super::connection::{open_reader, store_error};
use super::files::{length, open_private, sibling};
use super::reads::{ScopeHandle, get};
use super::store::{list_scopes, lock, snapshot};
use crate::store::{ScopeKey, ScopeReads, StoreError};

/// Beside the database: when the last backup was made, in the milliseconds of the wall clock.
const LAST_BACKUP: &str = ".backup-at";

/// A database as an operator's tools read it. A server may be running on it.
#[derive(Debug)]
pub struct DatabaseFile {
    path: PathBuf,
    connection: Connection,
}

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// Bytes of its file.
    pub bytes: u64,
    /// Scopes in it.
    pub scopes: u64,
    /// Records in it, tombstones included.
    pub records: u64,
}

impl DatabaseFile {
    /// Opens the database at `path`.
    ///
    /// # Errors
    /// `storage_corrupt`, `storage_io`; `storage_io` if there is none.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if length(path) == 0 {
            return Err(StoreError::Io(format!("there is no database at {}", path.display())));
        }
        Ok(Self { path: path.to_owned(), connection: open_reader(path)? })
    }

    /// Bytes of its file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        length(&self.path)
    }

    /// Bytes of its write-ahead log.
    #[must_use]
    pub fn wal_bytes(&self) -> u64 {
        length(&sibling(&self.path, "-wal"))
    }

    /// When the last backup was made, in milliseconds of the wall clock.
    #[must_use]
    pub fn last_backup_ms(&self) -> Option<u64> {
        last_backup(&self.path)
    }

    /// Checks everything for damage: SQLite's structure, every row's checksum, and whether each scope has the records that it
    /// counts.
    ///
    /// # Errors
    /// `storage_io`. Damage is no error.
    pub fn check(&self) -> Result<Damage, StoreError> {
        snapshot(&self.connection, whole)
    }

    /// Walks along the audit trail. `expected` is the hash of a row that has to be in it.
    ///
    /// # Errors
    /// `storage_corrupt`, `storage_io`. A broken chain is no error.
    pub fn audit(&self, expected: Option<&str>) -> Result<Chain, StoreError> {
        snapshot(&self.connection, |connection| audit::walk(connection, expected))
    }

    /// Hands `each` the audit rows of `user`, oldest first, as JSON.
    ///
    /// # Errors
    /// The one of `each`; `storage_corrupt`, `storage_io`.
    pub fn audit_rows(
        &self,
        user: &str,
        each: impl FnMut(serde_json::Value) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        snapshot(&self.connection, |connection| audit::rows_of(connection, user, each))
    }

    /// All scopes, in key order.
    ///
    /// # Errors
    /// `storage_corrupt`, `storage_io`.
    pub fn scopes(&self) -> Result<Vec<ScopeKey>, StoreError> {
        snapshot(&self.connection, |connection| list_scopes(connection, "", usize::MAX))
    }

    /// Reads a scope on one snapshot.
    ///
    /// # Errors
    /// The one of `job`; `storage_io`.
    pub fn read<T>(
        &self,
        scope: &ScopeKey,
        job: impl FnOnce(&mut dyn ScopeReads) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        snapshot(&self.connection, |connection| job(&mut ScopeHandle::new(connection, scope)))
    }

    /// Writes a copy of the database as it is now to `to`, which must not exist, and checks it. It is read on one snapshot:
    /// however much a server writes meanwhile, it takes as long as copying once. `now_ms` is noted beside the database.
    ///
    /// # Errors
    /// `storage_io` if `to` exists or cannot be written, `storage_full`; `storage_corrupt` if the copy is damaged, which is then
    /// not kept.
    pub fn backup(&self, to: &Path, now_ms: u64) -> Result<BackupReport, StoreError> {
        let io = |error: io::Error| of_file(&error, to);
        if to.try_exists().map_err(io)? {
            return Err(StoreError::Io(format!("{} exists already", to.display())));
        }
        let partial = sibling(to, ".partial");
        let written = || {
            open_private(&partial).map_err(io)?.set_len(0).map_err(io)?;
            // Reading alone: what is written is the copy. `query_only` would forbid that too.
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let source = Connection::open_with_flags(&self.path, flags).map_err(store_error)?;
            source.execute("VACUUM INTO ?1", params![partial.to_string_lossy()]).map_err(store_error)?;
            let report = examined(&partial)?;
            File::open(&partial).and_then(|file| file.sync_all()).map_err(io)?;
            fs::rename(&partial, to).map_err(io)?;
            durable::names(to)?;
            note_backup(&self.path, now_ms).map_err(io)?;
            Ok(report)
        };
        let outcome = written();
        if outcome.is_err() {
            // Gone already, or worth nothing.
            drop(fs::remove_file(&partial));
        }
        outcome
    }
}

/// Puts the backup `from` in the place of the database at `path`, on which no server may run. What was there is kept beside it,
/// under names with `.replaced`.
///
/// # Errors
/// `already_open`; `storage_corrupt` if the backup is damaged; `storage_io`, `storage_full`. Nothing is replaced then.
pub fn restore(path: &Path, from: &Path) -> Result<BackupReport, StoreError> {
    let _lock = lock(path)?;
    let io = |error: io::Error| of_file(&error, path);
    let fresh = sibling(path, ".restoring");
    let copied = || {
        let mut source = File::open(from).map_err(|error| of_file(&error, from))?;
        let mut target = open_private(&fresh).map_err(io)?;
        target.set_len(0).map_err(io)?;
        io::copy(&mut source, &mut target).map_err(io)?;
        target.sync_all().map_err(io)?;
        examined(&fresh)
    };
    match copied() {
        Ok(report) => replace(path, &fresh).map(|()| report),
        Err(error) => {
            drop(fs::remove_file(&fresh));
            Err(error)
        }
    }
}

/// Puts `fresh` in the place of the database at `path`, whose lock is held, and keeps what was there.
pub(super) fn replace(path: &Path, fresh: &Path) -> Result<(), StoreError> {
    for suffix in ["-wal", "", "-shm"] {
        let (old, kept) = (sibling(path, suffix), sibling(path, &format!(".replaced{suffix}")));
        drop(fs::remove_file(&kept));
        match fs::rename(&old, &kept) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(of_file(&error, &old)),
            _ => {}
        }
    }
    fs::rename(fresh, path).map_err(|error| of_file(&error, path))?;
    Ok(durable::names(path)?)
}

/// What the copy at `path` holds, once it is found to be sound.
fn examined(path: &Path) -> Result<BackupReport, StoreError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(store_error)?;
    let damage = whole(&connection)?;
    if !damage.is_none() {
        return Err(StoreError::Corrupt(damage.all().cloned().collect::<Vec<_>>().join("; ")));
    }
    let count = |table: &str| {
        let count: i64 = connection
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
            .map_err(store_error)?;
        Ok::<_, StoreError>(count.cast_unsigned())
    };
    Ok(BackupReport { bytes: length(path), scopes: count("scope")?, records: count("record")? })
}

/// The check of the file, and of the number of each scope's records.
fn whole(connection: &Connection) -> Result<Damage, StoreError> {
    let mut damage = check::whole(connection)?;
    if damage.structure.is_empty() {
        let sql = "SELECT id, records, tombstones, count(r.scope), coalesce(sum(r.alive), 0) FROM scope \
                   LEFT JOIN record r ON r.scope = scope.id GROUP BY scope.id";
        let mut statement = connection.prepare(sql).map_err(store_error)?;
        let mut rows = statement.query([]).map_err(store_error)?;
        while let Some(row) = rows.next().map_err(store_error)? {
            let (id, live, tombstones): (i64, i64, i64) = (get(row, 0)?, get(row, 1)?, get(row, 2)?);
            let (found, alive): (i64, i64) = (get(row, 3)?, get(row, 4)?);
            if (live, tombstones) != (alive, found - alive) {
                damage.structure.push(format!(
                    "scope {id} counts {live} records and {tombstones} tombstones, and has {alive} and {}",
                    found - alive
                ));
            }
        }
    }
    Ok(damage)
}

fn note_backup(path: &Path, now_ms: u64) -> io::Result<()> {
    let name = sibling(path, LAST_BACKUP);
    drop(open_private(&name)?);
    fs::write(name, now_ms.to_string())
}

/// When the last backup of the database at `path` was made, in milliseconds of the wall clock.
pub(super) fn last_backup(path: &Path) -> Option<u64> {
    fs::read_to_string(sibling(path, LAST_BACKUP)).ok()?.parse().ok()
}

fn of_file(error: &io::Error, path: &Path) -> StoreError {
    let text = format!("{}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full(text),
        _ => StoreError::Io(text),
    }
}
