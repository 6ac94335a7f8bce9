//! Runs a query against a storage.
//!
//! Rows are read in pages; what is held in memory is a page and as many records as the query's limit. An index entry is
//! believed only if it is the one that its record has now: a write between the reading of the entry and of the record then
//! shows as a missing record, never as a wrong or a double one. And if any write happened while a query was reading, the
//! query reads again, so that under ordinary load its answer is the state of one moment.

use std::ops::Bound;

use super::collect::Collector;
use super::encoding::encode;
use super::index::{Entry, IndexSet};
use super::plan::{Access, IndexAccess, KeyRange, Plan, held_equal, plan};
use super::query::{Continuation, OrderKey, Query, QueryPage, Record, RecordState};
use crate::error::Error;
use crate::limits::MAX_INDEXED_VALUE_BYTES;
use crate::model::{Pointer, RecordId, RecordKey, Scope};
use crate::replica::decode;
use crate::replica::keys::{self, Generation};
use crate::replica::rows::RecordRow;
use crate::storage::{Row, RowKey, Scan, Storage, StorageError, Table, successor};

/// Most rows that are read at once.
const MAX_PAGE_ROWS: usize = 512;
/// Fewest rows that are read at once.
const MIN_PAGE_ROWS: usize = 16;
/// How often a query reads again because something was written meanwhile. The last reading stands: a replica that is
/// written to without a pause must not stop a query for ever.
const MAX_READINGS: usize = 3;

/// Answers queries from one generation of a scope's records.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    storage: &'a dyn Storage,
    scope: &'a Scope,
    generation: Generation,
    indexes: &'a IndexSet,
}

impl<'a> Reader<'a> {
    /// Reads `scope` in `generation`, through those of `indexes` that fit. They must have been built.
    #[must_use]
    pub fn new(storage: &'a dyn Storage, scope: &'a Scope, generation: Generation, indexes: &'a IndexSet) -> Self {
        Self { storage, scope, generation, indexes }
    }

    /// How `query` will be answered.
    ///
    /// # Errors
    /// `invalid_query` if it cannot be.
    pub fn explain(&self, query: &Query) -> Result<Plan, Error> {
        query.check()?;
        Ok(plan(query, self.indexes))
    }

    /// The record named `id` as the app sees it; `None` if there is none.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn get(&self, record: &RecordKey) -> Result<Option<Record>, Error> {
        let rows = self.storage.get(vec![keys::record(self.scope, self.generation, record)]).await?;
        match rows.into_iter().flatten().next() {
            Some(row) => visible(self.generation, &row, || Some(record.record.clone())),
            None => Ok(None),
        }
    }

    /// A page of the query's answer; all of it if the query has no limit.
    ///
    /// # Errors
    /// `invalid_query`, and those of the storage.
    pub async fn run(&self, query: &Query) -> Result<QueryPage, Error> {
        let plan = self.explain(query)?;
        let after = query.position()?;
        let mut before = self.last_commit().await?;
        for _ in 1..MAX_READINGS {
            let page = self.read(query, &plan, after.as_ref()).await?;
            let now = self.last_commit().await?;
            if now == before {
                return Ok(page);
            }
            before = now;
        }
        self.read(query, &plan, after.as_ref()).await
    }

    /// Every commit changes it.
    async fn last_commit(&self) -> Result<Option<Row>, StorageError> {
        Ok(self.storage.get(vec![keys::commits()]).await?.pop().flatten())
    }

    async fn read(&self, query: &Query, plan: &Plan, after: Option<&OrderKey>) -> Result<QueryPage, Error> {
        // One more than wanted tells whether there is a next page.
        let limit = query.limit.map_or(usize::MAX, |limit| limit.saturating_add(1));
        let mut reading = Reading { reader: self, query, plan, after, collector: Collector::new(limit) };
        match &plan.access {
            Access::Scan => reading.scan().await?,
            Access::Index(access) => reading.index(access).await?,
        }
        let mut found = reading.collector.finish();
        let next = if found.len() == limit {
            found.pop();
            found.last().map(|(key, _)| Continuation::encode(&query.order, key))
        } else {
            None
        };
        Ok(QueryPage { records: found.into_iter().map(|(_, record)| record).collect(), next })
    }
}

