//! What the cases share.

use crate::platform::{BoxFuture, MaybeSend, MaybeSync};
use crate::storage::{Batch, MemoryStorage, Row, RowKey, Scan, Storage, Table};

/// A place where the suite opens a storage, closes it, and opens it again. At first it is empty.
pub trait Replica: MaybeSend + MaybeSync {
    /// The backend.
    type Storage: Storage;

    /// Opens the storage; what an earlier one has kept is there.
    fn open(&self) -> BoxFuture<'_, Self::Storage>;
}

impl Replica for MemoryStorage {
    type Storage = Self;

    fn open(&self) -> BoxFuture<'_, Self> {
        Box::pin(async { self.reopen() })
    }
}

pub(super) fn row(key: impl AsRef<[u8]>) -> RowKey {
    in_table(Table::Record, key)
}

pub(super) fn in_table(table: Table, key: impl AsRef<[u8]>) -> RowKey {
    RowKey { table, key: key.as_ref().to_vec() }
}

pub(super) fn put(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Batch {
    Batch { put: vec![(row(key), value.as_ref().to_vec())], ..Batch::default() }
}

/// Puts every key with itself as the value.
pub(super) fn put_all<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Batch {
    let put = keys.into_iter().map(|key| (row(&key), key.as_ref().to_vec())).collect();
    Batch { put, ..Batch::default() }
}

pub(super) async fn get(storage: &impl Storage, key: impl AsRef<[u8]>) -> Option<Row> {
    get_row(storage, row(key)).await
}

pub(super) async fn get_row(storage: &impl Storage, row: RowKey) -> Option<Row> {
    let rows = storage.get(vec![row]).await.expect("a row can be read");
    assert_eq!(rows.len(), 1, "one answer for each key");
    rows.into_iter().next().flatten()
}

/// The value of a row that must be there.
pub(super) async fn value(storage: &impl Storage, key: impl AsRef<[u8]>) -> Vec<u8> {
    get(storage, key).await.expect("the row is there").value
}

/// All of a table.
pub(super) async fn all(storage: &impl Storage, table: Table) -> Vec<Row> {
    storage.scan(Scan::prefix(table, b"")).await.expect("a table can be read")
}

/// Everything that a storage holds, to see that nothing has changed.
pub(super) async fn everything(storage: &impl Storage) -> Vec<Vec<Row>> {
    let mut tables = Vec::new();
    for table in Table::ALL {
        tables.push(all(storage, table).await);
    }
    tables
}

pub(super) fn keys(rows: Vec<Row>) -> Vec<Vec<u8>> {
    rows.into_iter().map(|row| row.key).collect()
}
