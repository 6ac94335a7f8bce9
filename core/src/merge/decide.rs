//! The server's half: an event meets a record.

use std::collections::{BTreeMap, BTreeSet};

use super::CONFLICTS;
use super::body::{Body, Undo};
use super::clocks::{LeafClock, LeafClocks};
use super::fields::{Fields, FieldsOutcome};
use super::history::History;
use super::notes::{Decision, Rule, Side};
use super::record::StoredRecord;
use super::write::{LoggedWrite, Trace, Write};
use crate::limits::MAX_NOTE_VALUE_BYTES;
use crate::model::pointer::overlapping;
use crate::model::{
    Author, DeviceId, Mode, OpKind, Pointer, Policy, ReceiptStatus, Revision, SyncAction, SyncEvent, TextEdit, Value,
    leaves_of,
};

/// What a merge made of a record.
#[derive(Debug)]
pub struct Merged {
    /// `applied`, `merged` or `superseded`.
    pub status: ReceiptStatus,
    /// The conflicts that were decided, for the notes.
    pub decisions: Vec<Decision>,
    /// Per text path, the edit from the writer's text to the merged one.
    pub rebase: BTreeMap<Pointer, TextEdit>,
    /// Text edits as applied, where they differ from those sent.
    pub applied_edits: BTreeMap<Pointer, TextEdit>,
    /// What the log keeps of the write's effect.
    pub trace: Trace,
    /// The document is what [`apply_event`](super::apply_event) makes of the one before: a replica that had that one has this.
    pub as_applied: bool,
    /// By how many canonical bytes the document has grown; `None` where it is another one.
    pub growth: Option<i64>,
    /// The way back.
    pub undo: Undo,
}

/// Why an event takes no effect at all. Not an error of the caller: a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Strict, and something it touches was changed after its base by another writer.
    Conflict,
    /// Can never be applied: `type_mismatch` and its like.
    Rejected {
        /// The stable code.
        code: &'static str,
        /// In words.
        message: String,
    },
}

/// Merges a write into a record. Afterwards `record` has the write's revision; a superseded event changes nothing else of it. A
/// refused write changes nothing at all.
///
/// `history` holds this record's writes with revisions above the lowest base in the event, as far as they are [`relevant`], and
/// may hold more; the merge picks from it what each leaf needs. Total, and a function: the same arguments give the same result,
/// and no argument panics. It costs what the event touches: neither the record's size nor its past counts.
///
/// # Errors
/// A [`Refusal`].
pub fn merge(record: &mut Option<StoredRecord>, history: &History, write: &Write<'_>) -> Result<Merged, Refusal> {
    let meeting = Meeting { history, write };
    if write.event.mode == Mode::Strict && meeting.strict_conflict(record.as_ref()) {
        return Err(Refusal::Conflict);
    }
    let mut merged = match write.event.action {
        SyncAction::Create => meeting.create(record)?,
        SyncAction::Update => meeting.update(record)?,
        SyncAction::Delete => meeting.delete(record),
    };
    if write.event.collection.as_str() == CONFLICTS {
        merged.decisions.clear();
    }
    Ok(merged)
}

/// Whether a merge of a write of `device` has use for an earlier one: another device's, or with which `device` itself made
/// the record.
#[must_use]
pub fn relevant(logged: &LoggedWrite, device: &DeviceId) -> bool {
    logged.by.device != *device || logged.makes_with(device)
}

/// A write and what came before it.
struct Meeting<'a> {
    history: &'a History,
    write: &'a Write<'a>,
}

