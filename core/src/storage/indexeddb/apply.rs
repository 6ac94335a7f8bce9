//! The write: one readwrite transaction for each batch.
//!
//! First everything that the batch depends on is asked for: rows that it expects, and rows that it puts (their versions go
//! up). When the last answer is there, the batch is judged and its writes are made, within that answer's event.

use std::collections::BTreeMap;
use std::rc::Rc;

use wasm_bindgen::JsValue;
use web_sys::IdbTransaction;

use super::connection::{Access, CONTROL, Connection, request, store};
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
    let requests = read::lookups(&transaction, versions.keys())?;
    let writing = transaction.clone();
    let judge = move |results: &[JsValue]| {
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

/// Puts these rows in the place of everything.
pub(super) async fn replace(connection: Rc<Connection>, put: Vec<(RowKey, Vec<u8>)>) -> Result<(), StorageError> {
    let clear = Table::ALL.map(|table| RowKey { table, key: Vec::new() }).to_vec();
    apply(connection, Batch { clear, put, ..Batch::default() }, Durability::Full).await
}
