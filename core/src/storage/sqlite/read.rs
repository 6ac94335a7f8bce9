//! Reads rows.

use std::ops::Bound;

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::sql::{self, PerTable, Transaction, unsigned};
use crate::storage::{Row, RowKey, Scan};

/// The rows of `keys`, from one snapshot.
pub(super) fn get(connection: &Connection, keys: Vec<RowKey>) -> Result<Vec<Option<Row>>> {
    // One statement is a snapshot by itself.
    let _snapshot = if keys.len() > 1 { Some(Transaction::read(connection)?) } else { None };
    let mut statements = PerTable::new(connection, |sql| &sql.get);
    keys.into_iter()
        .map(|RowKey { table, key }| {
            let found = statements
                .of(table)?
                .query_row([key.as_slice()], |row| Ok((blob(row, 0)?, unsigned(row, 1)?)))
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
    let row =
        |row: &rusqlite::Row<'_>| Ok(Row { key: blob(row, 0)?, value: blob(row, 1)?, version: unsigned(row, 2)? });
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
