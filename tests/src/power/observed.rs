//! A storage that says what it does: before each commit which state it will make, after it that it was made.
//!
//! So the record of a child holds its whole history of states, and an image can be compared with it, byte for byte, without
//! knowing what the workload was.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use unisono::environment::SharedEnvironment;
use unisono::platform::BoxFuture;
use unisono::storage::{Batch, Row, RowKey, Rows, Scan, SqliteStorage, Storage, StorageError, Table, Work};
use unisono::testing::storage_model::Model;

use super::marks::{Mark, Marks};

/// The digest of all rows: equal for equal replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateDigest(pub u64);

impl StateDigest {
    fn of(tables: impl IntoIterator<Item = Vec<Row>>) -> Self {
        let mut hasher = DefaultHasher::new();
        for rows in tables {
            rows.len().hash(&mut hasher);
            for row in rows {
                (row.key, row.value).hash(&mut hasher);
            }
        }
        Self(hasher.finish())
    }

    /// Of what `storage` holds.
    ///
    /// # Errors
    /// The storage's.
    pub async fn of_storage(storage: &dyn Storage) -> Result<Self, StorageError> {
        let mut tables = Vec::with_capacity(Table::ALL.len());
        for table in Table::ALL {
            tables.push(storage.scan(Scan::prefix(table, b"")).await?);
        }
        Ok(Self::of(tables))
    }

    fn of_model(model: &Model) -> Self {
        Self::of(Table::ALL.map(|table| model.scan(&Scan::prefix(table, b""))))
    }

    /// Of an empty replica.
    #[must_use]
    pub fn empty() -> Self {
        Self::of_model(&Model::default())
    }
}

/// When a commit is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledge {
    /// When it has returned.
    #[default]
    After,
    /// Before it is made: a defect, to be caught.
    Before,
}

/// What a replica is known to hold, and what it may turn out to hold.
#[derive(Debug, Default)]
pub struct Known {
    model: Model,
    /// Commits that failed since the last one that succeeded. The next opening decides which of them, if any, happened.
    failed: Vec<Model>,
}

/// An [`SqliteStorage`] that is observed. Clones are the same storage.
#[derive(Clone, Debug)]
pub struct Observed {
    inner: Arc<SqliteStorage>,
    known: Arc<Mutex<Known>>,
    marks: Marks,
    acknowledge: Acknowledge,
}

impl Observed {
    /// Observes `storage`, of which it is `known` what it holds.
    #[must_use]
    pub fn new(storage: SqliteStorage, known: Arc<Mutex<Known>>, marks: Marks, acknowledge: Acknowledge) -> Self {
        Self { inner: Arc::new(storage), known, marks, acknowledge }
    }

    /// After an opening: a commit that had failed may have happened after all, but then entirely.
    ///
    /// # Errors
    /// The storage's.
    ///
    /// # Panics
    /// If the storage holds something that never was to be.
    pub async fn opened(&self) -> Result<(), StorageError> {
        let stored = StateDigest::of_storage(&*self.inner).await?;
        let mut known = self.known();
        if StateDigest::of_model(&known.model) != stored {
            let happened = known.failed.iter().find(|model| StateDigest::of_model(model) == stored).cloned();
            known.model = happened.expect("what was stored before, or a whole commit more");
            self.marks.put(&Mark::Begin { state: stored.0 });
            self.marks.put(&Mark::Committed { durable: false });
        }
        known.failed.clear();
        Ok(())
    }

    /// Compares what is stored with what was acknowledged: a write that has failed must have left nothing.
    ///
    /// # Panics
    /// If they differ.
    pub async fn compare(&self) {
        let stored = StateDigest::of_storage(&*self.inner).await.expect("what is stored can be read");
        assert_eq!(stored, StateDigest::of_model(&self.known().model), "a failed write left something behind");
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Work that says which state it will make, before anything of it is written.
struct Announced {
    work: Box<dyn Work>,
    storage: Observed,
    /// The state, and whether it is to survive a loss of power at any durability; absent if there is nothing to write.
    intended: Arc<Mutex<Option<(Model, bool)>>>,
}

impl Work for Announced {
    fn run(&mut self, rows: &mut dyn Rows) -> Result<Batch, StorageError> {
        let mut intended = lock(&self.intended);
        // It is run again; what the run before would have made was not written.
        if intended.take().is_some() {
            self.storage.marks.put(&Mark::Failed { code: "run_again".to_owned() });
        }
        let batch = self.work.run(rows)?;
        if batch.is_empty() {
            return Ok(batch);
        }
        let mut model = self.storage.known().model.clone();
        model.apply(&batch);
        self.storage.marks.put(&Mark::Begin { state: StateDigest::of_model(&model).0 });
        if self.storage.acknowledge == Acknowledge::Before {
            self.storage.marks.put(&Mark::Committed { durable: batch.durable });
        }
        *intended = Some((model, batch.durable));
        Ok(batch)
    }
}

impl Storage for Observed {
    fn attach(&self, environment: SharedEnvironment) {
        self.inner.attach(environment);
    }

    fn get(&self, keys: Vec<RowKey>) -> BoxFuture<'_, Result<Vec<Option<Row>>, StorageError>> {
        self.inner.get(keys)
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<Row>, StorageError>> {
        self.inner.scan(scan)
    }

    fn transact(&self, work: Box<dyn Work>) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            let intended = Arc::new(Mutex::new(None));
            let announced = Announced { work, storage: self.clone(), intended: intended.clone() };
            let result = self.inner.transact(Box::new(announced)).await;
            let Some((model, durable)) = lock(&intended).take() else { return result };
            match &result {
                Ok(()) => {
                    *self.known() = Known { model, failed: Vec::new() };
                    if self.acknowledge == Acknowledge::After {
                        self.marks.put(&Mark::Committed { durable });
                    }
                }
                Err(error) => {
                    self.known().failed.push(model);
                    self.marks.put(&Mark::Failed { code: error.code().to_owned() });
                }
            }
            result
        })
    }

    fn suspend(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        self.inner.suspend()
    }

    fn resume(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            self.inner.resume().await?;
            self.opened().await
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        self.inner.close()
    }
}
