//! A storage that fails when it is told to, and counts what is asked of it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::environment::SharedEnvironment;
use crate::platform::BoxFuture;
use crate::storage::{Batch, Row, RowKey, Scan, Storage, StorageError};

/// Wraps a storage. Calls pass through to it until a failure is scripted; a failed call does not reach it.
#[derive(Debug, Default)]
pub struct FaultyStorage<S> {
    inner: S,
    script: Mutex<Script>,
}

#[derive(Debug, Default)]
struct Script {
    /// For each coming call of `apply`, what it fails with; `None` for a call that passes.
    applies: VecDeque<Option<StorageError>>,
    /// The same for `get` and `scan`.
    reads: VecDeque<Option<StorageError>>,
    /// What every `apply` fails with.
    broken: Option<StorageError>,
    /// How long every `apply` takes.
    commit_time: Duration,
    /// Whose clock tells.
    environment: Option<SharedEnvironment>,
    counts: Counts,
}

/// What was asked of a [`FaultyStorage`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls of `apply`, failed ones included.
    pub applies: u64,
    /// Calls of `get` and `scan`, failed ones included.
    pub reads: u64,
    /// Rows that `get` and `scan` returned.
    pub rows_read: u64,
    /// Rows that were put by successful batches.
    pub rows_put: u64,
    /// Bytes of keys and values that were put by successful batches.
    pub bytes_put: u64,
}

impl<S> FaultyStorage<S> {
    /// Wraps `inner`.
    pub fn new(inner: S) -> Self {
        Self { inner, script: Mutex::default() }
    }

    /// The wrapped storage.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Lets the next `apply` fail with `error`.
    pub fn fail_next_apply(&self, error: StorageError) {
        self.fail_apply(1, error);
    }

    /// Lets the `n`th `apply` from now on fail with `error`; the next one is the first.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn fail_apply(&self, n: usize, error: StorageError) {
        schedule(&mut self.lock().applies, n, error);
    }

    /// Lets the `n`th `get` or `scan` from now on fail with `error`; the next one is the first.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn fail_read(&self, n: usize, error: StorageError) {
        schedule(&mut self.lock().reads, n, error);
    }

    /// Lets every `apply` fail with `error`, as a full disk does, until [`heal`](Self::heal).
    pub fn fail_every_apply(&self, error: StorageError) {
        self.lock().broken = Some(error);
    }

    /// Lets every `apply` take so long, on the clock of the client's environment, before it reaches the storage, and every
    /// `close` thereafter: things happen during a commit, as on a real disk.
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
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_read(&self) -> Result<(), StorageError> {
        let mut script = self.lock();
        script.counts.reads += 1;
        script.reads.pop_front().flatten().map_or(Ok(()), Err)
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

    fn begin_apply(&self) -> Result<(), StorageError> {
        let mut script = self.lock();
        script.counts.applies += 1;
        let scripted = script.applies.pop_front().flatten();
        scripted.or_else(|| script.broken.clone()).map_or(Ok(()), Err)
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
            self.begin_read()?;
            let rows = self.inner.get(keys).await?;
            self.lock().counts.rows_read += rows.iter().flatten().count() as u64;
            Ok(rows)
        })
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<Row>, StorageError>> {
        Box::pin(async move {
            self.begin_read()?;
            let rows = self.inner.scan(scan).await?;
            self.lock().counts.rows_read += rows.len() as u64;
            Ok(rows)
        })
    }

    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            self.begin_apply()?;
            self.pass_time().await;
            let rows = batch.put.len() as u64;
            let bytes: usize = batch.put.iter().map(|(row, value)| row.key.len() + value.len()).sum();
            self.inner.apply(batch).await?;
            let mut script = self.lock();
            script.counts.rows_put += rows;
            script.counts.bytes_put += bytes as u64;
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
