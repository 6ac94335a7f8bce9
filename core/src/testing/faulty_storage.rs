//! A storage that fails when it is told to, and counts what is asked of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::environment::SharedEnvironment;
use crate::platform::BoxFuture;
use crate::storage::{Batch, Row, RowKey, Rows, Scan, Storage, StorageError, Work};

/// Wraps a storage. Calls pass through to it until a failure is scripted; a failed call does not reach it.
#[derive(Debug, Default)]
pub struct FaultyStorage<S> {
    inner: S,
    script: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    /// For each coming commit, what it fails with; `None` for one that passes.
    applies: VecDeque<Option<StorageError>>,
    /// The same for reads.
    reads: VecDeque<Option<StorageError>>,
    /// What every commit fails with.
    broken: Option<StorageError>,
    /// How long every commit takes.
    commit_time: Duration,
    /// Whose clock tells.
    environment: Option<SharedEnvironment>,
    counts: Counts,
}

/// What was asked of a [`FaultyStorage`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commits, failed ones included.
    pub applies: u64,
    /// Calls of `get` and `scan`, outside of transactions and within, failed ones included.
    pub reads: u64,
    /// Rows that these returned.
    pub rows_read: u64,
    /// Rows that were put by successful batches.
    pub rows_put: u64,
    /// Bytes of keys and values that were put by successful batches.
    pub bytes_put: u64,
}

impl<S> FaultyStorage<S> {
    /// Wraps `inner`.
    pub fn new(inner: S) -> Self {
        Self { inner, script: Arc::default() }
    }

    /// The wrapped storage.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Lets the next commit fail with `error`.
    pub fn fail_next_apply(&self, error: StorageError) {
        self.fail_apply(1, error);
    }

    /// Lets the `n`th commit from now on fail with `error`; the next one is the first.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn fail_apply(&self, n: usize, error: StorageError) {
        schedule(&mut self.lock().applies, n, error);
    }

    /// Lets the `n`th read from now on, within a transaction or outside, fail with `error`; the next one is the first.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn fail_read(&self, n: usize, error: StorageError) {
        schedule(&mut self.lock().reads, n, error);
    }

    /// Lets every commit fail with `error`, as a full disk does, until [`heal`](Self::heal).
    pub fn fail_every_apply(&self, error: StorageError) {
        self.lock().broken = Some(error);
    }

    /// Lets every commit take so long, on the clock of the client's environment, before it is acknowledged, and every `close`
    /// thereafter: things happen during a commit, as on a real disk.
    pub fn take_time(&self, commit: Duration) {
        self.lock().commit_time = commit;
    }

    /// Forgets every scripted failure.
    pub fn heal(&self) {
        let mut script = self.lock();
        script.applies.clear();
        script.reads.clear();
        script.broken = None;
    }

    /// What was asked so far.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Rows that `get` and `scan` returned so far.
    pub fn rows_read(&self) -> u64 {
        self.counts().rows_read
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        lock(&self.script)
    }

    async fn pass_time(&self) {
        let (time, environment) = {
            let script = self.lock();
            (script.commit_time, script.environment.clone())
        };
        if let Some(environment) = environment.filter(|_| !time.is_zero()) {
            environment.sleep(time).await;
        }
    }
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Script {
    fn begin_read(&mut self) -> Result<(), StorageError> {
        self.counts.reads += 1;
        self.reads.pop_front().flatten().map_or(Ok(()), Err)
    }

    fn begin_commit(&mut self) -> Result<(), StorageError> {
        self.counts.applies += 1;
        let scripted = self.applies.pop_front().flatten();
        scripted.or_else(|| self.broken.clone()).map_or(Ok(()), Err)
    }
}

/// Work whose reads are counted and fail by the script, and whose commit does.
struct Scripted {
    work: Box<dyn Work>,
    script: Arc<Mutex<Script>>,
    /// Rows and bytes of the last run's batch, if it is to be committed.
    put: Arc<Mutex<Option<(u64, u64)>>>,
}

impl Work for Scripted {
    fn run(&mut self, rows: &mut dyn Rows) -> Result<Batch, StorageError> {
        let batch = self.work.run(&mut ScriptedRows { rows, script: &self.script })?;
        let mut put = self.put.lock().unwrap_or_else(PoisonError::into_inner);
        *put = None;
        if !batch.is_empty() {
            lock(&self.script).begin_commit()?;
            let bytes: usize = batch.put.iter().map(|(row, value)| row.key.len() + value.len()).sum();
            *put = Some((batch.put.len() as u64, bytes as u64));
        }
        Ok(batch)
    }
}

