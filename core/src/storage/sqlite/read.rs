//! Reads rows.

use std::ops::Bound;

use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension, Result, params};

use super::checksum;
use super::sql::{self, PerTable, Transaction, unsigned};
use crate::storage::{Row, RowKey, Scan, Table};

/// The rows of `keys`, from one snapshot.
pub(super) fn get(connection: &Connection, keys: Vec<RowKey>) -> Result<Vec<Option<Row>>> {
    // One statement is a snapshot by itself.
    let _snapshot = if keys.len() > 1 { Some(Transaction::read(connection)?) } else { None };
    let mut statements = PerTable::new(connection, |sql| &sql.get);
    keys.into_iter()
        .map(|RowKey { table, key }| {
            let found = statements
                .of(table)?
                .query_row([key.as_slice()], |row| {
                    let value = blob(row, 0)?;
                    sound(&key, &value, row, 2)?;
                    Ok((value, unsigned(row, 1)?))
                })
                .optional()?;
            Ok(found.map(|(value, version)| Row { key, value, version }))
        })
        .collect()
}

/// The rows of `scan`.
pub(super) fn scan(connection: &Connection, scan: Scan) -> Result<Vec<Row>> {
    let sql = sql::of(scan.table);
    let limit = i64::try_from(scan.limit).unwrap_or(i64::MAX);
    let lower = at_or_above(scan.lower);
    let row = |row: &rusqlite::Row<'_>| {
        let (key, value) = (blob(row, 0)?, blob(row, 1)?);
        sound(&key, &value, row, 3)?;
        Ok(Row { key, value, version: unsigned(row, 2)? })
    };
    match below(scan.upper) {
        Some(upper) => connection
            .prepare_cached(if scan.reverse { &sql.scan_reverse } else { &sql.scan })?
            .query_map(params![lower, limit, upper], row)?
            .collect(),
        None => connection
            .prepare_cached(if scan.reverse { &sql.scan_reverse_from_end } else { &sql.scan_to_end })?
            .query_map(params![lower, limit], row)?
            .collect(),
    }
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
fn at_or_above(lower: Bound<Vec<u8>>) -> Vec<u8> {
    match lower {
        Bound::Unbounded => Vec::new(),
        Bound::Included(key) => key,
        Bound::Excluded(key) => next(key),
    }
}

/// `upper` as an excluded bound.
fn below(upper: Bound<Vec<u8>>) -> Option<Vec<u8>> {
    match upper {
        Bound::Unbounded => None,
        Bound::Excluded(key) => Some(key),
        Bound::Included(key) => Some(next(key)),
    }
}

fn next(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}
