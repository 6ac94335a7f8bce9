//! The write: one readwrite transaction for each piece of work, driven from its requests' events.
//!
//! The work is run on the rows that have been read so far. Those that it asks for beyond are requested together, and in the event
//! of the last answer it is run again, within the same transaction; when nothing is missing any more, its writes are made.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use wasm_bindgen::JsValue;
use web_sys::{IdbRequest, IdbTransaction};

use super::connection::{Access, CONTROL, Connection, request, store};
use super::rows::{self, Range};
use super::{read, transaction};
use crate::storage::{Batch, Durability, Row, RowKey, Rows, Scan, StorageError, Table, Work};

/// Runs `work` in a transaction, and writes what it returns. A batch that has to survive a loss of power is written by a second
/// transaction, since each is given its durability when it begins.
pub(super) async fn transact(
    connection: Rc<Connection>,
    work: Box<dyn Work>,
    durability: Durability,
) -> Result<(), StorageError> {
    let work = Rc::new(RefCell::new(work));
    let flush = Rc::new(Cell::new(false));
    let done = attempt(&connection, &work, durability, &flush).await;
    if flush.take() { attempt(&connection, &work, Durability::Full, &flush).await } else { done }
}

/// Runs `work` in a transaction of this durability; sets `flush`, and fails, if the batch needs a higher one.
async fn attempt(
    connection: &Connection,
    work: &Rc<RefCell<Box<dyn Work>>>,
    durability: Durability,
    flush: &Rc<Cell<bool>>,
) -> Result<(), StorageError> {
    // All stores, whatever is written: transactions that have a store in common take effect in the order of their making.
    let stores = Table::ALL.iter().map(|table| table.name()).chain([CONTROL]);
    let transaction = connection.transaction(stores, Access::Write(durability))?;
    let (asking, work, flush) = (transaction.clone(), Rc::clone(work), Rc::clone(flush));
    let mut loaded = Loaded::default();
    let step = move |results: &[JsValue]| {
        loaded.take(results)?;
        let batch = loop {
            match work.borrow_mut().run(&mut loaded) {
                Err(StorageError::NotLoaded) => match loaded.ask(&asking)? {
                    // Nothing lies where it looks.
                    requests if requests.is_empty() => {}
                    requests => return Ok(requests),
                },
                outcome => break outcome?,
            }
        };
        if batch.durable && durability != Durability::Full {
            flush.set(true);
            return Err(StorageError::Io("the batch has to be flushed".to_owned()));
        }
        write(&asking, batch)?;
        Ok(Vec::new())
    };
    transaction::steps(transaction, Vec::new(), Box::new(step)).await
}

/// The rows that a transaction has read, and what to read next.
#[derive(Default)]
struct Loaded {
    rows: BTreeMap<RowKey, Option<Row>>,
    scans: HashMap<Scan, Vec<Row>>,
    missing_rows: BTreeSet<RowKey>,
    missing_scans: HashSet<Scan>,
    /// What the requests under way answer, in their order: one for a row, two for a scan.
    asked_rows: Vec<RowKey>,
    asked_scans: Vec<Scan>,
}

impl Loaded {
    /// Asks for what is missing.
    fn ask(&mut self, transaction: &IdbTransaction) -> Result<Vec<IdbRequest>, StorageError> {
        if self.missing_rows.is_empty() && self.missing_scans.is_empty() {
            return Err(StorageError::Io("work asks for rows that it has been given".to_owned()));
        }
        self.asked_rows = std::mem::take(&mut self.missing_rows).into_iter().collect();
        let mut requests = read::lookups(transaction, &self.asked_rows)?;
        for scan in self.missing_scans.drain() {
            match Range::new(&scan.lower, &scan.upper)? {
                Range::Empty => drop(self.scans.insert(scan, Vec::new())),
                range => {
                    // From the upper end, only a cursor could stop early: the range is read whole.
                    let limit = if scan.reverse { None } else { u32::try_from(scan.limit).ok() };
                    let store = store(transaction, scan.table.name())?;
                    requests.extend(read::range(&store, &range, limit)?);
                    self.asked_scans.push(scan);
                }
            }
        }
        Ok(requests)
    }

    /// Takes the answers.
    fn take(&mut self, results: &[JsValue]) -> Result<(), StorageError> {
        let (found, ranges) = results.split_at(self.asked_rows.len().min(results.len()));
        for (key, stored) in std::mem::take(&mut self.asked_rows).into_iter().zip(found) {
            let row = (!stored.is_undefined()).then(|| rows::row(key.key.clone(), stored));
            self.rows.insert(key, row);
        }
        for (scan, told) in std::mem::take(&mut self.asked_scans).into_iter().zip(ranges.chunks_exact(2)) {
            let mut rows = read::pairs(&told[0], &told[1]);
            if scan.reverse {
                rows.reverse();
            }
            rows.truncate(scan.limit);
            self.scans.insert(scan, rows);
        }
        Ok(())
    }
}

impl Rows for Loaded {
    fn get(&mut self, keys: &[RowKey]) -> Result<Vec<Option<Row>>, StorageError> {
        let rows: Vec<_> = keys.iter().filter_map(|key| self.rows.get(key)).cloned().collect();
        if rows.len() == keys.len() {
            return Ok(rows);
        }
        self.missing_rows.extend(keys.iter().filter(|key| !self.rows.contains_key(key)).cloned());
        Err(StorageError::NotLoaded)
    }

    fn scan(&mut self, scan: &Scan) -> Result<Vec<Row>, StorageError> {
        if scan.limit == 0 {
            return Ok(Vec::new());
        }
        if let Some(rows) = self.scans.get(scan) {
            return Ok(rows.clone());
        }
        self.missing_scans.insert(scan.clone());
        Err(StorageError::NotLoaded)
    }
}

fn write(transaction: &IdbTransaction, batch: Batch) -> Result<(), StorageError> {
    for prefix in batch.clear {
        let covered = Scan::prefix(prefix.table, &prefix.key);
        let store = store(transaction, prefix.table.name())?;
        match Range::new(&covered.lower, &covered.upper)? {
            Range::Empty => {}
            Range::All => drop(request(store.clear())?),
            range => drop(request(store.delete(&range.query()))?),
        }
    }
    for row in batch.delete {
        drop(request(store(transaction, row.table.name())?.delete(&rows::key(&row.key)))?);
    }
    for (row, value) in batch.put {
        let (store, key) = (store(transaction, row.table.name())?, rows::key(&row.key));
        drop(request(store.put_with_key(&rows::value(&value), &key))?);
    }
    Ok(())
}

/// Puts these rows in the place of everything.
pub(super) async fn replace(connection: Rc<Connection>, put: Vec<(RowKey, Vec<u8>)>) -> Result<(), StorageError> {
    let clear = Table::ALL.map(|table| RowKey { table, key: Vec::new() }).to_vec();
    let batch = Batch { clear, put, ..Batch::default() };
    transact(connection, Box::new(move |_: &mut dyn Rows| Ok(batch.clone())), Durability::Full).await
}
