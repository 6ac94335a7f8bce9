//! A push's effects before they are written: the scope as it will be, with a way back for a group that is refused.

use std::collections::{BTreeMap, BTreeSet};

use unisono::clock::Stamp;
use unisono::merge::{CONFLICTS, Decision, LoggedWrite, StoredRecord, referred, relevant, values_of};
use unisono::model::{DeviceId, DigestSum, EventId, RecordKey, Revision, Value, bucket_of, value};

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
    /// The records that the last unit changed, as they were before it, to be put back if it is refused.
    undo: BTreeMap<RecordKey, Option<StoredRecord>>,
    histories: BTreeMap<RecordKey, History>,
    /// Values by hash, to which notes may refer.
    values: BTreeMap<String, Value>,
}

/// A record before and after.
struct Slot {
    before: Option<RecordRow>,
    /// `None` while it is as before.
    after: Option<StoredRecord>,
}

impl Slot {
    fn now(&self) -> Option<&StoredRecord> {
        self.after.as_ref().or(self.before.as_ref().map(|row| &row.record))
    }
}

/// Relevant writes to one record, as far as they were read: events of one push mostly share their base.
struct History {
    /// Writes above this revision are held …
    from: Revision,
    /// … up to this one.
    up_to: Revision,
    writes: Vec<LoggedWrite>,
}

/// A place to come back to.
pub(super) struct Mark {
    revision: Revision,
    highest: Option<Stamp>,
    log: usize,
}

impl<'t> Draft<'t> {
    /// A draft on `scope`, with the rows that the push will surely need.
    pub(super) fn new(
        tx: &'t mut dyn ScopeTx,
        scope: ScopeRow,
        keys: &[RecordKey],
        events: &[EventId],
    ) -> Result<Self, StoreError> {
        let found = tx.records(keys)?;
        let records = keys.iter().cloned().zip(found.into_iter().map(|before| Slot { before, after: None })).collect();
        let settled = events.iter().cloned().zip(tx.settled(events)?).collect();
        let start = scope.revision;
        Ok(Self {
            tx,
            scope,
            start,
            records,
            settled,
            log: Vec::new(),
            undo: BTreeMap::new(),
            histories: BTreeMap::new(),
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
        if !self.records.contains_key(key) {
            let before = self.tx.records(std::slice::from_ref(key))?.pop().flatten();
            self.records.insert(key.clone(), Slot { before, after: None });
        }
        Ok(self.records.get(key).and_then(Slot::now))
    }

    /// Writes to the record after `base` that matter to one of `device`, ascending.
    pub(super) fn unseen(
        &mut self,
        key: &RecordKey,
        base: Revision,
        device: &DeviceId,
    ) -> Result<Vec<LoggedWrite>, StoreError> {
        let newest = self.record(key)?.map_or(0, |record| record.revision);
        if newest <= base {
            return Ok(Vec::new());
        }
        let known = self.histories.remove(key).filter(|history| history.from <= base);
        let mut history = known.unwrap_or(History { from: base, up_to: base, writes: Vec::new() });
        let mut fresh = Vec::new();
        let mut at = newest;
        while at > history.up_to {
            let Some(write) = self.logged(at)? else { break };
            at = write.previous;
            if relevant(&write, device) {
                fresh.push(write);
            }
        }
        history.writes.extend(fresh.into_iter().rev());
        history.up_to = newest;
        let begin = history.writes.partition_point(|write| write.revision <= base);
        let unseen = history.writes[begin..].to_vec();
        self.histories.insert(key.clone(), history);
        Ok(unseen)
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
    pub(super) fn stage(&mut self, key: RecordKey, record: StoredRecord, mut row: LogRow) {
        self.scope.revision = record.revision;
        // The row comes with its event's newest stamp, and keeps the scope's.
        match &self.scope.highest {
            Some(highest) if *highest >= row.highest => row.highest = highest.clone(),
            _ => self.scope.highest = Some(row.highest.clone()),
        }
        self.log.push(row);
        let slot = self.records.entry(key.clone()).or_insert(Slot { before: None, after: None });
        let before = slot.after.replace(record);
        // A unit that writes a record again and again goes back to where it began: one state is kept, not one per write.
        self.undo.entry(key).or_insert(before);
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
        for (key, after) in std::mem::take(&mut self.undo) {
            self.histories.remove(&key);
            if let Some(slot) = self.records.get_mut(&key) {
                slot.after = after;
            }
        }
    }

    /// The transaction, for reads that are not about records.
    pub(super) fn tx(&mut self) -> &mut dyn ScopeTx {
        self.tx
    }

    /// Ends the draft: what is to be written, with totals and digests brought up to date. `commit` tells nonce and time.
    pub(super) fn finish(self, commit: Option<CommitRow>) -> Result<(ScopeBatch, &'t mut dyn ScopeTx), StoreError> {
        let mut scope = self.scope;
        let mut changed = BTreeMap::<u8, DigestSum>::new();
        let mut records = Vec::with_capacity(self.log.len());
        let mut values = Vec::new();
        for (key, slot) in self.records {
            let Some(after) = slot.after else { continue };
            let open = u64::from(is_open_note(&key, &after));
            let was_open = slot.before.as_ref().is_some_and(|row| is_open_note(&key, &row.record));
            if key.collection.as_str() == CONFLICTS {
                values.extend(note_values(&key, slot.before.as_ref(), &after, &self.values));
            }
            let row = RecordRow::new(key, after);
            let delta = changed.entry(bucket_of(&row.key)).or_default();
            if let Some(before) = &slot.before {
                delta.subtract(before.digest);
                scope.digest.subtract(before.digest);
                if before.record.alive {
                    scope.records = scope.records.saturating_sub(1);
                    scope.bytes = scope.bytes.saturating_sub(before.canonical.len() as u64);
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
        let batch = ScopeBatch { records, log: self.log, commit, buckets, values, ..ScopeBatch::new(scope) };
        Ok((batch, self.tx))
    }
}

/// What becomes of the values of a note that was written: those to which it refers no more go, all of them with the note.
fn note_values(
    key: &RecordKey,
    before: Option<&RecordRow>,
    after: &StoredRecord,
    at_hand: &BTreeMap<String, Value>,
) -> Option<NoteValues> {
    let names = |record: &StoredRecord| -> BTreeSet<String> {
        let referred = if record.alive { referred(&record.doc) } else { Vec::new() };
        referred.into_iter().map(|referred| referred.sha256.to_owned()).collect()
    };
    let (had, kept) = (before.map(|row| names(&row.record)).unwrap_or_default(), names(after));
    let fresh = kept.difference(&had).filter_map(|hash| Some((hash.clone(), canonical_text(at_hand.get(hash)?))));
    let fresh: Vec<_> = fresh.collect();
    (had != kept).then(|| NoteValues { note: key.record.clone(), kept, fresh })
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
