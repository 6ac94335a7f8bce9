//! A unit of work on the replica: typed rows read through, changed in memory, and written as one batch.
//!
//! A unit is a plain function on a [`Txn`], which lives inside one transaction of the storage. It may be run again on another
//! one: where the storage has to fetch rows first, and where a unit beside it fails.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::keys::{self, Generation};
use super::notice::{Notice, Told};
use super::rows::{DigestRow, OutcomeRow, QueueEntry, RecordRow, ReplicaRow, ScopeRow};
use crate::clock::Stamp;
use crate::environment::SharedEnvironment;
use crate::error::Result;
use crate::model::{EventId, RecordKey, Revision, Scope, Value};
use crate::query::IndexSet;
use crate::storage::{Batch, Row, RowKey, Rows, Scan, StorageError, Table};

/// Queue entries that a walk reads at a time.
const PAGE: usize = 512;

/// The rows that every unit of work begins with, kept in memory between commits. A row is shared until somebody changes it.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    pub replica: Arc<ReplicaRow>,
    /// The number of the commit after which they were read or written.
    pub commits: u64,
    pub scopes: BTreeMap<Scope, ScopeSlot>,
}

/// A scope's row, and the digests of its generations.
#[derive(Clone, Debug)]
pub(super) struct ScopeSlot {
    pub row: Arc<ScopeRow>,
    dirty: bool,
    digests: Vec<DigestSlot>,
}

#[derive(Clone, Debug)]
struct DigestSlot {
    generation: Generation,
    row: Arc<DigestRow>,
    dirty: bool,
}

/// One unit of work.
pub struct Txn<'r> {
    rows: &'r mut dyn Rows,
    environment: SharedEnvironment,
    indexes: Arc<IndexSet>,
    cache: Cache,
    records: BTreeMap<Vec<u8>, RecordSlot>,
    entries: BTreeMap<(Scope, u64), Slot<QueueEntry>>,
    outcomes: BTreeMap<EventId, Slot<OutcomeRow>>,
    raw: BTreeMap<RowKey, Option<Vec<u8>>>,
    clear: Vec<RowKey>,
    durable: bool,
    replica_dirty: bool,
    /// Told after the commit; `None` if nobody listens.
    notices: Option<Vec<Notice>>,
}

struct Slot<T> {
    value: Option<Arc<T>>,
    stored: bool,
    dirty: bool,
}

struct RecordSlot {
    scope: Scope,
    generation: Generation,
    key: RecordKey,
    row: RecordRow,
    stored: bool,
    dirty: bool,
    /// The revision that is stored.
    revision: Revision,
    /// The view before the first change, where an index or an observer asks for it.
    original: Option<Option<Value>>,
}

impl<'r> Txn<'r> {
    pub(super) fn new(
        rows: &'r mut dyn Rows,
        environment: SharedEnvironment,
        indexes: Arc<IndexSet>,
        cache: Cache,
        observed: bool,
    ) -> Self {
        Self {
            rows,
            environment,
            indexes,
            cache,
            records: BTreeMap::new(),
            entries: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            raw: BTreeMap::new(),
            clear: Vec::new(),
            durable: false,
            replica_dirty: false,
            notices: observed.then(Vec::new),
        }
    }

    /// The world.
    #[must_use]
    pub fn environment(&self) -> &SharedEnvironment {
        &self.environment
    }

    /// The declared indexes.
    #[must_use]
    pub fn indexes(&self) -> &Arc<IndexSet> {
        &self.indexes
    }

    /// The replica row.
    #[must_use]
    pub fn replica(&self) -> &ReplicaRow {
        &self.cache.replica
    }

    /// The replica row, to be changed.
    pub fn replica_mut(&mut self) -> &mut ReplicaRow {
        self.replica_dirty = true;
        Arc::make_mut(&mut self.cache.replica)
    }

    /// A stamp for a local write.
    pub fn tick(&mut self) -> Stamp {
        let wall = self.environment.now_ms();
        let replica = self.replica_mut();
        let mut clock = crate::clock::HybridClock::new(replica.clock);
        let stamp = clock.tick(wall, &replica.device);
        replica.clock = clock.state();
        stamp
    }

