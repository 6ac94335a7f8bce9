//! The write: one readwrite transaction for each batch.
//!
//! First everything that the batch depends on is asked for: rows that it expects, rows that it puts (their versions go up),
//! the fence. When the last answer is there, the batch is judged and its writes are made, within that answer's event.

use std::collections::BTreeMap;
use std::rc::Rc;

use wasm_bindgen::JsValue;
use web_sys::IdbTransaction;

use super::connection::{Access, CONTROL, Connection, FENCE, request, store};
use super::rows::{self, Range};
use super::{read, transaction};
use crate::storage::{Batch, Durability, RowKey, Scan, StorageError, Table};

/// Writes `batch`.
pub(super) async fn apply(
    connection: Rc<Connection>,
    batch: Batch,
    durability: Durability,
) -> Result<(), StorageError> {
    let durability = if batch.durable { Durability::Full } else { durability };
    // All stores, whatever is written: transactions that have a store in common take effect in the order of their making.
    let stores = Table::ALL.iter().map(|table| table.name()).chain([CONTROL]);
    let transaction = connection.transaction(stores, Access::Write(durability))?;
    let expected = batch.expect.iter().map(|(row, _)| row);
    let mut versions = BTreeMap::new();
    versions.extend(expected.chain(batch.put.iter().map(|(row, _)| row)).map(|row| (row.clone(), 0)));
    let mut requests = read::lookups(&transaction, versions.keys())?;
    if batch.fence.is_some() {
        requests.push(request(store(&transaction, CONTROL)?.get(&FENCE.into()))?);
    }
    let writing = transaction.clone();
    let judge = move |results: &[JsValue]| {
        let fence = results.get(versions.len()).and_then(JsValue::as_f64);
        // An expectation that a float cannot hold is not the fence's: that one counts openings.
        #[expect(clippy::cast_precision_loss)]
        if batch.fence.is_some_and(|expected| fence != Some(expected as f64)) {
            return Err(StorageError::Stale);
        }
        for (version, stored) in versions.values_mut().zip(results) {
            *version = rows::version(stored)?;
        }
        if batch.expect.iter().any(|(row, version)| versions.get(row) != Some(version)) {
            return Err(StorageError::Stale);
        }
        write(&writing, batch, versions)
    };
    transaction::run(transaction, requests, judge).await
}

/// Makes the writes of a batch that passed.
fn write(transaction: &IdbTransaction, batch: Batch, mut versions: BTreeMap<RowKey, u64>) -> Result<(), StorageError> {
    for prefix in batch.clear {
        let covered = Scan::prefix(prefix.table, &prefix.key);
        let store = store(transaction, prefix.table.name())?;
        match Range::new(&covered.lower, &covered.upper)? {
            Range::Empty => {}
            Range::All => drop(request(store.clear())?),
            range => drop(request(store.delete(&range.query()))?),
        }
        for (row, version) in &mut versions {
            if row.table == prefix.table && row.key.starts_with(&prefix.key) {
                *version = 0;
            }
        }
    }
    for row in batch.delete {
        drop(request(store(transaction, row.table.name())?.delete(&rows::key(&row.key)))?);
        versions.entry(row).and_modify(|version| *version = 0);
    }
    for (row, value) in batch.put {
        let (store, key) = (store(transaction, row.table.name())?, rows::key(&row.key));
        let version = versions.entry(row).or_default();
        *version += 1;
        drop(request(store.put_with_key(&rows::value(*version, &value), &key))?);
    }
    Ok(())
}

/// Puts these rows in the place of everything, and raises the fence: whoever was the sync owner is it no more.
pub(super) async fn replace(connection: Rc<Connection>, put: Vec<(RowKey, Vec<u8>)>) -> Result<(), StorageError> {
    let stores = Table::ALL.iter().map(|table| table.name()).chain([CONTROL]);
    let transaction = connection.transaction(stores, Access::Write(Durability::Full))?;
    let control = store(&transaction, CONTROL)?;
    let fence = request(control.get(&FENCE.into()))?;
    let writing = transaction.clone();
    let work = move |results: &[JsValue]| {
        let present = results.first().and_then(JsValue::as_f64).unwrap_or_default();
        drop(request(control.put_with_key(&(present + 1.0).into(), &FENCE.into()))?);
        let clear = Table::ALL.map(|table| RowKey { table, key: Vec::new() }).to_vec();
        write(&writing, Batch { clear, put, ..Batch::default() }, BTreeMap::new())
    };
    transaction::run(transaction, vec![fence], work).await
}

/// Raises the fence by one and returns it.
pub(super) async fn advance_fence(connection: Rc<Connection>, durability: Durability) -> Result<u64, StorageError> {
    let transaction = connection.transaction([CONTROL], Access::Write(durability))?;
    let control = store(&transaction, CONTROL)?;
    let present = request(control.get(&FENCE.into()))?;
    let raise = move |results: &[JsValue]| {
        let present = results.first().and_then(JsValue::as_f64);
        let next = present.ok_or_else(|| StorageError::Corrupt("there is no fence".to_owned()))? + 1.0;
        drop(request(control.put_with_key(&next.into(), &FENCE.into()))?);
        // It counts openings of one replica: far below what a float holds exactly.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Ok(next as u64)
    };
    transaction::run(transaction, vec![present], raise).await
}