impl Meeting<'_> {
    /// Others' writes that its writer had not seen in full.
    fn foreign(&self) -> impl Iterator<Item = &LoggedWrite> {
        self.history.after(self.base()).iter().filter(|logged| logged.by.device != self.write.author.device)
    }

    /// Whether something that a strict event touches was changed after its base by another writer.
    fn strict_conflict(&self, record: Option<&StoredRecord>) -> bool {
        let event = self.write.event;
        let gone = match (record, event.action) {
            (None, action) => action != SyncAction::Create,
            (Some(record), SyncAction::Create) => record.alive,
            (Some(record), _) => !record.alive,
        };
        let changed = |path: &Pointer, base| self.history.changed(path, &self.write.author.device, base);
        gone || match event.action {
            SyncAction::Update => {
                self.foreign().any(|logged| logged.event.action == SyncAction::Delete)
                    || event.ops.iter().any(|op| changed(&op.path, event.base_of(op)))
            }
            // A create or a delete touches every leaf: it must be in sight of all operations.
            _ => self.foreign().any(LoggedWrite::has_effect),
        }
    }

    /// The lowest base in the event.
    fn base(&self) -> Revision {
        let event = self.write.event;
        event.ops.iter().map(|op| event.base_of(op)).fold(event.base, Revision::min)
    }

    /// The record's last delete, if the writer had not seen it.
    fn unseen_delete<'r>(&self, record: &'r StoredRecord) -> Option<&'r LeafClock> {
        record.floor_clock.as_ref().filter(|delete| !self.write.has_seen(delete, self.base()))
    }

    /// Whether the write is of an earlier life of the record, whose end nobody remembers: its writer had neither seen the
    /// present life, which began above the floor, nor made the record in it.
    fn of_forgotten_life(&self, record: &StoredRecord) -> bool {
        record.floor_clock.is_none()
            && self.base() < record.floor
            && self.made_here().is_none_or(|at| at <= record.floor)
    }

    /// The revision with which the writer's own device last made the record, as far as the history tells.
    fn made_here(&self) -> Option<Revision> {
        let device = &self.write.author.device;
        self.history.after(self.base()).iter().rfind(|logged| logged.makes_with(device)).map(|made| made.revision)
    }

    fn create(&self, slot: &mut Option<StoredRecord>) -> Result<Merged, Refusal> {
        let Some(record) = slot else { return self.fresh(slot) };
        if let Some(delete) = self.unseen_delete(record) {
            if !self.survives(record) {
                let winner = delete.side(None);
                return Ok(self.met_delete(slot, winner));
            }
        } else if !record.alive {
            // Revived, with its own fields only.
            return self.fresh(slot);
        }
        let doc = self.write.event.doc.as_ref();
        self.meet(record, Rule::Create, None, doc.map(leaves_of).unwrap_or_default())
    }

    /// The record as a create makes it, whatever was there.
    fn fresh(&self, slot: &mut Option<StoredRecord>) -> Result<Merged, Refusal> {
        let event = self.write.event;
        // Where no delete is remembered, any up to the horizon may be forgotten.
        let deleted = slot.as_ref().filter(|record| record.floor_clock.is_some());
        let mut record = StoredRecord {
            doc: event.doc.clone().unwrap_or_default(),
            alive: true,
            revision: self.write.revision,
            floor: deleted.map_or(self.write.horizon, |record| record.floor),
            floor_clock: deleted.and_then(|record| record.floor_clock.clone()),
            floor_yields: deleted.is_some_and(|record| record.floor_yields),
            clocks: LeafClocks { common: Some(self.write.clock(None)), ..LeafClocks::default() },
            stamp: event.stamp.clone(),
            by: self.write.author.clone(),
            schema: event.schema,
            group: event.group.clone(),
        };
        let merged = self.meet(&mut record, Rule::Stamp, None, Vec::new())?;
        let former = slot.replace(record);
        Ok(Merged { growth: None, undo: Undo::whole(former), ..merged })
    }

    fn update(&self, slot: &mut Option<StoredRecord>) -> Result<Merged, Refusal> {
        let Some(record) = slot else { return Ok(self.met_delete(slot, self.forgotten_delete())) };
        let meets_delete = !record.alive || self.unseen_delete(record).is_some() || self.of_forgotten_life(record);
        if !meets_delete {
            return self.meet(record, Rule::Stamp, None, Vec::new());
        }
        let delete = record.floor_clock.as_ref().map_or_else(|| self.forgotten_delete(), |delete| delete.side(None));
        if !self.survives(record) {
            return Ok(self.met_delete(slot, delete));
        }
        let winner = self.write.side(Some(record.doc.clone()));
        let met = Decision { path: None, winner, loser: delete, rule: Rule::Delete, base: None };
        self.meet(record, Rule::Stamp, Some(met), Vec::new())
    }

    /// A delete so long ago that nothing is known of it, or none: the record was never there.
    fn forgotten_delete(&self) -> Side {
        let nobody = Author { user: String::new(), ..self.write.author.clone() };
        Side { by: nobody, revision: 0, ..self.write.side(None) }
    }

    /// Whether the record outlives the delete that this write had not seen: `update_wins` on either side.
    fn survives(&self, record: &StoredRecord) -> bool {
        self.write.event.policy() == Policy::UpdateWins || (record.floor_yields && record.floor > self.base())
    }

    /// Applies to a record that lives, or lives again, the leaves of a create and the event's operations, and sums up. `met` is
    /// what was decided before.
    fn meet(
        &self,
        record: &mut StoredRecord,
        rule: Rule,
        met: Option<Decision>,
        leaves: Vec<(Pointer, Value)>,
    ) -> Result<Merged, Refusal> {
        let made = leaves.len();
        let mut body = Body::new(std::mem::take(&mut record.doc), std::mem::take(&mut record.clocks));
        let operated = self.operate(&mut body, record.floor, rule, met, leaves);
        let lost_all = |outcome: &FieldsOutcome| !outcome.took_effect && !outcome.lost.is_empty();
        if !operated.as_ref().is_ok_and(|outcome| !lost_all(outcome)) {
            body.take_back();
        }
        let operated = operated.map(|outcome| {
            let superseded = lost_all(&outcome);
            let forgot = !superseded && body.collect(self.write.forgets);
            (outcome, superseded, forgot, body.growth(), body.replaced(MAX_NOTE_VALUE_BYTES))
        });
        let (doc, clocks, steps) = body.into_parts();
        (record.doc, record.clocks) = (doc, clocks);
        let (outcome, superseded, forgot, growth, replaced) = operated?;

        let former = self.head(record);
        record.revision = self.write.revision;
        record.alive = true;
        if !superseded {
            self.sign(record);
        }
        let status = match (superseded, outcome.concurrent || !outcome.decisions.is_empty()) {
            (true, _) => ReceiptStatus::Superseded,
            (false, true) => ReceiptStatus::Merged,
            (false, false) => ReceiptStatus::Applied,
        };
        let trace = Trace { lost: outcome.lost, replaced, forgot: if forgot { self.write.forgets } else { 0 } };
        Ok(Merged {
            trace,
            as_applied: outcome.as_applied && status == ReceiptStatus::Applied && made == 0,
            growth: Some(growth),
            ..plain(status, outcome.decisions, Undo::new(Some(former), steps))
        })
    }

    fn operate(
        &self,
        body: &mut Body,
        floor: Revision,
        rule: Rule,
        met: Option<Decision>,
        leaves: Vec<(Pointer, Value)>,
    ) -> Result<FieldsOutcome, Refusal> {
        let event = self.write.event;
        let mut fields = Fields::new(body, floor, self.history, self.write, rule);
        if let Some(met) = met {
            fields.note(met);
        }
        let clock = self.write.clock(None);
        for (path, value) in leaves {
            fields.make(&path, value, &clock, event.base)?;
        }
        let replaced = replaced_within(event);
        for (number, op) in event.ops.iter().enumerate() {
            if !replaced.contains_key(&number) {
                fields.operate(number, op)?;
            }
        }
        let mut outcome = fields.finish();
        let lost: BTreeSet<u32> = outcome.lost.iter().copied().collect();
        let with =
            replaced.iter().filter_map(|(number, by)| Some((u32::try_from(*number).ok()?, u32::try_from(*by).ok()?)));
        outcome.lost.extend(with.filter(|(_, by)| lost.contains(by)).map(|(number, _)| number));
        outcome.lost.sort_unstable();
        Ok(outcome)
    }

    /// What is to be restored of a record beside its document and its clocks.
    fn head(&self, record: &StoredRecord) -> StoredRecord {
        StoredRecord {
            doc: Value::Null,
            alive: record.alive,
            revision: record.revision,
            floor: record.floor,
            floor_clock: record.floor_clock.clone(),
            floor_yields: record.floor_yields,
            clocks: LeafClocks::default(),
            stamp: record.stamp.clone(),
            by: record.by.clone(),
            schema: record.schema,
            group: record.group.clone(),
        }
    }

    /// The record's present state is this event's.
    fn sign(&self, record: &mut StoredRecord) {
        record.stamp = self.write.event.stamp.clone();
        record.by = self.write.author.clone();
        record.schema = self.write.event.schema;
        record.group = self.write.event.group.clone();
    }

    /// The write changes nothing, because its record is deleted; its values are noted.
    fn met_delete(&self, slot: &mut Option<StoredRecord>, winner: Side) -> Merged {
        let event = self.write.event;
        let doc = slot.as_ref().map(|record| &record.doc);
        let lost = |path: Option<Pointer>, value: Option<Value>, stamp| Decision {
            base: path.as_ref().zip(doc).and_then(|(path, doc)| path.find(doc).cloned()),
            path,
            winner: winner.clone(),
            loser: Side { stamp, ..self.write.side(value) },
            rule: Rule::Delete,
        };
        let mut decisions: Vec<_> =
            event.doc.iter().map(|doc| lost(None, Some(doc.clone()), event.stamp.clone())).collect();
        decisions.extend(
            event.ops.iter().map(|op| lost(Some(op.path.clone()), value_of(&op.kind), event.stamp_of(op).clone())),
        );
        let undo = self.touch(slot);
        let all = 0..u32::try_from(event.ops.len()).unwrap_or(u32::MAX);
        let trace = Trace { lost: all.collect(), ..Trace::default() };
        Merged { trace, ..plain(ReceiptStatus::Superseded, decisions, undo) }
    }

    /// Gives the record the write's revision; makes a tombstone where there was nothing.
    fn touch(&self, slot: &mut Option<StoredRecord>) -> Undo {
        let event = self.write.event;
        let former = slot.as_ref().map(|record| self.head(record));
        let record = slot.get_or_insert_with(|| StoredRecord {
            doc: Value::Object(serde_json::Map::new()),
            alive: false,
            revision: 0,
            floor: 0,
            floor_clock: None,
            floor_yields: false,
            clocks: LeafClocks::default(),
            stamp: event.stamp.clone(),
            by: self.write.author.clone(),
            schema: event.schema,
            group: event.group.clone(),
        });
        record.revision = self.write.revision;
        Undo::new(former, Vec::new())
    }

    fn delete(&self, slot: &mut Option<StoredRecord>) -> Merged {
        let yields = self.write.event.policy() == Policy::UpdateWins;
        // Writes that the deleting user had not seen, of the record's present life.
        let floor = slot.as_ref().filter(|record| record.alive).map_or(Revision::MAX, |record| record.floor);
        let met: Vec<_> = self
            .foreign()
            .filter(|logged| logged.event.action != SyncAction::Delete && logged.revision > floor)
            .collect();
        let keeps = |logged: &&LoggedWrite| yields || logged.event.policy() == Policy::UpdateWins;
        let kept = met.iter().any(keeps).then(|| met[0]);
        // What had no effect is in the inbox since then.
        let taken: Vec<_> = met.iter().filter(|logged| logged.has_effect()).collect();
        let decisions = match (slot.as_ref(), kept) {
            (Some(record), Some(first)) => vec![self.lost_delete(&record.doc, first)],
            (Some(record), None) => taken.iter().flat_map(|logged| self.deleted(&record.doc, logged)).collect(),
            (None, _) => Vec::new(),
        };
        let undo = self.touch(slot);
        if let (Some(record), None) = (slot, kept) {
            record.alive = false;
            record.floor = self.write.revision;
            record.floor_clock = Some(self.write.clock(None));
            record.floor_yields = yields;
            self.sign(record);
        }
        let status = match (kept.is_some(), taken.is_empty()) {
            (true, _) => ReceiptStatus::Superseded,
            (false, true) => ReceiptStatus::Applied,
            (false, false) => ReceiptStatus::Merged,
        };
        plain(status, decisions, undo)
    }

    /// An update outlives this delete.
    fn lost_delete(&self, doc: &Value, update: &LoggedWrite) -> Decision {
        let (winner, loser) = (update.side(Some(doc.clone())), self.write.side(None));
        Decision { path: None, winner, loser, rule: Rule::Delete, base: None }
    }

    /// What this delete takes away of another's write.
    fn deleted(&self, doc: &Value, logged: &LoggedWrite) -> Vec<Decision> {
        let lost = |path: Option<Pointer>, value| Decision {
            base: path.as_ref().and_then(|path| logged.replaced_at(path)),
            path,
            winner: self.write.side(None),
            loser: logged.side(value),
            rule: Rule::Delete,
        };
        let made = (logged.event.action == SyncAction::Create).then(|| lost(None, Some(doc.clone())));
        let ops = logged.event.ops.iter().map(|op| {
            // What the leaf had come to; an increment or an element says little by itself.
            lost(Some(op.path.clone()), op.path.find(doc).cloned().or_else(|| value_of(&op.kind)))
        });
        made.into_iter().chain(ops).collect()
    }
}

