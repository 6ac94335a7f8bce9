//! The verdicts: each event of a push, in order, meets the draft of its scope.

use std::collections::{BTreeMap, BTreeSet};

use unisono::clock::Stamp;
use unisono::environment::Environment;
use unisono::error::InvalidCode;
use unisono::limits::MAX_DOCUMENT_BYTES;
use unisono::merge::{CONFLICTS, Decision, Lift, LoggedWrite, Merged, Refusal, Trace, Undo, Write, lift, newest_stamp};
use unisono::model::{Author, EventId, Receipt, ReceiptStatus, RecordKey, Revision, SyncEvent};

use super::draft::{Draft, Effect};
use super::effect::{effect, highest_base, lowest_base, note_record};
use super::inbox::{check_collection, fold, note_event, note_key, notes_of, server_author};
use super::intake::{Fault, Intake};
use crate::store::{LogRow, StoreError};

/// Judges one push.
pub(super) struct Judge<'j, 't> {
    pub(super) draft: Draft<'t>,
    environment: &'j dyn Environment,
    author: Author,
    push_seq: u64,
    now_ms: u64,
    /// Records forget the clocks of what is gone up to this revision.
    forgets: Revision,
    /// The device's last effective stamp.
    stamp: Option<Stamp>,
    /// Records whose lanes wait, and for which event.
    blocked: BTreeMap<RecordKey, EventId>,
    /// The events of this push that were judged: content and receipt.
    judged: BTreeMap<EventId, (String, Receipt)>,
    notes: bool,
}

/// What was decided about one event.
pub(super) struct Ruling {
    /// The receipt without the record, and without `previous` where nobody can do without the record: as it is kept for
    /// replays. [`answer`](super::answer) tells the record.
    pub(super) receipt: Receipt,
    /// What the receipt leaves to be told.
    pub(super) needs: Option<Needs>,
    /// Whether it stands whatever becomes of its unit.
    replayed: bool,
}

/// A record without which a receipt does not say what the event came to.
pub(super) struct Needs {
    pub(super) key: RecordKey,
    /// Its revision before the event, where that is known.
    pub(super) previous: Option<Revision>,
}

impl Ruling {
    /// Of a receipt that says all.
    fn plain(receipt: Receipt) -> Self {
        Self { receipt, needs: None, replayed: false }
    }

    /// Of an event on `key` that was judged before.
    fn replayed(receipt: Receipt, key: Option<RecordKey>) -> Self {
        let short =
            receipt.status == ReceiptStatus::Conflict || receipt.status.is_settled() && receipt.previous.is_none();
        let needs = key.filter(|_| short).map(|key| Needs { key, previous: None });
        Self { receipt, needs, replayed: true }
    }
}

impl<'j, 't> Judge<'j, 't> {
    pub(super) fn new(
        draft: Draft<'t>,
        environment: &'j dyn Environment,
        author: Author,
        push_seq: u64,
        now_ms: u64,
        forgets: Revision,
        stamp: Option<Stamp>,
    ) -> Self {
        let (blocked, judged) = (BTreeMap::new(), BTreeMap::new());
        Self { draft, environment, author, push_seq, now_ms, forgets, stamp, blocked, judged, notes: false }
    }

    /// The device's last effective stamp.
    pub(super) fn stamp(&self) -> Option<&Stamp> {
        self.stamp.as_ref()
    }

    /// Whether notes were written.
    pub(super) fn made_notes(&self) -> bool {
        self.notes
    }

    /// Judges a unit: one event, or a group, of which all take effect or none. `first` is its first event's place in the
    /// push.
    pub(super) fn unit(&mut self, unit: Vec<Intake>, first: u32) -> Result<Vec<Ruling>, StoreError> {
        let mark = self.draft.mark();
        let (stamp, notes) = (self.stamp.clone(), self.notes);
        let names: Vec<_> =
            unit.iter().map(|event| (event.id.clone(), event.hash.clone(), event.key.clone())).collect();
        let mut rulings = Vec::with_capacity(unit.len());
        // Ids whose verdicts stand only if the whole unit does; members may repeat them or depend on them.
        let mut fresh = BTreeSet::new();
        for (position, event) in (first..).zip(unit) {
            let (id, hash) = (event.id.clone(), event.hash.clone());
            let mut ruling = self.event(event, position)?;
            ruling.replayed &= !fresh.contains(&id);
            let refused = !ruling.receipt.status.is_settled();
            if !refused && !self.judged.contains_key(&id) {
                self.judged.insert(id.clone(), (hash, ruling.receipt.clone()));
                fresh.insert(id);
            }
            rulings.push(ruling);
            if refused {
                break;
            }
        }
        let refused =
            rulings.last().map(|ruling| ruling.receipt.clone()).filter(|receipt| !receipt.status.is_settled());
        let Some(refused) = refused else {
            return Ok(rulings);
        };
        for id in &fresh {
            self.judged.remove(id);
        }
        self.draft.take_back(mark);
        (self.stamp, self.notes) = (stamp, notes);
        Ok(self.refuse(names, rulings, refused))
    }

