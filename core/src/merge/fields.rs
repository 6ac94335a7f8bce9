//! Fields under their clocks: how each operation meets what stands at its place.
//!
//! The model behind it: every place holds the newest assignment (a value, or nothing), and an assignment hides everything
//! older at or below its place. "Newer" is decided by sight first (who had seen the other's write is newer), then by
//! stamp. Since stamps respect sight (they are lifted), the outcome does not depend on the order of arrival.

mod assign;
mod counters;
mod sets;

use std::collections::BTreeMap;

use super::apply::edit_text;
use super::body::Body;
use super::clocks::{LeafClock, is_leaf};
use super::decide::Refusal;
use super::history::History;
use super::notes::{Decision, Rule, Side};
use super::write::Write;
use crate::model::pointer::overlapping;
use crate::model::{Op, OpKind, Pointer, Policy, Revision, TextEdit, Value};

/// A record's fields while a write is merged into them.
pub(super) struct Fields<'a> {
    body: &'a mut Body,
    /// What was written up to here is of an earlier life of the record.
    floor: Revision,
    history: &'a History,
    write: &'a Write<'a>,
    rule: Rule,
    /// Which of the event's operations is at work.
    op: u32,
    decisions: Vec<Decision>,
    took_effect: bool,
    concurrent: bool,
    as_applied: bool,
    lost: Vec<u32>,
    /// Where something was taken away: what it had displaced may show again.
    emptied: Vec<Pointer>,
    /// Sets whose arrays are still to be made from their elements' clocks.
    loose: BTreeMap<Pointer, LeafClock>,
}

/// What became of the fields.
pub(super) struct FieldsOutcome {
    pub decisions: Vec<Decision>,
    /// Some operation took effect.
    pub took_effect: bool,
    /// Some operation met a write that its writer had not seen.
    pub concurrent: bool,
    /// The document is what [`apply`](super::apply()) makes of it.
    pub as_applied: bool,
    /// Operations that lost.
    pub lost: Vec<u32>,
}

/// How a write stands to an earlier one at the same place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It was made in sight of it.
    Seen,
    /// Concurrent, and it wins.
    Wins,
    /// Concurrent, and it loses.
    Loses,
}

type Merge = Result<(), Refusal>;

fn mismatch(path: &Pointer) -> Refusal {
    Refusal::Rejected {
        code: "type_mismatch",
        message: format!("the operation does not fit the value at {path}, or overflows it"),
    }
}

fn into_array(path: &Pointer) -> Refusal {
    Refusal::Rejected { code: "pointer_into_array", message: format!("{path} leads into an array") }
}

impl<'a> Fields<'a> {
    pub fn new(body: &'a mut Body, floor: Revision, history: &'a History, write: &'a Write<'a>, rule: Rule) -> Self {
        Self {
            body,
            floor,
            history,
            write,
            rule,
            op: 0,
            decisions: Vec::new(),
            took_effect: false,
            concurrent: false,
            as_applied: true,
            lost: Vec::new(),
            emptied: Vec::new(),
            loose: BTreeMap::new(),
        }
    }

    /// A leaf of the document with which the event makes the record.
    pub fn make(&mut self, path: &Pointer, value: Value, clock: &LeafClock, base: Revision) -> Merge {
        self.assign(path, Some(value), clock, base)
    }

    /// The event's operation `number`.
    pub fn operate(&mut self, number: usize, op: &Op) -> Merge {
        self.op = u32::try_from(number).unwrap_or(u32::MAX);
        let (clock, base) = (self.write.clock(Some(op)), self.write.event.base_of(op));
        match &op.kind {
            OpKind::Set { value } => self.assign(&op.path, Some(value.clone()), &clock, base),
            OpKind::Unset => self.assign(&op.path, None, &clock, base),
            OpKind::Inc { by } => self.increment(&op.path, *by, &clock, base),
            OpKind::Add { values } => self.elements(&op.path, values, true, &clock, base),
            OpKind::Remove { values } => self.elements(&op.path, values, false, &clock, base),
            OpKind::Text { edit } => self.text(&op.path, edit, &clock, base),
        }
    }