/// The assignments that a later one of the event takes the place of, with nothing between them that touches theirs, and by
/// which: the later one decides for both. (None that a removal replaces: it leaves the parents that the first one has made.)
fn replaced_within(event: &SyncEvent) -> BTreeMap<usize, usize> {
    let mut replaced = BTreeMap::new();
    let mut later: BTreeMap<Pointer, usize> = BTreeMap::new();
    for (number, op) in event.ops.iter().enumerate().rev() {
        let assigns = matches!(op.kind, OpKind::Set { .. } | OpKind::Unset);
        let by =
            later.get(&op.path).copied().filter(|by| assigns && event.base_of(&event.ops[*by]) == event.base_of(op));
        for place in overlapping(&later, &op.path) {
            later.remove(&place);
        }
        if let Some(by) = by {
            replaced.insert(number, by);
            later.insert(op.path.clone(), by);
        } else if matches!(op.kind, OpKind::Set { .. }) {
            later.insert(op.path.clone(), number);
        }
    }
    replaced
}

fn plain(status: ReceiptStatus, decisions: Vec<Decision>, undo: Undo) -> Merged {
    Merged {
        status,
        decisions,
        rebase: BTreeMap::new(),
        applied_edits: BTreeMap::new(),
        trace: Trace::default(),
        as_applied: status == ReceiptStatus::Applied,
        growth: Some(0),
        undo,
    }
}

/// What an operation would have written, for the inbox.
pub(super) fn value_of(kind: &OpKind) -> Option<Value> {
    match kind {
        OpKind::Set { value } => Some(value.clone()),
        OpKind::Unset => None,
        OpKind::Inc { by } => Some(serde_json::json!({"inc": by})),
        OpKind::Add { values } => Some(serde_json::json!({"add": values})),
        OpKind::Remove { values } => Some(serde_json::json!({"remove": values})),
        OpKind::Text { edit } => Some(serde_json::json!({"text": edit})),
    }
}
