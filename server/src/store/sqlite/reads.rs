//! Reading a scope.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

use rusqlite::types::FromSql;
use rusqlite::{CachedStatement, Connection, Params, Row, params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use unisono::clock::Stamp;
use unisono::merge::{LeafClock, LeafClocks, LoggedWrite, StoredRecord};
use unisono::model::{
    Author, Change, ChangeKind, CollectionName, DeviceId, DigestSum, EventId, Receipt, ReceiptStatus, RecordId,
    RecordKey, Revision,
};

use super::connection::{store_error, unreadable};
use super::table::{BUCKET, COMMIT, DEVICE, EPOCH, LOG, NOTE_VALUE, PURGE, RECORD, SCOPE, Table};
use crate::store::{
    ApiKeyRow, ChangesQuery, CommitRow, DeviceRow, EpochRow, PurgeRow, RecordRow, ScopeKey, ScopeReads, ScopeRow,
    Settled, StoreError, UsageRow, UserRow,
};

/// One scope on one connection, within a transaction.
pub(super) struct ScopeHandle<'c> {
    pub(super) connection: &'c Connection,
    pub(super) key: &'c ScopeKey,
    /// The scope's number, once looked up.
    id: Option<i64>,
}

/// The clocks' part of a record.
#[derive(Serialize, Deserialize)]
pub(super) struct ClockColumn {
    #[serde(rename = "c")]
    pub(super) clocks: LeafClocks,
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub(super) floor_clock: Option<LeafClock>,
    #[serde(rename = "y", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) floor_yields: bool,
}

impl<'c> ScopeHandle<'c> {
    pub(super) fn new(connection: &'c Connection, key: &'c ScopeKey) -> Self {
        Self { connection, key, id: None }
    }

    /// The scope's number in the other tables; 0, which no row has, if the scope does not exist.
    pub(super) fn id(&mut self) -> Result<i64, StoreError> {
        if self.id.is_none() {
            self.scope()?;
        }
        Ok(self.id.unwrap_or(0))
    }

    pub(super) fn statement(&self, sql: &str) -> Result<CachedStatement<'c>, StoreError> {
        self.connection.prepare_cached(sql).map_err(store_error)
    }

    /// The one row of `table` that `rest` names, compared with its checksum.
    pub(super) fn one<T>(
        &self,
        table: &Table,
        rest: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.many(table, rest, params, read)?.pop())
    }

    /// The rows of `table` that `rest` names, each compared with its checksum.
    pub(super) fn many<T>(
        &self,
        table: &Table,
        rest: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.each(&table.select(rest), params, |row| table.check(row).and_then(|()| read(row)))
    }

    /// The same, with the column apart.
    fn many_whole<T>(
        &self,
        table: &Table,
        rest: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.each(&table.select_whole(rest), params, |row| table.check_whole(row).and_then(|()| read(row)))
    }

    /// What an index or a count tells. Rows of the index have no checksum; the check of the whole file compares them with
    /// those of the table.
    fn told<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.each(sql, params, read)?.pop())
    }

    pub(super) fn each<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.statement(sql)?;
        let mut rows = statement.query(params).map_err(store_error)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(store_error)? {
            found.push(read(row)?);
        }
        Ok(found)
    }
}

/// Revisions and counts are below 2^63; nonces use all bits. Both are kept as they are, in SQLite's signed integers.
pub(super) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn get<T: FromSql>(row: &Row<'_>, column: usize) -> Result<T, StoreError> {
    row.get(column).map_err(store_error)
}

pub(super) fn number(row: &Row<'_>, column: usize) -> Result<u64, StoreError> {
    get::<i64>(row, column).map(i64::cast_unsigned)
}

/// A column whose text has a parser.
pub(super) fn parsed<T: FromStr<Err: Display>>(row: &Row<'_>, column: usize) -> Result<T, StoreError> {
    let text = row.get_ref(column).map_err(store_error)?;
    let text = text.as_str().map_err(|error| unreadable("a column")(&error))?;
    text.parse().map_err(|error| unreadable("a column")(&error))
}