    /// The rulings on a unit that is refused on account of `refused`, and the lanes that wait from now on.
    fn refuse(
        &mut self,
        names: Vec<(EventId, String, Option<RecordKey>)>,
        rulings: Vec<Ruling>,
        refused: Receipt,
    ) -> Vec<Ruling> {
        let culprit = refused.because.clone().unwrap_or_else(|| refused.id.clone());
        let last = rulings.len() - 1;
        let mut rulings = rulings.into_iter().enumerate();
        names
            .into_iter()
            .map(|(id, hash, key)| {
                let ruling = match rulings.next() {
                    Some((_, ruling)) if ruling.replayed => ruling,
                    Some((place, ruling)) if place == last => ruling,
                    _ => Ruling::plain(skipped(id.clone(), culprit.clone())),
                };
                if let Some(key) = key.filter(|_| !ruling.receipt.status.is_settled()) {
                    self.blocked.entry(key).or_insert_with(|| culprit.clone());
                }
                // An id that was judged before keeps its first verdict.
                self.judged.entry(id).or_insert_with(|| (hash, ruling.receipt.clone()));
                ruling
            })
            .collect()
    }

    fn event(&mut self, intake: Intake, position: u32) -> Result<Ruling, StoreError> {
        let Intake { id, hash, key, content, .. } = intake;
        if let Some(ruling) = self.replay(&id, &hash, key.as_ref())? {
            return Ok(ruling);
        }
        let new = |receipt| Ok(Ruling::plain(receipt));
        let refuse = |fault: Fault| new(Receipt::rejected(id.clone(), fault.code, fault.message));
        let event = match content {
            Ok(event) => event,
            Err(fault) => return refuse(fault),
        };
        if let Some(because) = key.and_then(|key| self.blocked.get(&key)) {
            return new(skipped(id, because.clone()));
        }
        if let Some(because) = self.missing_dependency(&event)? {
            return new(skipped(id, because));
        }
        if let Err(fault) = self.check(&event) {
            return refuse(fault);
        }
        self.settle(event, hash, position)
    }

    /// The ruling on an event that was judged before, in this push or an earlier one. The same id with another content is
    /// another event that took a name in use.
    fn replay(&mut self, id: &EventId, hash: &str, key: Option<&RecordKey>) -> Result<Option<Ruling>, StoreError> {
        let known = match self.judged.get(id) {
            Some((known, receipt)) => Some((known.clone(), receipt.clone())),
            None => self.draft.settled(id)?.map(|settled| (settled.payload_hash.clone(), settled.receipt.clone())),
        };
        Ok(known.map(|(known, receipt)| {
            if known == hash {
                Ruling::replayed(receipt, key.cloned())
            } else {
                let receipt = Receipt::rejected(id.clone(), "id_reused", "another event was settled under this id");
                Ruling::plain(receipt)
            }
        }))
    }

    /// The first declared dependency that is not settled.
    fn missing_dependency(&mut self, event: &SyncEvent) -> Result<Option<EventId>, StoreError> {
        for id in &event.depends_on {
            let settled = match self.judged.get(id) {
                Some((_, receipt)) => receipt.status.is_settled(),
                None => self.draft.settled(id)?.is_some(),
            };
            if !settled {
                return Ok(Some(id.clone()));
            }
        }
        Ok(None)
    }

    /// What may not be written, whatever the record is.
    fn check(&self, event: &SyncEvent) -> Result<(), Fault> {
        check_collection(event)?;
        if !event.needs.is_empty() {
            return Err(Fault::new("unsupported", "this server keeps nothing that an event could need"));
        }
        if highest_base(event) > self.draft.start() {
            return Err(Fault::new("invalid_base", "the event's base is newer than the scope's newest revision"));
        }
        Ok(())
    }