    pub fn finish(mut self) -> FieldsOutcome {
        self.tighten(None);
        // Not before: a later operation of the event was made on what its writer saw then.
        self.uncover();
        FieldsOutcome {
            decisions: self.decisions,
            took_effect: self.took_effect,
            concurrent: self.concurrent,
            as_applied: self.as_applied,
            lost: self.lost,
        }
    }

    /// Adds a decision that was made elsewhere.
    pub fn note(&mut self, decision: Decision) {
        self.concurrent = true;
        self.decisions.push(decision);
    }

    fn verdict(&self, existing: &LeafClock, clock: &LeafClock, base: Revision) -> Verdict {
        if self.write.has_seen(existing, base) {
            return Verdict::Seen;
        }
        match self.write.event.policy() {
            Policy::ServerWins => Verdict::Loses,
            Policy::ClientWins => Verdict::Wins,
            // Two clones of one replica may have made one stamp: then the pushing device decides.
            _ if (&clock.stamp, &clock.device) > (&existing.stamp, &existing.device) => Verdict::Wins,
            _ => Verdict::Loses,
        }
    }

    fn decide(&mut self, path: &Pointer, winner: Side, loser: Side, rule: Rule, base: Revision) {
        self.concurrent = true;
        if winner.value == loser.value {
            return;
        }
        let rule = match self.write.event.policy() {
            Policy::ServerWins | Policy::ClientWins => Rule::Policy,
            _ => rule,
        };
        let base = self.history.base(path, &self.write.author.device, self.since(base));
        self.decisions.push(Decision { path: Some(path.clone()), winner, loser, rule, base });
    }

    /// The operation at work had no effect.
    fn lose(&mut self) {
        if self.lost.last() != Some(&self.op) {
            self.lost.push(self.op);
        }
    }

    /// Above this revision are the writes of this life of the record that a writer with `base` had not seen.
    fn since(&self, base: Revision) -> Revision {
        base.max(self.floor)
    }

    /// Notes that the leaf was written by others after `base`.
    fn met_foreign(&mut self, path: &Pointer, base: Revision) -> bool {
        let met = self.history.changed(path, &self.write.author.device, self.since(base));
        self.concurrent |= met;
        met
    }

    /// Passes what stands above `path` as a whole of its own. Returns `false` if something there is newer than `rank` and hides
    /// the write, which the inbox is told as `told`; an older scalar gives way if the write `places` something.
    fn pass_parents(&mut self, path: &Pointer, written: &Written<'_>, rank: &LeafClock) -> Result<bool, Refusal> {
        let Written { told, places, clock, base } = *written;
        let mut ancestors: Vec<_> = std::iter::successors(path.parent(), Pointer::parent).collect();
        ancestors.reverse();
        for ancestor in ancestors {
            let Some(existing) = self.body.clock_at(&ancestor) else { continue };
            let (kind, existing) = (Kind::of(ancestor.find(self.body.doc())), existing.clone());
            let verdict = match self.verdict(&existing, rank, base) {
                // One assignment gave both their values.
                Verdict::Loses if existing == *rank => Verdict::Wins,
                verdict => verdict,
            };
            match verdict {
                Verdict::Loses => {
                    let standing = ancestor.find(self.body.doc()).cloned();
                    self.decide(path, existing.side(standing), clock.side(told.cloned()), Rule::Parent, base);
                    self.lose();
                    return Ok(false);
                }
                Verdict::Seen if kind == Kind::Array => return Err(into_array(path)),
                Verdict::Seen => {}
                Verdict::Wins => {
                    self.concurrent = true;
                    if places && kind != Kind::Object {
                        let standing = ancestor.find(self.body.doc()).cloned();
                        self.body.hide(&ancestor, standing.clone());
                        if standing.is_some() {
                            self.decide(&ancestor, clock.side(None), existing.side(standing), Rule::Parent, base);
                        }
                    }
                }
            }
            if places && (kind != Kind::Object || !self.body.clocks().leaves.contains_key(&ancestor)) {
                // It is about to be no leaf any more: from then on its clock, which hides what is older, must be listed.
                self.body.list(&ancestor, existing);
            }
            if places && matches!(kind, Kind::Array | Kind::Scalar) {
                // A scalar parent gives way to a newer child.
                self.body.list_elements(&ancestor, BTreeMap::new());
                let _ = self.body.set(&ancestor, Value::Object(serde_json::Map::new()));
            }
        }
        Ok(true)
    }