    /// A scope's row; a new one for a scope that was never used.
    pub fn scope(&mut self, scope: &Scope) -> Result<&ScopeRow> {
        Ok(&self.scope_slot(scope)?.row)
    }

    /// A scope's row, to be changed.
    pub fn scope_mut(&mut self, scope: &Scope) -> Result<&mut ScopeRow> {
        let slot = self.scope_slot(scope)?;
        slot.dirty = true;
        Ok(Arc::make_mut(&mut slot.row))
    }

    fn scope_slot(&mut self, scope: &Scope) -> Result<&mut ScopeSlot> {
        if !self.cache.scopes.contains_key(scope) {
            let row = Arc::new(self.read(keys::scope(scope))?.unwrap_or_default());
            self.cache.scopes.insert(scope.clone(), ScopeSlot { row, dirty: false, digests: Vec::new() });
        }
        Ok(self.cache.scopes.get_mut(scope).expect("loaded above"))
    }

    /// The digest of a generation, to be changed.
    pub fn digest_mut(&mut self, scope: &Scope, generation: Generation) -> Result<&mut DigestRow> {
        let held = |slot: &ScopeSlot| slot.digests.iter().position(|digest| digest.generation == generation);
        if held(self.scope_slot(scope)?).is_none() {
            let stored = self.rows.get(&[keys::digest(scope, generation)])?.pop().flatten();
            let row = match stored {
                Some(row) => DigestRow::from_bytes(&row.value)
                    .ok_or_else(|| StorageError::Corrupt("a digest row has the wrong length".into()))?,
                None => DigestRow::default(),
            };
            let digest = DigestSlot { generation, row: Arc::new(row), dirty: false };
            self.scope_slot(scope)?.digests.push(digest);
        }
        let slot = self.scope_slot(scope)?;
        let at = held(slot).expect("loaded above");
        let digest = &mut slot.digests[at];
        digest.dirty = true;
        Ok(Arc::make_mut(&mut digest.row))
    }

    /// Drops the digest of a generation that is no longer read.
    pub fn forget_digest(&mut self, scope: &Scope, generation: Generation) {
        if let Some(slot) = self.cache.scopes.get_mut(scope) {
            slot.digests.retain(|digest| digest.generation != generation);
        }
        self.raw.insert(keys::digest(scope, generation), None);
    }

    /// Reads many records at once, so that the following [`record`](Self::record) calls find them in memory.
    pub fn load_records(&mut self, scope: &Scope, generation: Generation, records: &[RecordKey]) -> Result<()> {
        let missing: Vec<_> = records
            .iter()
            .map(|key| (key, keys::record(scope, generation, key)))
            .filter(|(_, row)| !self.records.contains_key(&row.key))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let rows = self.rows.get(&missing.iter().map(|(_, row)| row.clone()).collect::<Vec<_>>())?;
        for ((key, name), stored) in missing.into_iter().zip(rows) {
            let (is_stored, row) = (stored.is_some(), stored.map(|row| decode::<RecordRow>(&row.value)).transpose()?);
            let row = row.unwrap_or_default();
            let slot = RecordSlot {
                scope: scope.clone(),
                generation,
                key: key.clone(),
                stored: is_stored,
                revision: row.revision,
                row,
                dirty: false,
                original: None,
            };
            self.records.insert(name.key, slot);
        }
        Ok(())
    }

    /// Reads many records at once, and all their unsettled events.
    pub fn load_lanes(&mut self, scope: &Scope, generation: Generation, records: &[RecordKey]) -> Result<()> {
        self.load_records(scope, generation, records)?;
        let mut pending = Vec::new();
        for key in records {
            pending.extend_from_slice(&self.record(scope, generation, key)?.pending);
        }
        self.load_entries(scope, &pending)
    }

    /// A record's row; an empty one if there is none.
    pub fn record(&mut self, scope: &Scope, generation: Generation, key: &RecordKey) -> Result<&RecordRow> {
        let name = keys::record(scope, generation, key).key;
        if !self.records.contains_key(&name) {
            self.load_records(scope, generation, std::slice::from_ref(key))?;
        }
        Ok(&self.records[&name].row)
    }

