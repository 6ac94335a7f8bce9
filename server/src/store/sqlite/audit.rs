//! The audit trail: a chain of hashes, each over its row and the one before it.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use unisono::model::value::hex;

use super::connection::{store_error, unreadable};
use super::reads::get;
use super::table::{AUDIT, META};
use crate::store::{AuditRow, StoreError};

/// Where the chain begins once its first rows were dropped.
const ANCHOR: &str = "audit_anchor";

/// The end of a chain, or of the part of it that was dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainEnd {
    /// The row's number; 0 before the first.
    pub id: i64,
    /// Its hash; empty before the first.
    pub hash: String,
}

/// Appends a row of the scope numbered `scope`; 0 for none.
pub(super) fn append(connection: &Connection, scope: i64, row: &AuditRow) -> Result<(), StoreError> {
    let before = end(connection)?;
    let id = before.id + 1;
    let device = row.device.as_ref().map(|device| device.as_str());
    let (at_ms, detail) = (row.at_ms.cast_signed(), row.detail.to_string());
    let what = (id, scope, at_ms, &row.user, device, &row.peer, row.action, &row.outcome, &detail);
    let hash = link(&before.hash, &what)?;
    let values = params![id, scope, at_ms, row.user, device, row.peer, row.action, row.outcome, detail, hash];
    AUDIT.write(connection, values, None)
}

fn link(before: &str, row: &impl serde::Serialize) -> Result<String, StoreError> {
    let text = serde_json::to_vec(&(before, row))
        .map_err(|error| StoreError::Internal(format!("an audit row does not serialize: {error}")))?;
    Ok(hex(&Sha256::digest(text)))
}

/// The end of the chain.
pub(super) fn end(connection: &Connection) -> Result<ChainEnd, StoreError> {
    let last = connection
        .prepare_cached("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1")
        .map_err(store_error)?
        .query_row([], |row| Ok(ChainEnd { id: row.get(0)?, hash: row.get(1)? }))
        .optional()
        .map_err(store_error)?;
    match last {
        Some(last) => Ok(last),
        None => anchor(connection),
    }
}

fn anchor(connection: &Connection) -> Result<ChainEnd, StoreError> {
    let Some(text) = META.value(connection, ANCHOR)? else { return Ok(ChainEnd::default()) };
    let read = || {
        let (id, hash) = text.split_once(' ')?;
        Some(ChainEnd { id: id.parse().ok()?, hash: hash.to_owned() })
    };
    read().ok_or_else(|| StoreError::Corrupt("the begin of the audit trail cannot be read".to_owned()))
}

/// Drops up to `limit` of the oldest rows, up to the first that is not older than `before_ms`.
pub(super) fn prune(connection: &Connection, before_ms: u64, limit: usize) -> Result<u64, StoreError> {
    let (before, limit) = (i64::try_from(before_ms).unwrap_or(i64::MAX), i64::try_from(limit).unwrap_or(i64::MAX));
    let sql = AUDIT.select("ORDER BY id LIMIT ?1");
    let mut statement = connection.prepare_cached(&sql).map_err(store_error)?;
    let mut rows = statement.query([limit]).map_err(store_error)?;
    let (mut last, mut count) = (None, 0);
    while let Some(row) = rows.next().map_err(store_error)? {
        AUDIT.check(row)?;
        if get::<i64>(row, 2)? >= before {
            break;
        }
        last = Some(ChainEnd { id: get(row, 0)?, hash: get(row, 9)? });
        count += 1;
    }
    drop(rows);
    let Some(ChainEnd { id, hash }) = last else { return Ok(0) };
    META.write(connection, params![ANCHOR, format!("{id} {hash}")], None)?;
    connection.execute("DELETE FROM audit WHERE id <= ?1", [id]).map_err(store_error)?;
    Ok(count)
}

/// What a walk along the chain found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Rows in it.
    pub rows: u64,
    /// Its last row. Kept elsewhere, it proves later that nothing before it has changed or gone.
    pub end: ChainEnd,
    /// Whether the hash that was asked for is one of the chain's.
    pub expected: bool,
    /// The first break, in words.
    pub broken: Option<String>,
}

/// Walks along the chain. `expected` is a hash that an earlier walk ended with.
pub(super) fn walk(connection: &Connection, expected: Option<&str>) -> Result<Chain, StoreError> {
    let begin = anchor(connection)?;
    let is_expected = |hash: &str| expected.is_none_or(|expected| expected == hash);
    let mut chain = Chain { rows: 0, expected: is_expected(&begin.hash), end: begin, broken: None };
    let mut statement = connection.prepare(&AUDIT.select("ORDER BY id")).map_err(store_error)?;
    let mut rows = statement.query([]).map_err(store_error)?;
    while let Some(row) = rows.next().map_err(store_error)? {
        let id: i64 = get(row, 0)?;
        let hash: String = get(row, 9)?;
        if id != chain.end.id + 1 {
            chain.broken = Some(format!("row {} is missing", chain.end.id + 1));
            return Ok(chain);
        }
        if hash != rehash(&chain.end.hash, row)? {
            chain.broken = Some(format!("row {id} is not what was written"));
            return Ok(chain);
        }
        chain.rows += 1;
        chain.expected |= is_expected(&hash);
        chain.end = ChainEnd { id, hash };
    }
    Ok(chain)
}

/// Hands `each` the rows of `user`, oldest first.
pub(super) fn rows_of(
    connection: &Connection,
    user: &str,
    mut each: impl FnMut(Value) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare(&AUDIT.select("WHERE user = ?1 ORDER BY id")).map_err(store_error)?;
    let mut rows = statement.query([user]).map_err(store_error)?;
    while let Some(row) = rows.next().map_err(store_error)? {
        AUDIT.check(row)?;
        let detail: String = get(row, 8)?;
        each(json!({
            "at_ms": get::<i64>(row, 2)?, "device": get::<Option<String>>(row, 4)?, "peer": get::<Option<String>>(row, 5)?,
            "action": get::<String>(row, 6)?, "outcome": get::<String>(row, 7)?,
            "detail": serde_json::from_str::<Value>(&detail).map_err(|error| unreadable("an audit row")(&error))?,
        }))?;
    }
    Ok(())
}

fn rehash(before: &str, row: &Row<'_>) -> Result<String, StoreError> {
    let text = |place| get::<String>(row, place);
    let optional = |place| get::<Option<String>>(row, place);
    let (id, scope, at_ms): (i64, i64, i64) = (get(row, 0)?, get(row, 1)?, get(row, 2)?);
    let (user, device, peer) = (text(3)?, optional(4)?, optional(5)?);
    let (action, outcome, detail) = (text(6)?, text(7)?, text(8)?);
    link(before, &(id, scope, at_ms, user, device, peer, action, outcome, detail))
}