    /// `text`: applied where nobody else has changed the leaf since the base; a concurrent edit is kept in the inbox. (The
    /// transform of concurrent edits has its place here: `rebase` and `applied_edits` of the merge.)
    fn text(&mut self, path: &Pointer, edit: &TextEdit, clock: &LeafClock, base: Revision) -> Merge {
        self.tighten(Some(path));
        let told = serde_json::json!({"text": edit});
        let written = Written { told: Some(&told), places: true, clock, base };
        if !self.pass_parents(path, &written, clock)? {
            return Ok(());
        }
        if self.met_foreign(path, base) {
            let standing = path.find(self.body.doc()).cloned();
            let winner = self.body.clock_at(path).unwrap_or(clock).side(standing);
            self.decide(path, winner, clock.side(Some(told)), Rule::Stamp, base);
            self.lose();
            return Ok(());
        }
        let text = match path.find(self.body.doc()) {
            None => "",
            Some(Value::String(text)) => text,
            Some(_) => return Err(mismatch(path)),
        };
        let edited = edit_text(text, edit).ok_or_else(|| mismatch(path))?;
        self.body.set(path, Value::String(edited)).map_err(|_| into_array(path))?;
        self.body.list(path, clock.clone());
        self.took_effect = true;
        Ok(())
    }

    /// Makes the arrays of sets at, above and below `path`, or all that are still to be made, from their elements.
    fn tighten(&mut self, path: Option<&Pointer>) {
        let loose = match path {
            Some(path) => overlapping(&self.loose, path),
            None => self.loose.keys().cloned().collect(),
        };
        for set in loose {
            if let Some(clock) = self.loose.remove(&set) {
                self.arrange(&set, &clock);
            }
        }
    }

    /// Shows what is hidden at and above the places where something was taken away, if nothing is left of what displaced it.
    fn uncover(&mut self) {
        let mut places: Vec<Pointer> = Vec::new();
        for path in std::mem::take(&mut self.emptied) {
            places.extend(std::iter::successors(Some(path), Pointer::parent));
        }
        places.retain(|place| self.body.clocks().hidden.contains_key(place));
        // The deepest first: what it uncovers may keep covering its parents.
        places.sort_by(|a, b| (b.as_str().len(), a).cmp(&(a.as_str().len(), b)));
        places.dedup();
        for place in places {
            let live = match place.find(self.body.doc()) {
                Some(Value::Array(elements)) => !elements.is_empty(),
                Some(parent) => self.is_live(&place, parent, true),
                None => false,
            };
            if !live && let Some(hidden) = self.body.uncover(&place) {
                self.as_applied = false;
                let _ = match hidden {
                    Some(value) => self.body.set(&place, value),
                    None => self.body.unset(&place),
                };
            }
        }
    }

    /// Whether a leaf stands below `place` that is more than an empty parent.
    fn is_live(&self, place: &Pointer, value: &Value, top: bool) -> bool {
        match value {
            Value::Object(fields) if !is_leaf(value) => {
                fields.iter().any(|(key, value)| self.is_live(&place.child(key), value, false))
            }
            Value::Object(_) => !top && self.body.clocks().leaves.contains_key(place),
            _ => true,
        }
    }
}

/// A write to a place, as its parents meet it.
#[derive(Clone, Copy)]
struct Written<'w> {
    /// What the inbox is told if it is hidden.
    told: Option<&'w Value>,
    /// It places something, as opposed to taking it away.
    places: bool,
    clock: &'w LeafClock,
    base: Revision,
}

/// What stands at a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    Object,
    Array,
    Scalar,
}

impl Kind {
    fn of(value: Option<&Value>) -> Self {
        match value {
            None => Self::Nothing,
            Some(Value::Object(_)) => Self::Object,
            Some(Value::Array(_)) => Self::Array,
            Some(_) => Self::Scalar,
        }
    }
}
