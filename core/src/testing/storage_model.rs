//! What a storage should do, in its plainest form, and random operations to compare a backend with it.
//!
//! [`Operation`]s are decoded from bytes, so that a seeded run, a property test that shrinks, and a fuzzer all draw from
//! one source.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::storage_suite::Replica;
use crate::storage::{Batch, Row, RowKey, Scan, Storage, StorageError, Table, transact};

/// A step of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A transaction.
    Transact(Transaction),
    /// A read of rows.
    Get(Vec<RowKey>),
    /// A read of a range.
    Scan(Scan),
    /// Suspend and resume.
    Suspend,
    /// Close, and open again.
    Reopen,
}

/// What is done in a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The rows that its work reads, one after the other.
    pub reads: Vec<RowKey>,
    /// Whether the work then fails.
    pub fails: bool,
    /// What it writes.
    pub batch: Batch,
}

/// Rows, kept without any cleverness.
#[derive(Clone, Debug, Default)]
pub struct Model {
    rows: BTreeMap<RowKey, Vec<u8>>,
}

impl Model {
    /// A row.
    #[must_use]
    pub fn get(&self, row: &RowKey) -> Option<Row> {
        let value = self.rows.get(row)?;
        Some(Row { key: row.key.clone(), value: value.clone() })
    }

    /// A range.
    #[must_use]
    pub fn scan(&self, scan: &Scan) -> Vec<Row> {
        let above = |key: &Vec<u8>| match &scan.lower {
            Bound::Included(bound) => key >= bound,
            Bound::Excluded(bound) => key > bound,
            Bound::Unbounded => true,
        };
        let below = |key: &Vec<u8>| match &scan.upper {
            Bound::Included(bound) => key <= bound,
            Bound::Excluded(bound) => key < bound,
            Bound::Unbounded => true,
        };
        let inside = |row: &&RowKey| row.table == scan.table && above(&row.key) && below(&row.key);
        let mut rows: Vec<Row> = self.rows.keys().filter(inside).filter_map(|row| self.get(row)).collect();
        if scan.reverse {
            rows.reverse();
        }
        rows.truncate(scan.limit);
        rows
    }

    /// A write.
    pub fn apply(&mut self, batch: &Batch) {
        for prefix in &batch.clear {
            self.rows.retain(|row, _| !(row.table == prefix.table && row.key.starts_with(&prefix.key)));
        }
        for row in &batch.delete {
            self.rows.remove(row);
        }
        self.rows.extend(batch.put.iter().cloned());
    }
}

/// Why a transaction of [`compare`] fails.
fn refused() -> StorageError {
    StorageError::Unavailable("refused".into())
}

async fn run(storage: &impl Storage, transaction: Transaction) -> Result<Vec<Option<Row>>, StorageError> {
    transact(storage, move |rows| {
        let mut read = Vec::new();
        for key in &transaction.reads {
            read.extend(rows.get(std::slice::from_ref(key))?);
        }
        if transaction.fails { Err(refused()) } else { Ok((read, transaction.batch.clone())) }
    })
    .await
}

/// Does `operations` to the storage and to a model of it; panics where they differ.
///
/// # Panics
/// If they differ.
pub async fn compare<R: Replica>(replica: &R, operations: Vec<Operation>) {
    let mut model = Model::default();
    let mut storage = replica.open().await;
    for (step, operation) in operations.into_iter().enumerate() {
        let shown = format!("step {step}: {operation:?}");
        match operation {
            Operation::Transact(transaction) => {
                let read = transaction.reads.iter().map(|row| model.get(row)).collect();
                let expected = if transaction.fails {
                    Err(refused())
                } else {
                    model.apply(&transaction.batch);
                    Ok(read)
                };
                assert_eq!(run(&storage, transaction).await, expected, "{shown}");
            }
            Operation::Get(keys) => {
                let expected: Vec<_> = keys.iter().map(|row| model.get(row)).collect();
                assert_eq!(storage.get(keys).await, Ok(expected), "{shown}");
            }
            Operation::Scan(scan) => {
                let expected = model.scan(&scan);
                assert_eq!(storage.scan(scan).await, Ok(expected), "{shown}");
            }
            Operation::Suspend => {
                assert_eq!(storage.suspend().await, Ok(()), "{shown}");
                assert_eq!(storage.resume().await, Ok(()), "{shown}");
            }
            Operation::Reopen => {
                assert_eq!(storage.close().await, Ok(()), "{shown}");
                drop(storage);
                storage = replica.open().await;
            }
        }
    }
    for table in Table::ALL {
        let all = Scan::prefix(table, b"");
        let expected = model.scan(&all);
        assert_eq!(storage.scan(all).await, Ok(expected), "at the end, {table:?}");
    }
    assert_eq!(storage.close().await, Ok(()));
}

