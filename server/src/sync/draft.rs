//! A push's effects before they are written: the scope as it will be, with a way back for a group that is refused.

use std::collections::{BTreeMap, BTreeSet};

use unisono::clock::Stamp;
use unisono::merge::{CONFLICTS, Decision, History, LoggedWrite, StoredRecord, Undo, referred, relevant, values_of};
use unisono::model::{DeviceId, DigestSum, EventId, RecordKey, Revision, Value, bucket_of, value};

use super::accounts::Growth;
use super::inbox::is_open_note;
use crate::store::{
    CommitRow, LogRow, NoteValues, RecordRow, ScopeBatch, ScopeRow, ScopeTx, Settled, StoreError, canonical_text,
};

/// The staged state of one scope.
pub(super) struct Draft<'t> {
    tx: &'t mut dyn ScopeTx,
    scope: ScopeRow,
    /// The head before this draft.
    start: Revision,
    records: BTreeMap<RecordKey, Slot>,
    settled: BTreeMap<EventId, Option<Settled>>,
    log: Vec<LogRow>,
    /// The way back from what the last unit did, in case that it is refused.
    undo: Vec<(RecordKey, Effect)>,
    histories: BTreeMap<RecordKey, Known>,
    /// The lowest base of the push's events on each record: what came after it is all that they may need to know.
    bases: BTreeMap<RecordKey, Revision>,
    /// Values by hash, to which notes may refer.
    values: BTreeMap<String, Value>,
}

/// A record before and now.
#[derive(Default)]
struct Slot {
    before: Option<Before>,
    now: Option<StoredRecord>,
    /// The canonical bytes of its document now.
    bytes: u64,
    /// How many writes of this push it has taken.
    writes: u64,
}

/// What the totals say of a record before the push.
struct Before {
    digest: DigestSum,
    alive: bool,
    bytes: u64,
    open: bool,
    /// Of a note, the hashes of the values that it refers to.
    referred: BTreeSet<String>,
}

impl Slot {
    fn of(key: &RecordKey, row: Option<RecordRow>) -> Self {
        let Some(row) = row else { return Self::default() };
        let (bytes, alive) = (row.canonical.len() as u64, row.record.alive);
        let open = is_open_note(key, &row.record);
        let before = Before { digest: row.digest, alive, bytes, open, referred: names(key, &row.record) };
        Self { before: Some(before), now: Some(row.record), bytes, writes: 0 }
    }
}

/// What one write did to a record.
pub(super) struct Effect {
    undo: Undo,
    /// The canonical bytes of the document before.
    bytes: u64,
}

/// Relevant writes to one record, as far as they were read: events of one push mostly share their base.
struct Known {
    /// Writes above this revision are held …
    from: Revision,
    /// … up to this one.
    up_to: Revision,
    writes: History,
}

/// The end of a draft.
pub(super) struct Finished<'t> {
    /// What is to be written.
    pub(super) batch: ScopeBatch,
    /// By how much it changes what collections hold.
    pub(super) growth: Growth,
    pub(super) tx: &'t mut dyn ScopeTx,
}

/// A place to come back to.
pub(super) struct Mark {
    revision: Revision,
    highest: Option<Stamp>,
    log: usize,
}

impl<'t> Draft<'t> {
    /// A draft on `scope`, with the rows that the push will surely need: its records, with the lowest base of its events on
    /// each, and its events.
    pub(super) fn new(
        tx: &'t mut dyn ScopeTx,
        scope: ScopeRow,
        bases: BTreeMap<RecordKey, Revision>,
        events: &[EventId],
    ) -> Result<Self, StoreError> {
        let keys: Vec<_> = bases.keys().cloned().collect();
        let found = tx.records(&keys)?;
        let records = keys.into_iter().zip(found).map(|(key, row)| (key.clone(), Slot::of(&key, row))).collect();
        let settled = events.iter().cloned().zip(tx.settled(events)?).collect();
        let start = scope.revision;
        Ok(Self {
            tx,
            scope,
            start,
            records,
            settled,
            log: Vec::new(),
            undo: Vec::new(),
            histories: BTreeMap::new(),
            bases,
            values: BTreeMap::new(),
        })
    }

    /// The head before this draft.
    pub(super) fn start(&self) -> Revision {
        self.start
    }

    /// The head as it will be.
    pub(super) fn head(&self) -> Revision {
        self.scope.revision
    }

    /// The newest revision of a tombstone that was dropped.
    pub(super) fn horizon(&self) -> Revision {
        self.scope.horizon
    }

    /// The scope's highest stamp as it will be.
    pub(super) fn highest(&self) -> Option<&Stamp> {
        self.scope.highest.as_ref()
    }

    /// The highest stamp among revisions up to `revision`, which is not newer than the start.
    pub(super) fn highest_at(&mut self, revision: Revision) -> Result<Option<Stamp>, StoreError> {
        if revision == 0 { Ok(None) } else { self.tx.highest_at(revision) }
    }

