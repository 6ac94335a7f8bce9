//! The server's half: an event meets a record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::clocks::{LeafClock, LeafClocks};
use super::fields::Fields;
use super::notes::{Decision, Rule, Side};
use super::record::StoredRecord;
use crate::model::{
    Author, DeviceId, Mode, Op, OpKind, Pointer, Policy, ReceiptStatus, Revision, SyncAction, SyncEvent, TextEdit,
    Value, leaves_of,
};

/// An event on its way into a record: admitted, lifted, with its writer.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// The event, with effective stamps.
    pub event: &'a SyncEvent,
    /// The account and the pushing device.
    pub author: &'a Author,
    /// The device's push_seq.
    pub push_seq: u64,
    /// The event's position in the push.
    pub position: u32,
    /// The revision that it will have if it takes effect.
    pub revision: Revision,
    /// The newest revision of a tombstone that the scope has dropped; 0 if it has dropped none.
    pub horizon: Revision,
}

/// An event that took effect, as the log keeps it: enough for an exact replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoggedWrite {
    /// The event, with effective stamps.
    pub event: SyncEvent,
    /// The account and the pushing device.
    pub by: Author,
    /// The device's push_seq.
    pub push_seq: u64,
    /// The event's position in the push.
    pub position: u32,
    /// Its revision.
    pub revision: Revision,
    /// The record's revision before it.
    pub previous: Revision,
    /// Text edits as applied (the event holds them as sent), where they differ.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub applied_edits: BTreeMap<Pointer, TextEdit>,
    /// The conflicts that it decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<Decision>,
}

/// What a merge makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// `applied`, `merged` or `superseded`.
    pub status: ReceiptStatus,
    /// The record afterwards, with the write's revision. (A superseded event changes no leaf, but is recorded too.)
    pub record: StoredRecord,
    /// The conflicts that were decided, for the notes.
    pub decisions: Vec<Decision>,
    /// Per text path, the edit from the writer's text to the merged one.
    pub rebase: BTreeMap<Pointer, TextEdit>,
    /// Text edits as applied, where they differ from those sent.
    pub applied_edits: BTreeMap<Pointer, TextEdit>,
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

/// Merges a write into a record.
///
/// `unseen` is the log of this record's writes with revisions above the lowest base in the event, by ascending revision, as
/// far as they are [`relevant`]; the merge picks from it what each leaf needs. Pure and total: the same arguments give the
/// same result, and no argument panics.
///
/// # Errors
/// A [`Refusal`], with nothing changed.
pub fn merge(record: Option<&StoredRecord>, unseen: &[LoggedWrite], write: &Write<'_>) -> Result<Merged, Refusal> {
    let foreign: Vec<&LoggedWrite> = unseen.iter().filter(|logged| logged.by.device != write.author.device).collect();
    if write.event.mode == Mode::Strict && strict_conflict(record, &foreign, write) {
        return Err(Refusal::Conflict);
    }
    let made_here = unseen.iter().rfind(|logged| logged.makes_with(&write.author.device)).map(|made| made.revision);
    let meeting = Meeting { foreign: &foreign, made_here, write };
    let mut merged = match write.event.action {
        SyncAction::Create => meeting.create(record)?,
        SyncAction::Update => meeting.update(record)?,
        SyncAction::Delete => meeting.delete(record),
    };
    if write.event.collection.is_reserved() {
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

impl LoggedWrite {
    /// Whether nothing that it wrote at `path`, or with `None` its document, had an effect: it met a delete, or a newer parent. (An
    /// assignment that lost to another one says nothing of an increment beside it.)
    pub(super) fn lost(&self, path: Option<&Pointer>) -> bool {
        self.decisions.iter().any(|decision| {
            let whole = matches!(decision.rule, Rule::Delete | Rule::Parent);
            whole && decision.path.as_ref() == path && decision.loser.revision == self.revision
        })
    }

    /// Whether `device` made the record with this.
    fn makes_with(&self, device: &DeviceId) -> bool {
        self.event.action == SyncAction::Create && self.by.device == *device
    }
}

impl Write<'_> {
    /// The clock that a part of this write with `op`'s stamp leaves behind.
    pub(super) fn clock(&self, op: Option<&Op>) -> LeafClock {
        LeafClock {
            revision: self.revision,
            stamp: op.map_or(&self.event.stamp, |op| self.event.stamp_of(op)).clone(),
            user: self.author.user.clone(),
            device: self.author.device.clone(),
            push_seq: self.push_seq,
            position: self.position,
        }
    }

    /// Whether the writer had seen the write that left `clock`: it is in its base, or it is its own earlier write.
    pub(super) fn has_seen(&self, clock: &LeafClock, base: Revision) -> bool {
        clock.revision <= base
            || (clock.device == self.author.device
                && (clock.push_seq, clock.position) <= (self.push_seq, self.position))
    }

    fn side(&self, value: Option<Value>) -> Side {
        Side { value, stamp: self.event.stamp.clone(), by: self.author.clone(), revision: self.revision }
    }
}

impl LeafClock {
    pub(super) fn side(&self, value: Option<Value>) -> Side {
        Side {
            value,
            stamp: self.stamp.clone(),
            by: Author { user: self.user.clone(), device: self.device.clone() },
            revision: self.revision,
        }
    }
}

/// Whether something that a strict event touches was changed after its base by another writer.
fn strict_conflict(record: Option<&StoredRecord>, foreign: &[&LoggedWrite], write: &Write<'_>) -> bool {
    let event = write.event;
    let touches = |logged: &LoggedWrite| match (event.action, logged.event.action) {
        (SyncAction::Update, SyncAction::Update) => event.ops.iter().any(|op| {
            logged.revision > event.base_of(op) && logged.event.ops.iter().any(|other| other.path.overlaps(&op.path))
        }),
        // A create or a delete touches every leaf: it must be in sight of all operations.
        _ => true,
    };
    let gone = match (record, event.action) {
        (None, action) => action != SyncAction::Create,
        (Some(record), SyncAction::Create) => record.alive,
        (Some(record), _) => !record.alive,
    };
    gone || foreign.iter().any(|logged| touches(logged))
}

/// A write and what came after the lowest base in the event.
struct Meeting<'a> {
    /// What its writer had not seen: others' writes.
    foreign: &'a [&'a LoggedWrite],
    /// The last one with which its own device made the record.
    made_here: Option<Revision>,
    write: &'a Write<'a>,
}

