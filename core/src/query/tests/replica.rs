//! A replica to ask, and a storage that counts what is read and may write in between.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::model::{CollectionName, RecordId, RecordKey, Scope};
use crate::platform::BoxFuture;
use crate::query::{IndexDefinition, IndexSet, Query, QueryPage, Reader};
use crate::replica::keys::{self, Generation};
use crate::replica::rows::RecordRow;
use crate::storage::{Batch, MemoryStorage, Row, RowKey, Scan, Storage, StorageError, Table, Work};
use crate::testing::TestEnvironment;

pub(super) const GENERATION: Generation = 3;

pub(super) fn samples() -> CollectionName {
    CollectionName::new("samples").unwrap()
}

pub(super) fn query() -> Query {
    Query::new(samples())
}

pub(super) fn index(name: &str, fields: &[&str]) -> IndexDefinition {
    IndexDefinition::new(samples(), name, fields).unwrap()
}

pub(super) fn indexes(definitions: &[(&str, &[&str])]) -> IndexSet {
    IndexSet::new(definitions.iter().map(|(name, fields)| index(name, fields))).unwrap()
}

pub(super) fn run<F: Future>(future: F) -> F::Output {
    TestEnvironment::new(0).block_on(future)
}

/// The storage of one replica, and what was read from it.
#[derive(Clone, Debug, Default)]
pub(super) struct Replica {
    pub(super) storage: MemoryStorage,
    index_rows: Arc<AtomicUsize>,
    record_rows: Arc<AtomicUsize>,
    commits: Arc<AtomicUsize>,
    /// Written one after the other, each when a read has returned rows of records or entries.
    interleaved: Arc<Mutex<Vec<Batch>>>,
}

impl Replica {
    /// Records `(id, document)`, written as the write path does.
    pub(super) fn with<'a>(indexes: &IndexSet, records: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        let replica = Self::default();
        let mut batch = Batch::default();
        for (id, doc) in records {
            replica.change(&mut batch, indexes, id, None, Some(doc));
        }
        run(replica.storage.apply(batch)).unwrap();
        replica
    }

    /// Adds to `batch` what the write path writes when a record changes.
    pub(super) fn change(
        &self,
        batch: &mut Batch,
        indexes: &IndexSet,
        id: &str,
        old: Option<&Value>,
        new: Option<Value>,
    ) {
        let record = RecordKey { collection: samples(), record: RecordId::new(id).unwrap() };
        indexes.diff(&Scope::User, GENERATION, &record, old, new.as_ref()).add_to(batch);
        let row = RecordRow { revision: 1, doc: new, ..RecordRow::default() };
        batch.put.push((keys::record(&Scope::User, GENERATION, &record), serde_json::to_vec(&row).unwrap()));
        let commit = self.commits.fetch_add(1, Ordering::SeqCst) as u64;
        batch.put.push((keys::commits(), commit.to_be_bytes().to_vec()));
    }

    /// Writes `batch` between two reads of the next query.
    pub(super) fn interleave(&self, batch: Batch) {
        self.interleaved.lock().unwrap().push(batch);
    }

    pub(super) fn ask(&self, indexes: &IndexSet, query: &Query) -> QueryPage {
        run(Reader::new(self, &Scope::User, GENERATION, indexes).run(query)).unwrap()
    }

    pub(super) fn ids(&self, indexes: &IndexSet, query: &Query) -> Vec<String> {
        ids(&self.ask(indexes, query))
    }

    /// Rows of entries and of records that were read since this was last asked.
    pub(super) fn rows_read(&self) -> (usize, usize) {
        (self.index_rows.swap(0, Ordering::SeqCst), self.record_rows.swap(0, Ordering::SeqCst))
    }

    fn count(&self, table: Table, rows: usize) -> bool {
        match table {
            Table::Index => self.index_rows.fetch_add(rows, Ordering::SeqCst),
            Table::Record => self.record_rows.fetch_add(rows, Ordering::SeqCst),
            _ => return false,
        };
        rows > 0
    }

    async fn write_between(&self) -> Result<(), StorageError> {
        let next = self.interleaved.lock().unwrap().pop();
        match next {
            Some(batch) => self.storage.apply(batch).await,
            None => Ok(()),
        }
    }
}

pub(super) fn ids(page: &QueryPage) -> Vec<String> {
    page.records.iter().map(|record| record.id.to_string()).collect()
}

impl Storage for Replica {
    fn get(&self, keys: Vec<RowKey>) -> BoxFuture<'_, Result<Vec<Option<Row>>, StorageError>> {
        Box::pin(async move {
            let records = keys.iter().filter(|key| key.table == Table::Record).count();
            let rows = self.storage.get(keys).await?;
            if self.count(Table::Record, records) {
                self.write_between().await?;
            }
            Ok(rows)
        })
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<Row>, StorageError>> {
        Box::pin(async move {
            let table = scan.table;
            let rows = self.storage.scan(scan).await?;
            if self.count(table, rows.len()) {
                self.write_between().await?;
            }
            Ok(rows)
        })
    }

    fn transact(&self, work: Box<dyn Work>) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            self.write_between().await?;
            self.storage.transact(work).await
        })
    }

    fn suspend(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        self.storage.suspend()
    }

    fn resume(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        self.storage.resume()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        self.storage.close()
    }
}