    /// What became of an event before this push.
    pub(super) fn settled(&mut self, id: &EventId) -> Result<Option<&Settled>, StoreError> {
        if !self.settled.contains_key(id) {
            let found = self.tx.settled(std::slice::from_ref(id))?.pop().flatten();
            self.settled.insert(id.clone(), found);
        }
        Ok(self.settled.get(id).and_then(Option::as_ref))
    }

    /// The record as it will be.
    pub(super) fn record(&mut self, key: &RecordKey) -> Result<Option<&StoredRecord>, StoreError> {
        Ok(self.slot(key)?.now.as_ref())
    }

    fn slot(&mut self, key: &RecordKey) -> Result<&mut Slot, StoreError> {
        if !self.records.contains_key(key) {
            let row = self.tx.records(std::slice::from_ref(key))?.pop().flatten();
            self.records.insert(key.clone(), Slot::of(key, row));
        }
        Ok(self.records.entry(key.clone()).or_default())
    }

    /// Whether this push has written the record.
    pub(super) fn has_written(&self, key: &RecordKey) -> bool {
        self.records.get(key).is_some_and(|slot| slot.writes > 0)
    }

    /// Lets `merge` change the record, with the history that a write of `device` with `base` may need.
    pub(super) fn meet<R>(
        &mut self,
        key: &RecordKey,
        base: Revision,
        device: &DeviceId,
        merge: impl FnOnce(&mut Option<StoredRecord>, &History) -> R,
    ) -> Result<R, StoreError> {
        self.read_history(key, base, device)?;
        let slot = self.records.entry(key.clone()).or_default();
        let none = History::default();
        let history = self.histories.get(key).map_or(&none, |known| &known.writes);
        Ok(merge(&mut slot.now, history))
    }

    /// What a merge did, which has just changed the record: by how many bytes its document has grown, or `None` if it is
    /// another one. Also tells how many bytes it has now.
    pub(super) fn effect(
        &mut self,
        key: &RecordKey,
        undo: Undo,
        growth: Option<i64>,
    ) -> Result<(Effect, u64), StoreError> {
        let slot = self.slot(key)?;
        let bytes = slot.bytes;
        slot.bytes = match growth {
            Some(growth) => bytes.saturating_add_signed(growth),
            None => slot.now.as_ref().map_or(0, |record| value::canonical_len(&record.doc) as u64),
        };
        Ok((Effect { undo, bytes }, slot.bytes))
    }

    /// Takes back what a merge did.
    pub(super) fn revert(&mut self, key: &RecordKey, effect: Effect) {
        if let Some(slot) = self.records.get_mut(key) {
            slot.now = slot.now.take().and_then(|record| effect.undo.revert(record));
            slot.bytes = effect.bytes;
        }
    }

    /// Reads the writes to the record after `base` that matter to one of `device`.
    fn read_history(&mut self, key: &RecordKey, base: Revision, device: &DeviceId) -> Result<(), StoreError> {
        let newest = self.record(key)?.map_or(0, |record| record.revision);
        if newest <= base {
            return Ok(());
        }
        let known = self.histories.remove(key).filter(|known| known.from <= base);
        let mut known = known.unwrap_or_else(|| {
            let from = self.bases.get(key).map_or(base, |lowest| base.min(*lowest));
            Known { from, up_to: from, writes: History::default() }
        });
        let mut fresh = Vec::new();
        let mut at = newest;
        while at > known.up_to {
            let Some(write) = self.logged(at)? else { break };
            at = write.previous;
            if relevant(&write, device) {
                fresh.push(write);
            }
        }
        fresh.into_iter().rev().for_each(|write| known.writes.push(write));
        known.up_to = newest;
        self.histories.insert(key.clone(), known);
        Ok(())
    }

    fn logged(&mut self, revision: Revision) -> Result<Option<LoggedWrite>, StoreError> {
        if revision <= self.start {
            return self.tx.logged(revision);
        }
        // Staged rows stand by revision, without gaps.
        let staged = self.log.binary_search_by_key(&revision, |row| row.write.revision);
        Ok(staged.ok().map(|place| self.log[place].write.clone()))
    }

    /// Stages a write's effect and its log row.
    pub(super) fn stage(&mut self, key: RecordKey, effect: Effect, mut row: LogRow) {
        self.scope.revision = row.write.revision;
        // The row comes with its event's newest stamp, and keeps the scope's.
        match &self.scope.highest {
            Some(highest) if *highest >= row.highest => row.highest = highest.clone(),
            _ => self.scope.highest = Some(row.highest.clone()),
        }
        self.log.push(row);
        self.records.entry(key.clone()).or_default().writes += 1;
        self.undo.push((key, effect));
    }