/// Reads operations out of bytes; every byte string means some.
#[must_use]
pub fn decode(bytes: &[u8]) -> Vec<Operation> {
    let mut source = Source { bytes: bytes.iter() };
    std::iter::from_fn(|| source.operation()).collect()
}

/// Operations drawn from `seed`: the same for the same seed.
#[must_use]
pub fn seeded(seed: u64, bytes: usize) -> Vec<Operation> {
    let mut state = seed;
    let mut next = || {
        // SplitMix64, for its eight good bytes a step.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    };
    let noise: Vec<u8> = (0..bytes.div_ceil(8)).flat_map(|_| next().to_be_bytes()).collect();
    decode(&noise)
}

/// Small choices out of bytes; when they run out, zeros.
struct Source<'b> {
    bytes: std::slice::Iter<'b, u8>,
}

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        self.bytes.next().copied().unwrap_or(0)
    }

    fn below(&mut self, end: u8) -> u8 {
        self.byte() % end
    }

    fn operation(&mut self) -> Option<Operation> {
        Some(match self.bytes.next()? % 16 {
            0..=7 => Operation::Transact(self.transaction()),
            8..=10 => Operation::Get(self.several(4, Self::row)),
            11..=13 => Operation::Scan(self.scan()),
            14 => Operation::Suspend,
            _ if self.below(8) == 0 => Operation::Reopen,
            _ => Operation::Scan(self.scan()),
        })
    }

    fn several<T>(&mut self, most: u8, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most)).map(|_| one(self)).collect()
    }

    /// Few tables and few keys, of the bytes at which comparisons go wrong, so that operations meet.
    fn key(&mut self) -> Vec<u8> {
        self.several(4, |source| [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff][usize::from(source.below(6))])
    }

    fn table(&mut self) -> Table {
        [Table::Meta, Table::Record, Table::Index][usize::from(self.below(3))]
    }

    fn row(&mut self) -> RowKey {
        RowKey { table: self.table(), key: self.key() }
    }

    fn transaction(&mut self) -> Transaction {
        let reads = self.several(3, |source| (source.row(), source.below(6) == 5));
        let fails = reads.iter().any(|(_, fails)| *fails);
        let reads = reads.into_iter().map(|(row, _)| row).collect();
        Transaction { reads, fails, batch: self.batch() }
    }

    fn batch(&mut self) -> Batch {
        let put = self.several(6, |source| {
            let row = source.row();
            let length = usize::from(source.byte()) * usize::from(source.below(5));
            (row, vec![source.byte(); length])
        });
        Batch {
            // Takes no byte of its own: inputs that were kept go on meaning the same.
            durable: put.len() == 1,
            put,
            delete: self.several(3, Self::row),
            clear: if self.below(4) == 0 { self.several(3, Self::row) } else { Vec::new() },
        }
    }

    fn bound(&mut self) -> Bound<Vec<u8>> {
        match self.below(4) {
            0 => Bound::Unbounded,
            1 => Bound::Excluded(self.key()),
            _ => Bound::Included(self.key()),
        }
    }

    fn scan(&mut self) -> Scan {
        Scan {
            table: self.table(),
            lower: self.bound(),
            upper: self.bound(),
            reverse: self.below(2) == 1,
            limit: match self.below(8) {
                limit @ 0..=5 => usize::from(limit),
                6 => 1000,
                _ => usize::MAX,
            },
        }
    }
}
