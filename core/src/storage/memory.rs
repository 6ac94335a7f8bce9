//! A storage in memory: for tests, and for replicas that need not outlive the process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Batch, Row, RowKey, Scan, Storage, StorageError, Table};
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

/// Value and version by key.
type Rows = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

#[derive(Default)]
struct State {
    /// By the tables' numbers.
    tables: [Rows; Table::ALL.len()],
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

impl State {
    fn version(&self, row: &RowKey) -> u64 {
        self.tables[row.table as usize].get(&row.key).map_or(0, |(_, version)| *version)
    }

    fn apply(&mut self, batch: Batch) -> Result<(), StorageError> {
        if batch.expect.iter().any(|(row, version)| self.version(row) != *version) {
            return Err(StorageError::Stale);
        }
        for prefix in batch.clear {
            let table = &mut self.tables[prefix.table as usize];
            let below = table.range(prefix.key.clone()..).map(|(key, _)| key);
            let below: Vec<_> = below.take_while(|key| key.starts_with(&prefix.key)).cloned().collect();
            below.iter().for_each(|key| drop(table.remove(key)));
        }
        for row in batch.delete {
            self.tables[row.table as usize].remove(&row.key);
        }
        for (row, value) in batch.put {
            let slot = self.tables[row.table as usize].entry(row.key).or_default();
            *slot = (value, slot.1 + 1);
        }
        Ok(())
    }

    fn scan(&self, scan: Scan) -> Vec<Row> {
        use std::ops::Bound;
        // `BTreeMap::range` panics on an empty range; a scan of one is empty.
        let empty = match (&scan.lower, &scan.upper) {
            (Bound::Included(low), Bound::Included(high)) => low > high,
            (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => low >= high,
            _ => false,
        };
        if empty {
            return Vec::new();
        }
        let row = |(key, (value, version)): (&Vec<u8>, &(Vec<u8>, u64))| Row {
            key: key.clone(),
            value: value.clone(),
            version: *version,
        };
        let range = self.tables[scan.table as usize].range::<Vec<u8>, _>((scan.lower, scan.upper));
        if scan.reverse {
            range.rev().take(scan.limit).map(row).collect()
        } else {
            range.take(scan.limit).map(row).collect()
        }
    }
}

impl Storage for MemoryStorage {
    fn get(&self, keys: Vec<RowKey>) -> BoxFuture<'_, Result<Vec<Option<Row>>, StorageError>> {
        Box::pin(async move {
            let state = self.open()?;
            Ok(keys
                .into_iter()
                .map(|row| {
                    let (value, version) = state.tables[row.table as usize].get(&row.key)?;
                    Some(Row { value: value.clone(), version: *version, key: row.key })
                })
                .collect())
        })
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<Row>, StorageError>> {
        Box::pin(async move { Ok(self.open()?.scan(scan)) })
    }

    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move { self.open()?.apply(batch) })
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