    /// Has the values of `decisions` at hand, for the note that was made of them. What no note refers to in the end is not
    /// kept.
    pub(super) fn set_aside(&mut self, note: &Value, decisions: &[&Decision]) {
        let wanted: BTreeSet<&str> = referred(note).into_iter().map(|referred| referred.sha256).collect();
        if wanted.is_empty() {
            return;
        }
        for value in decisions.iter().copied().flat_map(values_of) {
            let hash = value::hash_hex(value);
            if wanted.contains(hash.as_str()) {
                self.values.entry(hash).or_insert_with(|| value.clone());
            }
        }
    }

    /// Begins a unit.
    pub(super) fn mark(&mut self) -> Mark {
        self.undo.clear();
        Mark { revision: self.scope.revision, highest: self.scope.highest.clone(), log: self.log.len() }
    }

    /// Takes back everything since `mark`, which was the last one made.
    pub(super) fn take_back(&mut self, mark: Mark) {
        self.scope.revision = mark.revision;
        self.scope.highest = mark.highest;
        self.log.truncate(mark.log);
        while let Some((key, effect)) = self.undo.pop() {
            self.histories.remove(&key);
            self.revert(&key, effect);
            if let Some(slot) = self.records.get_mut(&key) {
                slot.writes -= 1;
            }
        }
    }

    /// The transaction, for reads that are not about records.
    pub(super) fn tx(&mut self) -> &mut dyn ScopeTx {
        self.tx
    }

    /// Ends the draft: what is to be written, with totals and digests brought up to date. `commit` tells nonce and time.
    pub(super) fn finish(self, commit: Option<CommitRow>) -> Result<Finished<'t>, StoreError> {
        let mut scope = self.scope;
        let mut changed = BTreeMap::<u8, DigestSum>::new();
        let mut records = Vec::with_capacity(self.log.len());
        let mut values = Vec::new();
        let mut growth = Growth::default();
        for (key, slot) in self.records {
            let Some(after) = slot.now.filter(|_| slot.writes > 0) else { continue };
            let open = u64::from(is_open_note(&key, &after));
            let was_open = slot.before.as_ref().is_some_and(|before| before.open);
            if key.collection.as_str() == CONFLICTS {
                values.extend(note_values(&key, slot.before.as_ref(), &after, &self.values));
            }
            let row = RecordRow::new(key, after);
            let was = slot.before.as_ref().filter(|before| before.alive).map(|before| before.bytes);
            growth.take(&row.key, was, row.record.alive.then_some(row.canonical.len() as u64));
            let delta = changed.entry(bucket_of(&row.key)).or_default();
            if let Some(before) = &slot.before {
                delta.subtract(before.digest);
                scope.digest.subtract(before.digest);
                if before.alive {
                    scope.records = scope.records.saturating_sub(1);
                    scope.bytes = scope.bytes.saturating_sub(before.bytes);
                } else {
                    scope.tombstones = scope.tombstones.saturating_sub(1);
                }
            }
            delta.add(row.digest);
            scope.digest.add(row.digest);
            if row.record.alive {
                scope.records += 1;
                scope.bytes += row.canonical.len() as u64;
            } else {
                scope.tombstones += 1;
            }
            scope.conflicts = (scope.conflicts + open).saturating_sub(u64::from(was_open));
            records.push(row);
        }
        let buckets = add_to_buckets(self.tx, changed)?;
        let usage = growth.usage(self.tx)?;
        let batch = ScopeBatch { records, log: self.log, commit, buckets, values, usage, ..ScopeBatch::new(scope) };
        Ok(Finished { batch, growth, tx: self.tx })
    }
}

/// What becomes of the values of a note that was written: those to which it refers no more go, all of them with the note.
fn note_values(
    key: &RecordKey,
    before: Option<&Before>,
    after: &StoredRecord,
    at_hand: &BTreeMap<String, Value>,
) -> Option<NoteValues> {
    let none = BTreeSet::new();
    let (had, kept) = (before.map_or(&none, |before| &before.referred), names(key, after));
    let fresh = kept.difference(had).filter_map(|hash| Some((hash.clone(), canonical_text(at_hand.get(hash)?))));
    let fresh: Vec<_> = fresh.collect();
    (*had != kept).then(|| NoteValues { note: key.record.clone(), kept, fresh })
}

/// The hashes of the values that a note refers to.
fn names(key: &RecordKey, record: &StoredRecord) -> BTreeSet<String> {
    let note = record.alive && key.collection.as_str() == CONFLICTS;
    let referred = if note { referred(&record.doc) } else { Vec::new() };
    referred.into_iter().map(|referred| referred.sha256.to_owned()).collect()
}

/// The present sums plus what changed.
fn add_to_buckets(tx: &mut dyn ScopeTx, changed: BTreeMap<u8, DigestSum>) -> Result<Vec<(u8, DigestSum)>, StoreError> {
    let wanted: BTreeSet<u8> = changed.keys().copied().collect();
    let present = tx.buckets(&wanted)?;
    let sum = |(bucket, delta)| {
        let mut sum: DigestSum = present.get(&bucket).copied().unwrap_or_default();
        sum.add(delta);
        (bucket, sum)
    };
    Ok(changed.into_iter().map(sum).collect())
}
