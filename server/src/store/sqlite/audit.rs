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
    let mut place = end(connection)?;
    place.id += 1;
    let row = Stored {
        scope,
        at_ms: row.at_ms.cast_signed(),
        user: row.user.clone(),
        device: row.device.as_ref().map(ToString::to_string),
        peer: row.peer.clone(),
        action: row.action.to_owned(),
        outcome: row.outcome.clone(),
        detail: row.detail.to_string(),
    };
    row.write(connection, &place).map(drop)
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

/// Chains the rows anew if the chain is broken, so that what comes next can be checked again, and adds a row that says so; hashes
/// that were kept elsewhere are not found any more.
pub(super) fn rechain(connection: &Connection, now_ms: u64) -> Result<(), StoreError> {
    let Some(broken) = walk(connection, None)?.broken else { return Ok(()) };
    let mut end = anchor(connection)?;
    let mut ids = connection.prepare("SELECT id FROM audit ORDER BY id").map_err(store_error)?;
    let ids = ids.query_map([], |row| row.get(0)).map_err(store_error)?;
    let ids: Vec<i64> = ids.collect::<Result<_, _>>().map_err(store_error)?;
    for id in ids {
        // Numbers only get smaller: none is taken yet.
        end.id += 1;
        let mut read = connection.prepare_cached(&AUDIT.select("WHERE id = ?1")).map_err(store_error)?;
        let mut rows = read.query([id]).map_err(store_error)?;
        let Some(row) = rows.next().map_err(store_error)? else { continue };
        let row = Stored::read(row)?;
        drop(rows);
        connection.execute("DELETE FROM audit WHERE id = ?1", [id]).map_err(store_error)?;
        end.hash = row.write(connection, &end)?;
    }
    append(connection, 0, &AuditRow::new(now_ms, "operator", "rechain", json!({ "broken": broken })))
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
    let id = get(row, 0)?;
    Stored::read(row)?.hash(before, id)
}

/// A row as it is stored, but for its number and hash.
struct Stored {
    scope: i64,
    at_ms: i64,
    user: String,
    device: Option<String>,
    peer: Option<String>,
    action: String,
    outcome: String,
    detail: String,
}

impl Stored {
    fn read(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            scope: get(row, 1)?,
            at_ms: get(row, 2)?,
            user: get(row, 3)?,
            device: get(row, 4)?,
            peer: get(row, 5)?,
            action: get(row, 6)?,
            outcome: get(row, 7)?,
            detail: get(row, 8)?,
        })
    }

    /// The hash of the row as number `id`, after one with the hash `before`.
    fn hash(&self, before: &str, id: i64) -> Result<String, StoreError> {
        let Self { scope, at_ms, user, device, peer, action, outcome, detail } = self;
        let text = serde_json::to_vec(&(before, id, scope, at_ms, user, device, peer, action, outcome, detail))
            .map_err(|error| StoreError::Internal(format!("an audit row does not serialize: {error}")))?;
        Ok(hex(&Sha256::digest(text)))
    }

    /// Writes the row as number `end.id`, after one with the hash `end.hash`; answers its own.
    fn write(&self, connection: &Connection, end: &ChainEnd) -> Result<String, StoreError> {
        let hash = self.hash(&end.hash, end.id)?;
        let Self { scope, at_ms, user, device, peer, action, outcome, detail } = self;
        let values = params![end.id, scope, at_ms, user, device, peer, action, outcome, detail, hash];
        AUDIT.write(connection, values, None)?;
        Ok(hash)
    }
}
