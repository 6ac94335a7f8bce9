//! A storage in memory: for tests, and for replicas that need not outlive the process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Batch, Row, RowKey, Rows, Scan, Storage, StorageError, Table, Work};
use crate::platform::BoxFuture;

/// Keeps a replica in memory. Clones share their content, so that a test can "restart" on it.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for MemoryStorage {
    /// Without the content, which may be large and is the user's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryStorage")
    }
}

#[derive(Default)]
struct State {
    tables: Tables,
    suspended: bool,
    closed: bool,
}

impl MemoryStorage {
    /// An empty storage.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens the same content again after a [`close`](Storage::close), as a restarted process would.
    #[must_use]
    pub fn reopen(&self) -> Self {
        let mut state = self.lock();
        state.closed = false;
        state.suspended = false;
        drop(state);
        self.clone()
    }

    /// A copy of the content that goes its own way from now on, as when a device's file is copied to another device.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn deep_copy(&self) -> Self {
        let tables = self.lock().tables.clone();
        Self { state: Arc::new(Mutex::new(State { tables, suspended: false, closed: false })) }
    }

    /// Runs `work`, and returns what it would write without writing it.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn rehearse(&self, work: &mut dyn Work) -> Result<Batch, StorageError> {
        work.run(&mut self.open()?.tables)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic inside cannot leave a batch half applied: writes happen after every check.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Result<MutexGuard<'_, State>, StorageError> {
        let state = self.not_closed()?;
        if state.suspended { Err(StorageError::Suspended) } else { Ok(state) }
    }

    fn not_closed(&self) -> Result<MutexGuard<'_, State>, StorageError> {
        let state = self.lock();
        if state.closed { Err(StorageError::Closed("")) } else { Ok(state) }
    }
}

/// Values by key, by the tables' numbers.
#[derive(Clone, Default)]
struct Tables([BTreeMap<Vec<u8>, Vec<u8>>; Table::ALL.len()]);

impl Tables {
    fn write(&mut self, batch: Batch) {
        for prefix in batch.clear {
            let table = &mut self.0[prefix.table as usize];
            let below = table.range(prefix.key.clone()..).map(|(key, _)| key);
            let below: Vec<_> = below.take_while(|key| key.starts_with(&prefix.key)).cloned().collect();
            below.iter().for_each(|key| drop(table.remove(key)));
        }
        for row in batch.delete {
            self.0[row.table as usize].remove(&row.key);
        }
        for (row, value) in batch.put {
            self.0[row.table as usize].insert(row.key, value);
        }
    }
}

impl Rows for Tables {
    fn get(&mut self, keys: &[RowKey]) -> Result<Vec<Option<Row>>, StorageError> {
        let row = |key: &RowKey| {
            let value = self.0[key.table as usize].get(&key.key)?;
            Some(Row { key: key.key.clone(), value: value.clone() })
        };
        Ok(keys.iter().map(row).collect())
    }

    fn scan(&mut self, scan: &Scan) -> Result<Vec<Row>, StorageError> {
        use std::ops::Bound;
        // `BTreeMap::range` panics on an empty range; a scan of one is empty.
        let empty = match (&scan.lower, &scan.upper) {
            (Bound::Included(low), Bound::Included(high)) => low > high,
            (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => low >= high,
            _ => false,
        };
        if empty {
            return Ok(Vec::new());
        }
        let row = |(key, value): (&Vec<u8>, &Vec<u8>)| Row { key: key.clone(), value: value.clone() };
        let range = self.0[scan.table as usize].range::<Vec<u8>, _>((scan.lower.as_ref(), scan.upper.as_ref()));
        Ok(if scan.reverse {
            range.rev().take(scan.limit).map(row).collect()
        } else {
            range.take(scan.limit).map(row).collect()
        })
    }
}

impl Storage for MemoryStorage {
    fn get(&self, keys: Vec<RowKey>) -> BoxFuture<'_, Result<Vec<Option<Row>>, StorageError>> {
        Box::pin(async move { self.open()?.tables.get(&keys) })
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<Row>, StorageError>> {
        Box::pin(async move { self.open()?.tables.scan(&scan) })
    }

    fn transact(&self, mut work: Box<dyn Work>) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            let mut state = self.open()?;
            let batch = work.run(&mut state.tables)?;
            state.tables.write(batch);
            Ok(())
        })
    }

    fn suspend(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            self.not_closed()?.suspended = true;
            Ok(())
        })
    }

    fn resume(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            self.not_closed()?.suspended = false;
            Ok(())
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            self.lock().closed = true;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{block_on, storage_model};

    crate::storage_suite!(contract, MemoryStorage::new());

    proptest! {
        #[test]
        fn any_operations_agree_with_the_model(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            block_on(storage_model::compare(&MemoryStorage::new(), storage_model::decode(&bytes)));
        }
    }
}