    /// A record's row, to be changed. The view before the first change is remembered for indexes and watchers.
    pub fn record_mut(&mut self, scope: &Scope, generation: Generation, key: &RecordKey) -> Result<&mut RecordRow> {
        self.record(scope, generation, key)?;
        let name = keys::record(scope, generation, key).key;
        let slot = self.records.get_mut(&name).expect("loaded above");
        let first = !std::mem::replace(&mut slot.dirty, true);
        if first && (self.notices.is_some() || !self.indexes.of(&slot.key.collection).is_empty()) {
            slot.original = Some(slot.row.view().cloned());
        }
        Ok(&mut slot.row)
    }

    /// Reads many queue entries at once.
    pub fn load_entries(&mut self, scope: &Scope, positions: &[u64]) -> Result<()> {
        let missing: Vec<_> =
            positions.iter().copied().filter(|at| !self.entries.contains_key(&(scope.clone(), *at))).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let rows = self.rows.get(&missing.iter().map(|at| keys::event(scope, *at)).collect::<Vec<_>>())?;
        for (at, stored) in missing.into_iter().zip(rows) {
            let slot = Slot {
                stored: stored.is_some(),
                value: stored.map(|row| decode(&row.value).map(Arc::new)).transpose()?,
                dirty: false,
            };
            self.entries.insert((scope.clone(), at), slot);
        }
        Ok(())
    }

    /// A queue entry.
    pub fn entry(&mut self, scope: &Scope, position: u64) -> Result<Option<&QueueEntry>> {
        self.load_entries(scope, &[position])?;
        Ok(self.entries[&(scope.clone(), position)].value.as_deref())
    }

    /// A queue entry, to be kept beside other work.
    pub fn shared_entry(&mut self, scope: &Scope, position: u64) -> Result<Option<Arc<QueueEntry>>> {
        self.load_entries(scope, &[position])?;
        Ok(self.entries[&(scope.clone(), position)].value.clone())
    }

    /// A queue entry, to be changed.
    pub fn entry_mut(&mut self, scope: &Scope, position: u64) -> Result<Option<&mut QueueEntry>> {
        self.load_entries(scope, &[position])?;
        let slot = self.entries.get_mut(&(scope.clone(), position)).expect("loaded above");
        slot.dirty = true;
        Ok(slot.value.as_mut().map(Arc::make_mut))
    }

    /// Takes an entry out of the queue.
    pub fn take_entry(&mut self, scope: &Scope, position: u64) -> Result<Option<QueueEntry>> {
        self.load_entries(scope, &[position])?;
        let slot = self.entries.get_mut(&(scope.clone(), position)).expect("loaded above");
        slot.dirty = true;
        Ok(slot.value.take().map(Arc::unwrap_or_clone))
    }

    /// Makes, replaces or removes a queue entry.
    pub fn set_entry(&mut self, scope: &Scope, position: u64, entry: Option<QueueEntry>) {
        let slot = self.entries.entry((scope.clone(), position)).or_insert(Slot {
            value: None,
            // Unknown; a delete of an absent row is no error.
            stored: true,
            dirty: true,
        });
        slot.value = entry.map(Arc::new);
        slot.dirty = true;
    }

    /// Up to `limit` stored queue entries from position `from`, in queue order, as this unit of work has left them. None only
    /// at the end of the queue.
    pub fn entries_from(&mut self, scope: &Scope, mut from: u64, limit: usize) -> Result<Vec<(u64, Arc<QueueEntry>)>> {
        let prefix = keys::event_prefix(scope);
        loop {
            let mut scan = Scan::prefix(Table::Event, &prefix).limit(limit);
            scan.lower = std::ops::Bound::Included(keys::event(scope, from).key);
            let rows = self.rows.scan(&scan)?;
            let full = rows.len() == limit;
            let mut merged = BTreeMap::new();
            for row in rows {
                let at = position_of(&row.key)?;
                merged.insert(at, Arc::new(decode::<QueueEntry>(&row.value)?));
            }
            // Beyond a full page nothing is known of what is stored: leave that to the next call.
            let end = if full { merged.keys().next_back().copied().unwrap_or(u64::MAX) } else { u64::MAX };
            for ((_, at), slot) in self.entries.range((scope.clone(), from)..=(scope.clone(), end)) {
                match &slot.value {
                    Some(entry) => drop(merged.insert(*at, entry.clone())),
                    None => drop(merged.remove(at)),
                }
            }
            // A page that this unit of work, or another of its round, has emptied is not the end.
            if !merged.is_empty() || end == u64::MAX {
                return Ok(merged.into_iter().collect());
            }
            from = end + 1;
        }
    }