/// The record that a row shows to the app.
fn visible(generation: Generation, row: &Row, id: impl FnOnce() -> Option<RecordId>) -> Result<Option<Record>, Error> {
    let mut stored = decode::<RecordRow>(&row.value)?;
    let (revision, state, basis) = (stored.revision, row_state(&stored), stored.basis(generation));
    let doc = match stored.overlay.take() {
        Some(view) => view,
        None => stored.doc.take(),
    };
    let Some(doc) = doc else { return Ok(None) };
    let id = id().ok_or_else(|| StorageError::Corrupt("a record row's key".to_owned()))?;
    Ok(Some(Record { id, doc, revision, state, basis }))
}

/// What a record's own row tells of its sync.
pub(crate) fn row_state(row: &RecordRow) -> RecordState {
    match (row.parked, row.pending.is_empty()) {
        (true, _) => RecordState::Parked,
        (false, false) => RecordState::Pending,
        (false, true) => RecordState::Synced,
    }
}

/// One pass over the rows that a plan names.
struct Reading<'a> {
    reader: &'a Reader<'a>,
    query: &'a Query,
    plan: &'a Plan,
    after: Option<&'a OrderKey>,
    collector: Collector,
}

impl Reading<'_> {
    /// Whether the record is wanted on this page; then it is collected.
    fn consider(&mut self, record: Record) {
        if !self.query.filter.matches(&record.doc) {
            return;
        }
        let key = OrderKey::of(&self.query.order, &record.doc, &record.id);
        if self.after.is_none_or(|after| key > *after) {
            self.collector.offer(key, record);
        }
    }

    async fn scan(&mut self) -> Result<(), Error> {
        let reader = self.reader;
        let prefix = keys::collection_prefix(reader.scope, reader.generation, &self.query.collection);
        let mut range = KeyRange { upper: successor(&prefix), lower: prefix.clone() };
        let after = self.after.filter(|_| !self.plan.sorts()).and_then(|after| after.parts(&self.query.order));
        // Without a sort, the filter holds all fields of the order equal. Where that is the continuation's own values, the
        // wanted records come by id after its; else all of them come after it, or none.
        if let Some((fields, id)) = after
            && self.query.order.iter().zip(&fields).all(|(by, field)| self.is_held_at(&by.path, field))
        {
            let key = [&prefix, id.as_str().as_bytes()].concat();
            range = range.beyond(self.plan.reverse, key, true);
        }
        let mut pages = Pages::new(Table::Record, range, self.plan.reverse);
        while let Some(rows) = pages.next(reader.storage, self.page_rows()).await? {
            for row in rows {
                let id = || keys::record_id_of(&row.key, &prefix);
                let Some(record) = visible(reader.generation, &row, id)? else { continue };
                self.consider(record);
                if !self.plan.sorts() && self.collector.end_run() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn index(&mut self, access: &IndexAccess) -> Result<(), Error> {
        let reader = self.reader;
        let prefix = access.definition.prefix(reader.scope, reader.generation);
        let seek = self.after.filter(|_| !self.plan.sorts()).and_then(|after| self.seek(access, after));
        let mut parts: Vec<KeyRange> = access.parts.iter().map(|part| part.clone().below(&prefix)).collect();
        if self.plan.reverse {
            parts.reverse();
        }
        let mut run: Vec<u8> = Vec::new();
        for mut part in parts {
            if let Some((key, past)) = &seek {
                part = part.beyond(self.plan.reverse, [prefix.as_slice(), key].concat(), *past);
            }
            let mut pages = Pages::new(Table::Index, part, self.plan.reverse);
            while let Some(rows) = pages.next(reader.storage, self.page_rows()).await? {
                let entries = rows.into_iter().map(|row| self.entry(access, prefix.len(), row.key));
                let entries: Vec<(Entry, Vec<u8>)> = entries.collect::<Result<_, _>>()?;
                let records = self.records(access, &entries).await?;
                for ((entry, key), record) in entries.into_iter().zip(records) {
                    let runs = !self.plan.sorts();
                    if runs && key[..entry.decided] != *run {
                        if self.collector.end_run() {
                            return Ok(());
                        }
                        key[..entry.decided].clone_into(&mut run);
                    }
                    if let Some(record) = record {
                        self.consider(record);
                    }
                    let alone = access.ties_by_id() && !entry.cut;
                    if runs && alone && self.collector.end_run() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn entry(&self, access: &IndexAccess, prefix: usize, key: Vec<u8>) -> Result<(Entry, Vec<u8>), StorageError> {
        let fields = access.definition.paths.len();
        match Entry::parse(&key, prefix, fields, access.equal, access.ordered.len()) {
            Some(entry) => Ok((entry, key)),
            None => Err(StorageError::Corrupt(format!("an entry of index {:?}", access.definition.name))),
        }
    }

    /// The records of `entries`, where their entry is still this one.
    async fn records(&self, access: &IndexAccess, entries: &[(Entry, Vec<u8>)]) -> Result<Vec<Option<Record>>, Error> {
        let Reader { storage, scope, generation, .. } = *self.reader;
        let collection = &access.definition.collection;
        let key = |(entry, _): &(Entry, Vec<u8>)| -> RowKey {
            let record = RecordKey { collection: collection.clone(), record: entry.id.clone() };
            keys::record(scope, generation, &record)
        };
        let rows = storage.get(entries.iter().map(key).collect()).await?;
        let record = |(row, (entry, key)): (Option<Row>, &(Entry, Vec<u8>))| {
            let Some(row) = row else { return Ok(None) };
            let record = visible(generation, &row, || Some(entry.id.clone()))?;
            Ok(record.filter(|record| access.definition.entry(scope, generation, &record.id, &record.doc) == *key))
        };
        rows.into_iter().zip(entries).map(record).collect()
    }

    /// Whether the filter holds the field `path` equal to the value that is encoded as `field`.
    fn is_held_at(&self, path: &Pointer, field: &[u8]) -> bool {
        held_equal(self.query, path).is_some_and(|value| {
            let mut held = Vec::new();
            encode(Some(value), &mut held);
            held == field
        })
    }

    /// Where in the index (without its prefix) the place `after` lies, and whether what lies exactly there is past. The filter
    /// may be another one than the continuation was made with: from the first field on that it holds at another value, all of
    /// the wanted records come after, or none.
    fn seek(&self, access: &IndexAccess, after: &OrderKey) -> Option<(Vec<u8>, bool)> {
        let (fields, id) = after.parts(&self.query.order)?;
        let mut key = access.equal_bytes.clone();
        for (place, (wanted, field)) in self.query.order.iter().zip(&fields).enumerate() {
            if self.query.order[..place].iter().any(|earlier| earlier.path == wanted.path) {
                continue;
            }
            if !access.ordered.iter().any(|by| by.path == wanted.path) {
                if self.is_held_at(&wanted.path, field) {
                    continue;
                }
                return Some((key, false));
            }
            key.extend(&field[..field.len().min(MAX_INDEXED_VALUE_BYTES)]);
            if field.len() > MAX_INDEXED_VALUE_BYTES {
                return Some((key, false));
            }
        }
        let exact = access.ties_by_id();
        if exact {
            key.extend(id.as_str().as_bytes());
        }
        Some((key, exact))
    }

    /// How many rows to read next: few where few are wanted.
    fn page_rows(&self) -> usize {
        if self.plan.sorts() { MAX_PAGE_ROWS } else { self.collector.room().clamp(MIN_PAGE_ROWS, MAX_PAGE_ROWS) }
    }
}

impl KeyRange {
    /// What is left of the range from `key` on, in the direction of reading; without the keys that begin with `key`
    /// before that direction, and without `key` itself if it is `past`.
    fn beyond(mut self, reverse: bool, key: Vec<u8>, past: bool) -> Self {
        if reverse {
            let upper = if past { Some(key) } else { successor(&key) };
            self.upper = match (self.upper, upper) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (upper, None) | (None, upper) => upper,
            };
        } else {
            let mut lower = key;
            if past {
                // The least key above.
                lower.push(0);
            }
            self.lower = self.lower.max(lower);
        }
        self
    }
}

/// Reads a range page by page.
struct Pages {
    scan: Option<Scan>,
    page: usize,
}

impl Pages {
    fn new(table: Table, range: KeyRange, reverse: bool) -> Self {
        let empty = range.is_empty();
        let upper = range.upper.map_or(Bound::Unbounded, Bound::Excluded);
        let scan = Scan { table, lower: Bound::Included(range.lower), upper, reverse, limit: 0 };
        // Backends differ in what they make of a range that ends before it begins.
        Self { scan: (!empty).then_some(scan), page: 0 }
    }

    /// The next rows, `wanted` at first and more each time; `None` at the end.
    async fn next(&mut self, storage: &dyn Storage, wanted: usize) -> Result<Option<Vec<Row>>, StorageError> {
        let Some(scan) = self.scan.take() else { return Ok(None) };
        self.page = wanted.max(self.page * 2).min(MAX_PAGE_ROWS);
        let rows = storage.scan(scan.clone().limit(self.page)).await?;
        if rows.len() == self.page
            && let Some(last) = rows.last()
        {
            self.scan = Some(scan.after(&last.key));
        }
        Ok(Some(rows).filter(|rows| !rows.is_empty()))
    }
}
