//! `get` and `scan`: one read-only transaction each, which is one snapshot.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::Array;
use wasm_bindgen::prelude::*;
use web_sys::{IdbCursorDirection, IdbCursorWithValue, IdbObjectStore, IdbRequest, IdbTransaction};

use super::connection::{Access, Connection, request, store};
use super::error::{of_abort, of_exception};
use super::rows::{self, Range};
use super::transaction;
use crate::storage::{Row, RowKey, Scan, StorageError, Table};

/// The rows of `keys`, in their order.
pub(super) async fn get(connection: Rc<Connection>, keys: Vec<RowKey>) -> Result<Vec<Option<Row>>, StorageError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let tables = Table::ALL.iter().filter(|table| keys.iter().any(|row| row.table == **table));
    let transaction = connection.transaction(tables.map(|table| table.name()), Access::Read)?;
    let requests = lookups(&transaction, &keys)?;
    let read = move |results: &[JsValue]| {
        let rows = keys.iter().zip(results);
        Ok(rows.map(|(row, stored)| (!stored.is_undefined()).then(|| rows::row(row.key.clone(), stored))).collect())
    };
    transaction::run(transaction, requests, read).await
}

/// A request for each of `keys`.
pub(super) fn lookups<'k>(
    transaction: &IdbTransaction,
    keys: impl IntoIterator<Item = &'k RowKey>,
) -> Result<Vec<IdbRequest>, StorageError> {
    keys.into_iter().map(|row| request(store(transaction, row.table.name())?.get(&rows::key(&row.key)))).collect()
}

/// The rows of `scan`.
pub(super) async fn scan(connection: Rc<Connection>, scan: Scan) -> Result<Vec<Row>, StorageError> {
    let range = Range::new(&scan.lower, &scan.upper)?;
    if scan.limit == 0 || matches!(range, Range::Empty) {
        return Ok(Vec::new());
    }
    let transaction = connection.transaction([scan.table.name()], Access::Read)?;
    let limit = u32::try_from(scan.limit).ok();
    match limit {
        // From the lower end: a cursor is the only way to begin at the other one.
        Some(limit) if scan.reverse => backwards(transaction, &scan, &range, limit).await,
        _ => {
            let mut rows = forwards(transaction, &scan, &range, limit).await?;
            if scan.reverse {
                rows.reverse();
            }
            Ok(rows)
        }
    }
}

async fn forwards(
    transaction: IdbTransaction,
    scan: &Scan,
    wanted: &Range,
    limit: Option<u32>,
) -> Result<Vec<Row>, StorageError> {
    let requests = range(&store(&transaction, scan.table.name())?, wanted, limit)?;
    let read = |results: &[JsValue]| {
        let [keys, values] = results else { return Err(StorageError::Io("no result".to_owned())) };
        Ok(pairs(keys, values))
    };
    transaction::run(transaction, requests.to_vec(), read).await
}

/// Requests for the keys and for the values of a range.
pub(super) fn range(
    store: &IdbObjectStore,
    range: &Range,
    limit: Option<u32>,
) -> Result<[IdbRequest; 2], StorageError> {
    let query = range.query();
    let (keys, values) = match limit {
        Some(limit) => {
            (store.get_all_keys_with_key_and_limit(&query, limit), store.get_all_with_key_and_limit(&query, limit))
        }
        None => (store.get_all_keys_with_key(&query), store.get_all_with_key(&query)),
    };
    Ok([request(keys)?, request(values)?])
}

/// The rows that the two requests of a [`range`] have found.
pub(super) fn pairs(keys: &JsValue, values: &JsValue) -> Vec<Row> {
    let (keys, values) = (keys.unchecked_ref::<Array>(), values.unchecked_ref::<Array>());
    keys.iter().zip(values.iter()).map(|(key, stored)| rows::row(rows::bytes(&key), &stored)).collect()
}

async fn backwards(
    transaction: IdbTransaction,
    scan: &Scan,
    range: &Range,
    limit: u32,
) -> Result<Vec<Row>, StorageError> {
    let store = store(&transaction, scan.table.name())?;
    let made = store.open_cursor_with_range_and_direction(&range.query(), IdbCursorDirection::Prev);
    let stepping = request(made)?;
    let found: Rc<RefCell<Result<Vec<Row>, StorageError>>> = Rc::new(RefCell::new(Ok(Vec::new())));
    let (cursor_of, rows) = (stepping.clone(), Rc::clone(&found));
    let step: Closure<dyn FnMut()> = Closure::new(move || {
        let mut found = rows.borrow_mut();
        let Ok(rows) = found.as_mut() else { return };
        if let Err(error) = take(&cursor_of, rows, limit) {
            *found = Err(error);
        }
    });
    stepping.set_onsuccess(Some(step.as_ref().unchecked_ref()));
    let completed = transaction::ended(&transaction, step).await;
    let rows = std::mem::replace(&mut *found.borrow_mut(), Ok(Vec::new()))?;
    if completed { Ok(rows) } else { Err(of_abort(transaction.error())) }
}

/// Takes the row at the cursor, and asks for the next one if there is need.
fn take(stepping: &IdbRequest, rows: &mut Vec<Row>, limit: u32) -> Result<(), StorageError> {
    let exception = |exception: JsValue| of_exception(&exception);
    let cursor = stepping.result().map_err(exception)?;
    if cursor.is_null() {
        return Ok(());
    }
    let cursor: IdbCursorWithValue = cursor.unchecked_into();
    let key = rows::bytes(&cursor.key().map_err(exception)?);
    rows.push(rows::row(key, &cursor.value().map_err(exception)?));
    if rows.len() < limit as usize {
        cursor.continue_().map_err(exception)?;
    }
    Ok(())
}