struct ScriptedRows<'r> {
    rows: &'r mut dyn Rows,
    script: &'r Mutex<Script>,
}

impl Rows for ScriptedRows<'_> {
    fn get(&mut self, keys: &[RowKey]) -> Result<Vec<Option<Row>>, StorageError> {
        lock(self.script).begin_read()?;
        let rows = self.rows.get(keys)?;
        lock(self.script).counts.rows_read += rows.iter().flatten().count() as u64;
        Ok(rows)
    }

    fn scan(&mut self, scan: &Scan) -> Result<Vec<Row>, StorageError> {
        lock(self.script).begin_read()?;
        let rows = self.rows.scan(scan)?;
        lock(self.script).counts.rows_read += rows.len() as u64;
        Ok(rows)
    }
}

fn schedule(calls: &mut VecDeque<Option<StorageError>>, n: usize, error: StorageError) {
    assert!(n > 0, "the next call is the first");
    if calls.len() < n {
        calls.resize(n, None);
    }
    calls[n - 1] = Some(error);
}

impl<S: Storage> Storage for FaultyStorage<S> {
    fn attach(&self, environment: SharedEnvironment) {
        self.lock().environment = Some(environment.clone());
        self.inner.attach(environment);
    }

    fn get(&self, keys: Vec<RowKey>) -> BoxFuture<'_, Result<Vec<Option<Row>>, StorageError>> {
        Box::pin(async move {
            self.lock().begin_read()?;
            let rows = self.inner.get(keys).await?;
            self.lock().counts.rows_read += rows.iter().flatten().count() as u64;
            Ok(rows)
        })
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<Row>, StorageError>> {
        Box::pin(async move {
            self.lock().begin_read()?;
            let rows = self.inner.scan(scan).await?;
            self.lock().counts.rows_read += rows.len() as u64;
            Ok(rows)
        })
    }

    fn transact(&self, work: Box<dyn Work>) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            let put = Arc::new(Mutex::new(None));
            let scripted = Scripted { work, script: self.script.clone(), put: put.clone() };
            self.inner.transact(Box::new(scripted)).await?;
            let put = put.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some((rows, bytes)) = put {
                self.pass_time().await;
                let mut script = self.lock();
                script.counts.rows_put += rows;
                script.counts.bytes_put += bytes;
            }
            Ok(())
        })
    }

    fn suspend(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        self.inner.suspend()
    }

    fn resume(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        self.inner.resume()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            let closed = self.inner.close().await;
            self.pass_time().await;
            closed
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{MemoryStorage, Table};
    use crate::testing::block_on;

    fn row(key: &[u8]) -> RowKey {
        RowKey { table: Table::Record, key: key.to_vec() }
    }

    fn put(key: &[u8]) -> Batch {
        Batch { put: vec![(row(key), b"value".to_vec())], ..Batch::default() }
    }

    #[test]
    fn a_scripted_apply_fails_without_reaching_the_storage_and_the_others_pass() {
        let storage = FaultyStorage::new(MemoryStorage::new());
        let full = StorageError::Full("scripted".into());
        storage.fail_apply(2, full.clone());
        block_on(async {
            assert_eq!(storage.apply(put(b"a")).await, Ok(()));
            assert_eq!(storage.apply(put(b"b")).await, Err(full));
            assert_eq!(storage.apply(put(b"c")).await, Ok(()));
            let keys: Vec<_> =
                storage.scan(Scan::prefix(Table::Record, b"")).await.unwrap().into_iter().map(|row| row.key).collect();
            assert_eq!(keys, [b"a", b"c"]);
        });
        let expected = Counts { applies: 3, reads: 1, rows_read: 2, rows_put: 2, bytes_put: 12 };
        assert_eq!(storage.counts(), expected);
    }

    #[test]
    fn a_broken_storage_fails_until_it_is_healed() {
        let storage = FaultyStorage::new(MemoryStorage::new());
        let io = StorageError::Io("scripted".into());
        storage.fail_every_apply(io.clone());
        storage.fail_read(1, io.clone());
        block_on(async {
            assert_eq!(storage.apply(put(b"a")).await, Err(io.clone()));
            assert_eq!(storage.apply(put(b"a")).await, Err(io.clone()));
            assert_eq!(storage.get(vec![row(b"a")]).await, Err(io.clone()));
            storage.heal();
            assert_eq!(storage.apply(put(b"a")).await, Ok(()));
            assert_eq!(storage.get(vec![row(b"a"), row(b"b")]).await.unwrap().iter().flatten().count(), 1);
        });
        assert_eq!(storage.rows_read(), 1);
    }
}
