//! Reads rows.

use std::ops::Bound;

use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension, Result, params};

use super::checksum;
use super::error::typed;
use super::sql::{self, PerTable, Transaction};
use crate::storage::{Row, RowKey, Rows, Scan, StorageError, Table};

/// Reads by key and by range, within one transaction or each by itself.
pub(super) struct Reader<'c> {
    connection: &'c Connection,
    get: PerTable<'c>,
}

impl<'c> Reader<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { connection, get: PerTable::new(connection, |sql| &sql.get) }
    }

    fn row(&mut self, RowKey { table, key }: &RowKey) -> Result<Option<Row>> {
        let value = self.get.of(*table)?.query_row([key.as_slice()], |row| {
            let value = blob(row, 0)?;
            sound(key, &value, row, 1)?;
            Ok(value)
        });
        Ok(value.optional()?.map(|value| Row { key: key.clone(), value }))
    }

    fn rows(&mut self, scan: &Scan) -> Result<Vec<Row>> {
        let sql = sql::of(scan.table);
        let limit = i64::try_from(scan.limit).unwrap_or(i64::MAX);
        let lower = at_or_above(&scan.lower);
        let row = |row: &rusqlite::Row<'_>| {
            let (key, value) = (blob(row, 0)?, blob(row, 1)?);
            sound(&key, &value, row, 2)?;
            Ok(Row { key, value })
        };
        match below(&scan.upper) {
            Some(upper) => self
                .connection
                .prepare_cached(if scan.reverse { &sql.scan_reverse } else { &sql.scan })?
                .query_map(params![lower, limit, upper], row)?
                .collect(),
            None => self
                .connection
                .prepare_cached(if scan.reverse { &sql.scan_reverse_from_end } else { &sql.scan_to_end })?
                .query_map(params![lower, limit], row)?
                .collect(),
        }
    }
}

impl Rows for Reader<'_> {
    fn get(&mut self, keys: &[RowKey]) -> std::result::Result<Vec<Option<Row>>, StorageError> {
        keys.iter().map(|key| self.row(key)).collect::<Result<_>>().map_err(typed)
    }

    fn scan(&mut self, scan: &Scan) -> std::result::Result<Vec<Row>, StorageError> {
        self.rows(scan).map_err(typed)
    }
}

/// The rows of `keys`, from one snapshot.
pub(super) fn get(connection: &Connection, keys: &[RowKey]) -> std::result::Result<Vec<Option<Row>>, StorageError> {
    // One statement is a snapshot by itself.
    let _snapshot = if keys.len() > 1 { Some(Transaction::read(connection).map_err(typed)?) } else { None };
    Reader::new(connection).get(keys)
}

/// The rows of `scan`.
pub(super) fn scan(connection: &Connection, scan: &Scan) -> std::result::Result<Vec<Row>, StorageError> {
    Reader::new(connection).scan(scan)
}

/// Compares all rows of a table with their checksums. Those of the format's first version have none.
pub(super) fn check_all(connection: &Connection, table: Table) -> Result<()> {
    let name = table.name();
    let sums: i64 =
        connection
            .query_row("SELECT count(*) FROM pragma_table_info(?1) WHERE name = 'sum'", [name], |row| row.get(0))?;
    if sums == 0 {
        return Ok(());
    }
    let mut statement = connection.prepare(&format!("SELECT key, value, sum FROM {name}"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        sound(row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?, row, 2)?;
    }
    Ok(())
}

/// Compares a row with the checksum in `column`. Rows that were written before there were checksums have none.
fn sound(key: &[u8], value: &[u8], row: &rusqlite::Row<'_>, column: usize) -> Result<()> {
    match row.get::<_, Option<i64>>(column)? {
        Some(sum) if sum != checksum::of(key, value) => {
            Err(Error::FromSqlConversionFailure(column, Type::Blob, "a row does not match its checksum".into()))
        }
        _ => Ok(()),
    }
}

fn blob(row: &rusqlite::Row<'_>, column: usize) -> Result<Vec<u8>> {
    Ok(row.get_ref(column)?.as_blob()?.to_vec())
}

/// `lower` as an included bound: every key is at or above the empty one, and nothing lies between a key and the key with a
/// zero byte added.
fn at_or_above(lower: &Bound<Vec<u8>>) -> Vec<u8> {
    match lower {
        Bound::Unbounded => Vec::new(),
        Bound::Included(key) => key.clone(),
        Bound::Excluded(key) => next(key),
    }
}

/// `upper` as an excluded bound.
fn below(upper: &Bound<Vec<u8>>) -> Option<Vec<u8>> {
    match upper {
        Bound::Unbounded => None,
        Bound::Excluded(key) => Some(key.clone()),
        Bound::Included(key) => Some(next(key)),
    }
}

fn next(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}