impl Meeting<'_> {
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
        record.floor_clock.is_none() && self.base() < record.floor && self.made_here.is_none_or(|at| at <= record.floor)
    }

    fn create(&self, record: Option<&StoredRecord>) -> Result<Merged, Refusal> {
        let event = self.write.event;
        let doc = event.doc.clone().unwrap_or_default();
        let Some(record) = record else { return self.fresh(doc, None) };
        if let Some(delete) = self.unseen_delete(record) {
            if !self.survives(record) {
                return Ok(self.met_delete(Some(record), delete.side(None)));
            }
        } else if !record.alive {
            // Revived, with its own fields only.
            return self.fresh(doc, Some(record));
        }
        let mut fields = Fields::new(record, self.foreign, self.write, Rule::Create);
        let clock = self.write.clock(None);
        for (path, value) in leaves_of(&doc) {
            fields.assign(&path, Some(value), &clock, event.base)?;
        }
        self.finish(record, fields)
    }

    fn fresh(&self, doc: Value, former: Option<&StoredRecord>) -> Result<Merged, Refusal> {
        // Where no delete is remembered, any up to the horizon may be forgotten.
        let deleted = former.filter(|record| record.floor_clock.is_some());
        let record = StoredRecord {
            doc,
            alive: true,
            revision: self.write.revision,
            floor: deleted.map_or(self.write.horizon, |record| record.floor),
            floor_clock: deleted.and_then(|record| record.floor_clock.clone()),
            floor_yields: deleted.is_some_and(|record| record.floor_yields),
            clocks: LeafClocks { common: Some(self.write.clock(None)), ..LeafClocks::default() },
            stamp: self.write.event.stamp.clone(),
            by: self.write.author.clone(),
            schema: self.write.event.schema,
            group: self.write.event.group.clone(),
        };
        let fields = Fields::new(&record, self.foreign, self.write, Rule::Stamp);
        self.finish(&record, fields)
    }

    fn update(&self, record: Option<&StoredRecord>) -> Result<Merged, Refusal> {
        let Some(record) = record else { return Ok(self.met_delete(None, self.forgotten_delete())) };
        let meets_delete = !record.alive || self.unseen_delete(record).is_some() || self.of_forgotten_life(record);
        let delete = || record.floor_clock.as_ref().map_or_else(|| self.forgotten_delete(), |delete| delete.side(None));
        if meets_delete && !self.survives(record) {
            return Ok(self.met_delete(Some(record), delete()));
        }
        let mut fields = Fields::new(record, self.foreign, self.write, Rule::Stamp);
        if meets_delete {
            let winner = self.write.side(Some(record.doc.clone()));
            let loser = delete();
            fields.note(Decision { path: None, winner, loser, rule: Rule::Delete, base: None });
        }
        self.finish(record, fields)
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

    /// Applies the event's operations and sums up.
    fn finish(&self, record: &StoredRecord, mut fields: Fields<'_>) -> Result<Merged, Refusal> {
        let event = self.write.event;
        for op in &event.ops {
            let (clock, base) = (self.write.clock(Some(op)), event.base_of(op));
            match &op.kind {
                OpKind::Set { value } => fields.assign(&op.path, Some(value.clone()), &clock, base)?,
                OpKind::Unset => fields.assign(&op.path, None, &clock, base)?,
                OpKind::Inc { by } => fields.increment(&op.path, *by, &clock, base)?,
                OpKind::Add { values } => fields.elements(&op.path, values, true, &clock, base)?,
                OpKind::Remove { values } => fields.elements(&op.path, values, false, &clock, base)?,
                OpKind::Text { edit } => fields.text(&op.path, edit, &clock, base)?,
            }
        }
        let outcome = fields.finish();
        let took_effect = outcome.took_effect || outcome.lost == 0;
        let status = match (took_effect, outcome.concurrent || !outcome.decisions.is_empty()) {
            (false, _) => ReceiptStatus::Superseded,
            (true, true) => ReceiptStatus::Merged,
            (true, false) => ReceiptStatus::Applied,
        };
        let mut next = StoredRecord { revision: self.write.revision, alive: true, ..record.clone() };
        if status != ReceiptStatus::Superseded {
            (next.doc, next.clocks) = (outcome.doc, outcome.clocks);
            self.sign(&mut next);
        }
        Ok(Merged {
            status,
            record: next,
            decisions: outcome.decisions,
            rebase: BTreeMap::new(),
            applied_edits: BTreeMap::new(),
        })
    }

    /// The record's present state is this event's.
    fn sign(&self, record: &mut StoredRecord) {
        record.stamp = self.write.event.stamp.clone();
        record.by = self.write.author.clone();
        record.schema = self.write.event.schema;
        record.group = self.write.event.group.clone();
    }

    /// The write changes nothing, because its record is deleted; its values are noted.
    fn met_delete(&self, record: Option<&StoredRecord>, winner: Side) -> Merged {
        let event = self.write.event;
        let lost = |path: Option<Pointer>, value: Option<Value>, stamp| Decision {
            base: match (&path, record) {
                (Some(path), Some(record)) => path.find(&record.doc).cloned(),
                _ => None,
            },
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
        let next = match record {
            Some(record) => StoredRecord { revision: self.write.revision, ..record.clone() },
            None => StoredRecord {
                doc: Value::Object(serde_json::Map::new()),
                alive: false,
                revision: self.write.revision,
                floor: 0,
                floor_clock: None,
                floor_yields: false,
                clocks: LeafClocks::default(),
                stamp: event.stamp.clone(),
                by: self.write.author.clone(),
                schema: event.schema,
                group: event.group.clone(),
            },
        };
        Merged {
            status: ReceiptStatus::Superseded,
            record: next,
            decisions,
            rebase: BTreeMap::new(),
            applied_edits: BTreeMap::new(),
        }
    }

    fn delete(&self, record: Option<&StoredRecord>) -> Merged {
        let clock = self.write.clock(None);
        let yields = self.write.event.policy() == Policy::UpdateWins;
        // Writes that the deleting user had not seen, of the record's present life.
        let met: Vec<_> = self
            .foreign
            .iter()
            .filter(|logged| logged.event.action != SyncAction::Delete)
            .filter(|logged| record.is_some_and(|record| record.alive && logged.revision > record.floor))
            .collect();
        let kept = met.iter().any(|logged| yields || logged.event.policy() == Policy::UpdateWins);
        let mut decisions = Vec::new();
        let mut next = match record {
            Some(record) => StoredRecord { revision: self.write.revision, ..record.clone() },
            None => self.met_delete(None, self.write.side(None)).record,
        };
        let doc = next.doc.clone();
        for logged in &met {
            let side = |value| Side {
                value,
                stamp: logged.event.stamp.clone(),
                by: logged.by.clone(),
                revision: logged.revision,
            };
            if kept {
                decisions.push(Decision {
                    path: None,
                    winner: side(Some(doc.clone())),
                    loser: self.write.side(None),
                    rule: Rule::Delete,
                    base: None,
                });
                break;
            }
            let lost = |path: Option<Pointer>, value| Decision {
                path,
                winner: self.write.side(None),
                loser: side(value),
                rule: Rule::Delete,
                base: None,
            };
            if logged.event.action == SyncAction::Create {
                decisions.push(lost(None, Some(doc.clone())));
            }
            for op in &logged.event.ops {
                // What the leaf had come to; an increment or an element says little by itself.
                let value = op.path.find(&doc).cloned().or_else(|| value_of(&op.kind));
                decisions.push(lost(Some(op.path.clone()), value));
            }
        }
        let status = match (kept, met.is_empty()) {
            (true, _) => ReceiptStatus::Superseded,
            (false, true) => ReceiptStatus::Applied,
            (false, false) => ReceiptStatus::Merged,
        };
        if !kept {
            next.alive = false;
            next.floor = self.write.revision;
            next.floor_clock = Some(clock);
            next.floor_yields = yields;
            self.sign(&mut next);
        }
        Merged { status, record: next, decisions, rebase: BTreeMap::new(), applied_edits: BTreeMap::new() }
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
