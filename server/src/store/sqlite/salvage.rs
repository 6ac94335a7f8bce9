//! What can still be read of a damaged file, in a new one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, params};
use unisono::model::DigestSum;

use super::audit;
use super::connection::store_error;
use super::files::{length, open_private, sibling};
use super::operator::replace;
use super::schema;
use super::store::lock;
use super::table::{SCOPE, Table, tables};
use crate::store::StoreError;

/// A repair under way: the damaged database is locked and stays as it is until [`finish`](Self::finish).
#[derive(Debug)]
pub struct Repair {
    path: PathBuf,
    fresh: PathBuf,
    _lock: File,
}

/// What was read of a damaged file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Rows that are sound, and in the new file.
    pub rows: u64,
    /// Rows that were found and do not match their checksums, by table.
    pub damaged: Vec<(&'static str, u64)>,
    /// Tables that could not be read from end to end.
    pub unreadable: Vec<&'static str>,
    /// Scopes whose own row is lost, but not their name.
    pub headless: u64,
    /// Scopes whose name is lost: nobody can say whose their rows are, and they are left out.
    pub nameless: u64,
}

impl Repair {
    /// Copies what is sound of the database at `path`, on which no server may run, to a new file. `now_ms` is for its audit trail.
    ///
    /// # Errors
    /// `already_open`; `storage_corrupt` if not even the list of tables can be read; `storage_io`, `storage_full`.
    pub fn begin(path: &Path, now_ms: u64) -> Result<(Self, Salvaged), StoreError> {
        if length(path) == 0 {
            return Err(StoreError::Io(format!("there is no database at {}", path.display())));
        }
        let lock = lock(path)?;
        let fresh = sibling(path, ".repaired");
        let source = Connection::open(path).map_err(store_error)?;
        remove(&fresh);
        open_private(&fresh).map_err(|error| StoreError::Io(format!("{}: {error}", fresh.display())))?;
        let mut target = Connection::open(&fresh).map_err(store_error)?;
        schema::migrate(&mut target)?;
        let repair = Self { path: path.to_owned(), fresh, _lock: lock };
        let tx = target.transaction().map_err(store_error)?;
        let mut salvaged = Salvaged::default();
        tables().try_for_each(|table| copy(table, &source, &tx, &mut salvaged))?;
        name_scopes(&source, &tx, &mut salvaged)?;
        audit::rechain(&tx, now_ms)?;
        tx.commit().map_err(store_error)?;
        target.close().map_err(|(_, error)| store_error(error))?;
        Ok((repair, salvaged))
    }

    /// The new file.
    #[must_use]
    pub fn fresh(&self) -> &Path {
        &self.fresh
    }

    /// Puts the new file, which is closed, in the place of the damaged one, which is kept under a name with `.replaced`.
    ///
    /// # Errors
    /// `storage_io`.
    pub fn finish(self) -> Result<(), StoreError> {
        drop(fs::remove_file(sibling(&self.fresh, ".lock")));
        let flushed = File::open(&self.fresh).and_then(|file| file.sync_all());
        flushed.map_err(|error| StoreError::Io(error.to_string()))?;
        replace(&self.path, &self.fresh)
    }

    /// Leaves everything as it was.
    pub fn give_up(self) {
        remove(&self.fresh);
    }
}

fn remove(file: &Path) {
    for suffix in ["", "-wal", "-shm", ".lock"] {
        // It is there after a repair that was killed, and not otherwise.
        drop(fs::remove_file(sibling(file, suffix)));
    }
}

/// Copies the sound rows of a table: from its begin as far as it can be read, and then from its end.
fn copy(table: &Table, source: &Connection, target: &Connection, salvaged: &mut Salvaged) -> Result<(), StoreError> {
    let mut damaged = 0;
    let mut unreadable = false;
    for order in table.orders() {
        let mut found = 0;
        match walk(table, &order, source, target, &mut found, salvaged) {
            Ok(()) => {
                damaged = found;
                break;
            }
            // Of what lies between the two ends, nothing is known.
            Err(StoreError::Corrupt(_)) => {
                damaged += found;
                unreadable = true;
            }
            Err(error) => return Err(error),
        }
    }
    if damaged > 0 {
        salvaged.damaged.push((table.name, damaged));
    }
    if unreadable {
        salvaged.unreadable.push(table.name);
    }
    Ok(())
}

fn walk(
    table: &Table,
    order: &str,
    source: &Connection,
    target: &Connection,
    damaged: &mut u64,
    salvaged: &mut Salvaged,
) -> Result<(), StoreError> {
    let mut statement = source.prepare(&table.select_whole(order)).map_err(store_error)?;
    let columns = statement.column_count();
    let mut rows = statement.query([]).map_err(store_error)?;
    let mut insert = target.prepare(&table.copy).map_err(store_error)?;
    while let Some(row) = rows.next().map_err(store_error)? {
        if table.check_whole(row).is_err() {
            *damaged += 1;
            continue;
        }
        for place in 0..columns {
            let value = row.get_ref(place).map_err(store_error)?;
            insert.raw_bind_parameter(place + 1, ToSqlOutput::Borrowed(value)).map_err(store_error)?;
        }
        salvaged.rows += insert.raw_execute().map_err(store_error)? as u64;
    }
    Ok(())
}

/// Gives scopes whose row is lost a new one without a history, under the name that the index has kept; drops the rows of those
/// that have no name.
fn name_scopes(source: &Connection, target: &Connection, salvaged: &mut Salvaged) -> Result<(), StoreError> {
    let parts: Vec<_> = tables().filter(|table| table.is_of_scopes()).map(|table| table.name).collect();
    let of_each: Vec<_> = parts.iter().map(|name| format!("SELECT scope FROM {name}")).collect();
    let sql = format!("{} EXCEPT SELECT id FROM scope", of_each.join(" UNION "));
    let mut statement = target.prepare(&sql).map_err(store_error)?;
    let orphans = statement.query_map([], |row| row.get(0)).map_err(store_error)?;
    let orphans: Vec<i64> = orphans.collect::<Result<_, _>>().map_err(store_error)?;
    for id in orphans {
        if let Some(key) = indexed_name(source, id) {
            let values =
                params![id, key, "", 0, None::<String>, 0, 0, 0, 0, 0, DigestSum::default().0.to_be_bytes(), true];
            SCOPE.write(target, values, None)?;
            salvaged.headless += 1;
        } else {
            for name in &parts {
                target.execute(&format!("DELETE FROM {name} WHERE scope = ?1"), [id]).map_err(store_error)?;
            }
            salvaged.nameless += 1;
        }
    }
    Ok(())
}

/// The name of scope `id` in the index of names. It has no checksum: it has to look like a name, and to be there once.
fn indexed_name(source: &Connection, id: i64) -> Option<String> {
    let mut statement =
        source.prepare("SELECT key, id FROM scope INDEXED BY sqlite_autoindex_scope_1 ORDER BY key").ok()?;
    let mut rows = statement.query([]).ok()?;
    let mut found = None;
    while let Ok(Some(row)) = rows.next() {
        let (Ok(key), Ok(number)) = (row.get::<_, String>(0), row.get::<_, i64>(1)) else { continue };
        if number == id && (key.starts_with("user:") || key.starts_with("workspace:")) {
            if found.is_some() {
                return None;
            }
            found = Some(key);
        }
    }
    found
}