    /// Lifts the event's stamp, merges it, and stages its effect.
    fn settle(&mut self, mut event: SyncEvent, hash: String, position: u32) -> Result<Ruling, StoreError> {
        let restamped = self.lift(&mut event)?;
        let key = event.key();
        let (base, device) = (lowest_base(&event), &self.author.device);
        let before = self.draft.record(&key)?;
        let previous = before.map_or(0, |record| record.revision);
        // Replicas keep no tombstones: they cannot tell which revision this write follows.
        let revived = before.is_some_and(|record| !record.alive);
        let revision = self.draft.head() + 1;
        let (push_seq, horizon) = (self.push_seq, self.draft.horizon());
        // Once in a push is enough.
        let forgets = if self.draft.has_written(&key) { 0 } else { self.forgets };
        let write = Write { event: &event, author: &self.author, push_seq, position, revision, horizon, forgets };
        let (merged, foreign) = self.draft.meet(&key, base, device, |record, history| {
            let foreign = history.after(base).iter().any(|other| other.by.device != *device);
            (effect(record, history, &write), foreign)
        })?;
        let merged = match merged {
            Ok(merged) => merged,
            Err(Refusal::Conflict) => {
                let receipt = Receipt::bare(event.id, ReceiptStatus::Conflict);
                return Ok(Ruling { needs: Some(Needs { key, previous: None }), ..Ruling::plain(receipt) });
            }
            Err(Refusal::Rejected { code, message }) => {
                return Ok(Ruling::plain(Receipt::rejected(event.id, code, message)));
            }
        };
        let Merged { status, decisions, rebase, applied_edits, trace, as_applied, growth, undo } = merged;
        let (effect, bytes) = self.draft.effect(&key, undo, growth)?;
        // Parts that are within the limits may make a whole that is not. What nobody could read back is not stored. (Depth is
        // looked at in each part's place.) A note is the server's, and bounded otherwise.
        let may_grow = status != ReceiptStatus::Superseded && key.collection.as_str() != CONFLICTS;
        if may_grow && bytes > MAX_DOCUMENT_BYTES as u64 {
            self.draft.revert(&key, effect);
            let why = format!("the document would have {bytes} bytes, more than {MAX_DOCUMENT_BYTES}");
            let code = InvalidCode::DocumentTooLarge.as_str();
            return Ok(Ruling::plain(Receipt::rejected(event.id, code, why)));
        }
        let floor = self.draft.record(&key)?.map_or(0, |record| record.floor);
        let told = revived || foreign || status != ReceiptStatus::Applied || !as_applied;
        let receipt = Receipt {
            revision: Some(revision),
            previous: Some(previous).filter(|_| !told),
            stamp: restamped.then(|| event.stamp.clone()),
            rebase: Some(rebase).filter(|rebase| !rebase.is_empty()),
            ..Receipt::bare(event.id.clone(), status)
        };
        self.stamp = Some(newest_stamp(&event).clone());
        let write = LoggedWrite {
            by: self.author.clone(),
            push_seq: self.push_seq,
            position,
            revision,
            previous,
            applied_edits,
            decisions: decisions.clone(),
            trace,
            event,
        };
        self.stage(key.clone(), effect, write, hash, receipt.clone());
        self.note(&key, floor, &decisions)?;
        let needs = told.then_some(Needs { key, previous: Some(previous) });
        Ok(Ruling { needs, ..Ruling::plain(receipt) })
    }

    fn lift(&mut self, event: &mut SyncEvent) -> Result<bool, StoreError> {
        let mut failure = None;
        let draft = &mut self.draft;
        let mut highest_at = |revision: Revision| {
            draft.highest_at(revision).unwrap_or_else(|error| {
                failure = Some(error);
                None
            })
        };
        let mut rules = Lift { highest_at: &mut highest_at, previous: self.stamp.as_ref(), now_ms: self.now_ms };
        let changed = lift(event, &mut rules);
        failure.map_or(Ok(changed), Err)
    }

    /// Writes the notes that `decisions` call for, each with a revision of its own.
    fn note(&mut self, key: &RecordKey, floor: Revision, decisions: &[Decision]) -> Result<(), StoreError> {
        for (id, decisions) in notes_of(key, floor, decisions) {
            let note_key = note_key(id);
            let author = server_author();
            let highest = self.draft.highest().map_or((0, 0), Stamp::instant);
            let stamp = Stamp::above(highest.0, highest.1, author.device.clone());
            let revision = self.draft.head() + 1;
            let horizon = self.draft.horizon();
            let present = self.draft.record(&note_key)?;
            let doc = fold(present, key, floor, &decisions);
            let event = note_event(EventId::generate(self.environment), &note_key, present, doc, stamp);
            let write =
                Write { event: &event, author: &author, push_seq: 0, position: 0, revision, horizon, forgets: 0 };
            let record = note_record(present, &write);
            let (hash, previous) = (event.payload_hash(), event.base);
            let receipt = Receipt {
                revision: Some(revision),
                previous: Some(previous),
                ..Receipt::bare(event.id.clone(), ReceiptStatus::Applied)
            };
            let write = LoggedWrite {
                event,
                by: author,
                push_seq: 0,
                position: 0,
                revision,
                previous,
                applied_edits: BTreeMap::new(),
                decisions: Vec::new(),
                trace: Trace::default(),
            };
            self.draft.set_aside(&record.doc, &decisions);
            let undo = self.draft.meet(&note_key, revision, &write.by.device, |note, _| {
                let former = note.replace(record);
                Undo::whole(former)
            })?;
            let (effect, _) = self.draft.effect(&note_key, undo, None)?;
            self.stage(note_key, effect, write, hash, receipt);
            self.notes = true;
        }
        Ok(())
    }

    fn stage(&mut self, key: RecordKey, effect: Effect, write: LoggedWrite, payload_hash: String, receipt: Receipt) {
        let highest = newest_stamp(&write.event).clone();
        self.draft.stage(key, effect, LogRow { write, payload_hash, receipt, highest });
    }
}

fn skipped(id: EventId, because: EventId) -> Receipt {
    Receipt { because: Some(because), ..Receipt::bare(id, ReceiptStatus::Skipped) }
}