fn optional<T: FromStr<Err: Display>>(row: &Row<'_>, column: usize) -> Result<Option<T>, StoreError> {
    let text: Option<String> = get(row, column)?;
    text.map(|text| text.parse()).transpose().map_err(|error| unreadable("a column")(&error))
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T, StoreError> {
    let text = row.get_ref(column).map_err(store_error)?;
    let text = text.as_str().map_err(|error| unreadable("a column")(&error))?;
    serde_json::from_str(text).map_err(|error| unreadable("a column")(&error))
}

fn digest(row: &Row<'_>, column: usize) -> Result<DigestSum, StoreError> {
    get(row, column).map(|bytes: [u8; 16]| DigestSum(u128::from_be_bytes(bytes)))
}

/// Columns of a record, in the order of its table.
fn key_columns(row: &Row<'_>) -> Result<RecordKey, StoreError> {
    Ok(RecordKey { collection: parsed(row, 2)?, record: parsed(row, 3)? })
}

fn author(row: &Row<'_>) -> Result<Author, StoreError> {
    Ok(Author { user: get(row, 8)?, device: parsed(row, 9)? })
}

fn record_row(row: &Row<'_>) -> Result<RecordRow, StoreError> {
    let clocks: ClockColumn = json(row, 16)?;
    Ok(RecordRow {
        key: key_columns(row)?,
        record: StoredRecord {
            doc: json(row, 6)?,
            alive: get(row, 4)?,
            revision: number(row, 1)?,
            floor: number(row, 12)?,
            floor_clock: clocks.floor_clock,
            floor_yields: clocks.floor_yields,
            clocks: clocks.clocks,
            stamp: parsed(row, 7)?,
            by: author(row)?,
            schema: get(row, 10)?,
            group: optional(row, 11)?,
        },
        canonical: get(row, 6)?,
        digest: digest(row, 13)?,
    })
}

fn change(row: &Row<'_>) -> Result<Change, StoreError> {
    let alive: bool = get(row, 4)?;
    let key = key_columns(row)?;
    Ok(Change {
        kind: if alive { ChangeKind::Put } else { ChangeKind::Delete },
        collection: key.collection,
        record: key.record,
        revision: number(row, 1)?,
        doc: if alive { Some(json(row, 6)?) } else { None },
        stamp: parsed(row, 7)?,
        by: author(row)?,
        schema: get(row, 10)?,
        group: optional(row, 11)?,
    })
}

fn commit(row: &Row<'_>) -> Result<CommitRow, StoreError> {
    Ok(CommitRow { revision: number(row, 1)?, nonce: number(row, 2)?, at_ms: number(row, 3)? })
}

/// Refuses a row that another one was looked up for: the index has led astray.
fn same<T: PartialEq>(asked: &T, found: &T, table: &Table) -> Result<(), StoreError> {
    if asked == found {
        return Ok(());
    }
    Err(StoreError::Corrupt(format!("an index of `{}` leads to another row", table.name)))
}

impl ScopeReads for ScopeHandle<'_> {
    fn scope(&mut self) -> Result<Option<ScopeRow>, StoreError> {
        let key = self.key.as_str();
        let found = self.one(&SCOPE, "WHERE key = ?1", [key], |row| {
            same(&key, &row.get_ref(1).ok().and_then(|found| found.as_str().ok()).unwrap_or_default(), &SCOPE)?;
            let scope = ScopeRow {
                epoch: get(row, 2)?,
                revision: number(row, 3)?,
                highest: optional(row, 4)?,
                horizon: number(row, 5)?,
                records: number(row, 6)?,
                tombstones: number(row, 7)?,
                bytes: number(row, 8)?,
                conflicts: number(row, 9)?,
                digest: digest(row, 10)?,
                sync_enabled: get(row, 11)?,
            };
            Ok((get(row, 0)?, scope))
        })?;
        let (id, scope) = found.unzip();
        self.id = id;
        Ok(scope)
    }

    fn records(&mut self, keys: &[RecordKey]) -> Result<Vec<Option<RecordRow>>, StoreError> {
        let id = self.id()?;
        let read = |key: &RecordKey| {
            let rest = "WHERE scope = ?1 AND collection = ?2 AND record = ?3";
            let named = params![id, key.collection.as_str(), key.record.as_str()];
            let found = self.many_whole(&RECORD, rest, named, record_row)?.pop();
            found.iter().try_for_each(|row| same(key, &row.key, &RECORD))?;
            Ok(found)
        };
        keys.iter().map(read).collect()
    }

    fn settled(&mut self, ids: &[EventId]) -> Result<Vec<Option<Settled>>, StoreError> {
        let scope = self.id()?;
        let read = |id: &EventId| {
            self.one(&LOG, "WHERE scope = ?1 AND event_id = ?2", params![scope, id.as_str()], |row| {
                same(id, &parsed(row, 2)?, &LOG)?;
                let receipt = match get::<Option<String>>(row, 5)? {
                    Some(text) => serde_json::from_str(&text).map_err(|error| unreadable("a receipt")(&error))?,
                    None => plain_receipt(id, number(row, 1)?, number(row, 4)?),
                };
                Ok(Settled { payload_hash: get(row, 3)?, receipt })
            })
        };
        ids.iter().map(read).collect()
    }

    fn logged(&mut self, revision: Revision) -> Result<Option<LoggedWrite>, StoreError> {
        let id = self.id()?;
        self.one(&LOG, "WHERE scope = ?1 AND revision = ?2", params![id, signed(revision)], |row| json(row, 7))
    }

    fn log_after(&mut self, revision: Revision, limit: usize) -> Result<Vec<LoggedWrite>, StoreError> {
        let id = self.id()?;
        let rest = "WHERE scope = ?1 AND revision > ?2 ORDER BY revision LIMIT ?3";
        self.many(&LOG, rest, params![id, signed(revision), limited(limit)], |row| json(row, 7))
    }

    fn highest_at(&mut self, revision: Revision) -> Result<Option<Stamp>, StoreError> {
        let id = self.id()?;
        let rest = "WHERE scope = ?1 AND revision <= ?2 ORDER BY revision DESC LIMIT 1";
        self.one(&LOG, rest, params![id, signed(revision)], |row| parsed(row, 6))
    }

    fn changes(&mut self, query: ChangesQuery) -> Result<(Vec<Change>, bool), StoreError> {
        let id = self.id()?;
        let filter = match query.bucket {
            None => "(alive OR revision > ?3)",
            Some(_) => "alive AND bucket = ?3",
        };
        let filter_value = query.bucket.map_or(signed(query.tombstones_after), i64::from);
        let within = "(?4 IS NULL OR collection = ?4)";
        let rest = format!("WHERE scope = ?1 AND revision > ?2 AND {filter} AND {within} ORDER BY revision");
        let mut statement = self.statement(&RECORD.select(&rest))?;
        let collection = query.collection.as_ref().map(CollectionName::as_str);
        let parameters = params![id, signed(query.after), filter_value, collection];
        let mut rows = statement.query(parameters).map_err(store_error)?;
        let mut changes = Vec::new();
        let mut bytes = 0;
        while let Some(row) = rows.next().map_err(store_error)? {
            if changes.len() >= query.limit || bytes >= query.max_bytes {
                return Ok((changes, true));
            }
            RECORD.check(row)?;
            bytes += row.get_ref(6).ok().and_then(|doc| doc.as_bytes().ok()).map_or(0, <[u8]>::len);
            changes.push(change(row)?);
        }
        Ok((changes, false))
    }

    fn records_after(&mut self, after: Revision, limit: usize) -> Result<Vec<RecordRow>, StoreError> {
        let id = self.id()?;
        let rest = "WHERE scope = ?1 AND revision > ?2 ORDER BY revision LIMIT ?3";
        self.many_whole(&RECORD, rest, params![id, signed(after), limited(limit)], record_row)
    }

    fn device(&mut self, device: &DeviceId) -> Result<Option<DeviceRow>, StoreError> {
        let id = self.id()?;
        self.one(&DEVICE, "WHERE scope = ?1 AND device = ?2", params![id, device.as_str()], |row| {
            Ok(DeviceRow {
                device: parsed(row, 1)?,
                user: get(row, 2)?,
                push_seq: number(row, 3)?,
                push_hash: get(row, 4)?,
                stamp: optional(row, 5)?,
                joined: number(row, 6)?,
            })
        })
    }

    fn last_response(&mut self, device: &DeviceId) -> Result<Option<String>, StoreError> {
        let id = self.id()?;
        let rest = "WHERE scope = ?1 AND device = ?2";
        let found = self.many_whole(&DEVICE, rest, params![id, device.as_str()], |row| get(row, 9))?;
        Ok(found.into_iter().next())
    }

    fn devices(&mut self) -> Result<u64, StoreError> {
        let id = self.id()?;
        let count = self.told("SELECT count(*) FROM device WHERE scope = ?1", [id], |row| number(row, 0))?;
        Ok(count.unwrap_or(0))
    }

    fn commit_at(&mut self, revision: Revision) -> Result<Option<CommitRow>, StoreError> {
        let id = self.id()?;
        let rest = "WHERE scope = ?1 AND revision >= ?2 ORDER BY revision LIMIT 1";
        self.one(&COMMIT, rest, params![id, signed(revision)], commit)
    }

    fn commit_before(&mut self, revision: Revision) -> Result<Option<CommitRow>, StoreError> {
        let id = self.id()?;
        let rest = "WHERE scope = ?1 AND revision <= ?2 ORDER BY revision DESC LIMIT 1";
        self.one(&COMMIT, rest, params![id, signed(revision)], commit)
    }

    fn commit_by(&mut self, at_ms: u64) -> Result<Option<CommitRow>, StoreError> {
        let id = self.id()?;
        let rest = "WHERE scope = ?1 AND at_ms <= ?2 ORDER BY at_ms DESC, revision DESC LIMIT 1";
        self.one(&COMMIT, rest, params![id, i64::try_from(at_ms).unwrap_or(i64::MAX)], commit)
    }

    fn epochs(&mut self) -> Result<Vec<EpochRow>, StoreError> {
        let id = self.id()?;
        self.many(&EPOCH, "WHERE scope = ?1 ORDER BY number", [id], |row| {
            Ok(EpochRow {
                number: number(row, 1)?,
                epoch: get(row, 2)?,
                shared_revision: number(row, 3)?,
                revision: number(row, 4)?,
                at_ms: number(row, 5)?,
            })
        })
    }

    fn buckets(&mut self, buckets: &BTreeSet<u8>) -> Result<BTreeMap<u8, DigestSum>, StoreError> {
        let id = self.id()?;
        let read = |bucket: &u8| {
            let rest = "WHERE scope = ?1 AND bucket = ?2";
            let found = self.one(&BUCKET, rest, params![id, bucket], |row| digest(row, 2))?;
            Ok(found.map(|sum| (*bucket, sum)))
        };
        buckets.iter().filter_map(|bucket| read(bucket).transpose()).collect()
    }

    fn note_value(&mut self, note: &RecordId, sha256: &str) -> Result<Option<String>, StoreError> {
        let id = self.id()?;
        let rest = "WHERE scope = ?1 AND note = ?2 AND sha256 = ?3";
        self.one(&NOTE_VALUE, rest, params![id, note.as_str(), sha256], |row| get(row, 3))
    }

    fn has_note_values(&mut self) -> Result<bool, StoreError> {
        let id = self.id()?;
        let found = self.told("SELECT 1 FROM note_value WHERE scope = ?1 LIMIT 1", [id], |_| Ok(()))?;
        Ok(found.is_some())
    }

    fn tombstones(&mut self, up_to: Revision, limit: usize) -> Result<Option<(Revision, u64)>, StoreError> {
        let id = self.id()?;
        let sql = "SELECT max(revision), count(*) FROM (SELECT revision FROM record \
                   WHERE scope = ?1 AND alive = 0 AND revision <= ?2 ORDER BY revision LIMIT ?3)";
        let found = self.told(sql, params![id, signed(up_to), limited(limit)], |row| {
            Ok((get::<Option<i64>>(row, 0)?.map(i64::cast_unsigned), number(row, 1)?))
        })?;
        Ok(found.and_then(|(newest, count)| newest.map(|newest| (newest, count))))
    }

    fn purges(&mut self) -> Result<Vec<PurgeRow>, StoreError> {
        let id = self.id()?;
        let rest = "WHERE scope = ?1 ORDER BY revision, up_to";
        self.many(&PURGE, rest, [id], |row| Ok(PurgeRow { revision: number(row, 1)?, up_to: number(row, 2)? }))
    }

    fn owner(&self) -> Option<String> {
        self.key.owner().map(str::to_owned)
    }

    fn user(&mut self) -> Result<Option<UserRow>, StoreError> {
        self.read_user()
    }

    fn usage(&mut self, collections: &[CollectionName]) -> Result<Vec<Option<UsageRow>>, StoreError> {
        self.read_usage(collections)
    }

    fn collections(&mut self) -> Result<Vec<UsageRow>, StoreError> {
        self.read_collections()
    }

    fn api_keys(&mut self) -> Result<Vec<ApiKeyRow>, StoreError> {
        self.read_api_keys()
    }
}

/// The receipt that says nothing but where: kept as two numbers, since most are.
pub(super) fn plain_receipt(id: &EventId, revision: Revision, previous: Revision) -> Receipt {
    Receipt { revision: Some(revision), previous: Some(previous), ..Receipt::bare(id.clone(), ReceiptStatus::Applied) }
}