    /// Walks a scope's queue in its order, as this unit of work has left it, page by page; `visit` may change entries on the way.
    pub fn each_entry(
        &mut self,
        scope: &Scope,
        visit: &mut dyn FnMut(&mut Self, u64, &QueueEntry) -> Result<()>,
    ) -> Result<()> {
        let mut from = 0;
        loop {
            let page = self.entries_from(scope, from, PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            let walked = from..last + 1;
            from = walked.end;
            for (position, entry) in &page {
                let slot = || Slot { value: Some(entry.clone()), stored: true, dirty: false };
                self.entries.entry((scope.clone(), *position)).or_insert_with(slot);
            }
            for (position, entry) in page {
                visit(self, position, &entry)?;
            }
            // A long queue is not kept in memory.
            self.entries.retain(|(of, at), slot| slot.dirty || of != scope || !walked.contains(at));
        }
    }

    /// Reads what became of many events at once.
    pub fn load_outcomes<'e>(&mut self, events: impl IntoIterator<Item = &'e EventId>) -> Result<()> {
        let missing: Vec<_> = events.into_iter().filter(|id| !self.outcomes.contains_key(id)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let rows = self.rows.get(&missing.iter().map(|id| keys::outcome(id)).collect::<Vec<_>>())?;
        for (id, stored) in missing.into_iter().zip(rows) {
            let slot = Slot {
                stored: stored.is_some(),
                value: stored.map(|row| decode(&row.value).map(Arc::new)).transpose()?,
                dirty: false,
            };
            self.outcomes.insert(id.clone(), slot);
        }
        Ok(())
    }

    /// What became of an event.
    pub fn outcome(&mut self, id: &EventId) -> Result<Option<&OutcomeRow>> {
        self.load_outcomes([id])?;
        Ok(self.outcomes[id].value.as_deref())
    }

    /// Records what became of an event.
    pub fn set_outcome(&mut self, id: &EventId, outcome: OutcomeRow) {
        self.outcomes.insert(id.clone(), Slot { value: Some(Arc::new(outcome)), stored: true, dirty: true });
    }

    /// Forgets what became of an event.
    pub fn forget_outcome(&mut self, id: &EventId) {
        self.outcomes.insert(id.clone(), Slot { value: None, stored: true, dirty: true });
    }

    /// Puts or deletes a row of another kind.
    pub fn set_raw(&mut self, key: RowKey, value: Option<Vec<u8>>) {
        self.raw.insert(key, value);
    }

    /// Removes all rows below a prefix, before anything else of this unit of work is written.
    pub fn clear_prefix(&mut self, prefix: RowKey) {
        self.clear.push(prefix);
    }

    /// Once committed, this and all before it survive a loss of power at any durability: somebody else is about to hear of it.
    pub fn make_durable(&mut self) {
        self.durable = true;
    }

    /// Reads stored rows, without what this unit of work has changed.
    pub fn scan_stored(&mut self, scan: &Scan) -> Result<Vec<Row>> {
        Ok(self.rows.scan(scan)?)
    }

    /// Tells observers, once the work is committed.
    pub fn notify(&mut self, notice: impl FnOnce() -> Notice) {
        if let Some(notices) = &mut self.notices {
            notices.push(notice());
        }
    }

    fn read<T: DeserializeOwned>(&mut self, row: RowKey) -> Result<Option<T>> {
        let row = self.rows.get(&[row])?.pop().flatten();
        Ok(row.map(|row| decode(&row.value)).transpose()?)
    }

    /// Whether the work has only read: then there is nothing to commit.
    fn is_clean(&self) -> bool {
        let scope_clean = |slot: &ScopeSlot| !slot.dirty && slot.digests.iter().all(|digest| !digest.dirty);
        !self.replica_dirty
            && !self.durable
            && self.clear.is_empty()
            && self.raw.is_empty()
            && self.cache.scopes.values().all(scope_clean)
            && self.records.values().all(|slot| !slot.dirty)
            && self.entries.values().all(|slot| !slot.dirty)
            && self.outcomes.values().all(|slot| !slot.dirty)
            && self.notices.as_ref().is_none_or(Vec::is_empty)
    }

    /// The batch, what to keep in memory once it is committed, and what to tell observers. Work that has only read has an empty
    /// one.
    pub(super) fn finish(self) -> (Batch, Cache, Told) {
        if self.is_clean() {
            return (Batch::default(), self.cache, Told::Listed(Vec::new()));
        }
        let mut batch = Batch { clear: self.clear, durable: self.durable, ..Batch::default() };
        let mut notices = self.notices;
        let mut cache = self.cache;
        cache.commits += 1;
        batch.put.push((keys::commits(), cache.commits.to_be_bytes().to_vec()));
        if self.replica_dirty {
            batch.put.push((keys::replica(), encode(&*cache.replica)));
        }
        for (scope, slot) in &mut cache.scopes {
            if std::mem::take(&mut slot.dirty) {
                batch.put.push((keys::scope(scope), encode(&*slot.row)));
            }
            for digest in &mut slot.digests {
                if std::mem::take(&mut digest.dirty) {
                    batch.put.push((keys::digest(scope, digest.generation), digest.row.to_bytes()));
                }
            }
        }
        for (name, slot) in self.records {
            if !slot.dirty {
                continue;
            }
            let row = RowKey { table: Table::Record, key: name };
            let scope = cache.scopes.get(&slot.scope).map(|scope| &scope.row);
            let read = scope.is_none_or(|scope| scope.generation == slot.generation);
            let fed = scope.filter(|_| read).map_or(0, |scope| scope.fed());
            if !slot.row.is_vacant(fed) {
                batch.put.push((row, encode(&slot.row)));
            } else if slot.stored {
                batch.delete.push(row);
            }
            let notices = notices.as_mut().filter(|_| read);
            let view = slot.row.view();
            if let Some(original) = slot.original.filter(|original| original.as_ref() != view) {
                self.indexes.diff(&slot.scope, slot.generation, &slot.key, original.as_ref(), view).add_to(&mut batch);
                if let Some(notices) = notices {
                    let view = view.cloned();
                    notices.push(Notice::Record { scope: slot.scope, key: slot.key, before: original, after: view });
                }
            } else if let Some(notices) = notices
                && slot.revision != slot.row.revision
            {
                notices.push(Notice::Revised { scope: slot.scope, key: slot.key });
            }
        }
        for ((scope, position), slot) in self.entries {
            write_slot(&mut batch, keys::event(&scope, position), slot);
        }
        for (id, slot) in self.outcomes {
            write_slot(&mut batch, keys::outcome(&id), slot);
        }
        for (row, value) in self.raw {
            match value {
                Some(value) => batch.put.push((row, value)),
                None => batch.delete.push(row),
            }
        }
        (batch, cache, notices.map_or(Told::Unlisted, Told::Listed))
    }
}

fn write_slot<T: Serialize>(batch: &mut Batch, row: RowKey, slot: Slot<T>) {
    match slot.value {
        Some(value) if slot.dirty => batch.put.push((row, encode(&*value))),
        None if slot.dirty && slot.stored => batch.delete.push(row),
        _ => {}
    }
}

pub(super) fn position_of(key: &[u8]) -> Result<u64> {
    key.last_chunk::<8>()
        .map(|bytes| u64::from_be_bytes(*bytes))
        .ok_or_else(|| StorageError::Corrupt("an event row's key is too short".into()).into())
}

/// A row's JSON form.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("rows serialize: their maps have string keys")
}

/// Reads a row.
///
/// # Errors
/// `storage_corrupt` if it cannot be read.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StorageError> {
    serde_json::from_slice(bytes).map_err(|error| StorageError::Corrupt(format!("a row cannot be read: {error}")))
}
