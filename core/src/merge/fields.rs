//! Fields under their clocks: how each operation meets what stands at its place.
//!
//! The model behind it: every place holds the newest assignment (a value, or nothing), and an assignment hides everything
//! older at or below its place. "Newer" is decided by sight first (who had seen the other's write is newer), then by
//! stamp. Since stamps respect sight (they are lifted), the outcome does not depend on the order of arrival.

mod sets;

use std::collections::BTreeMap;

use super::apply::{edit_text, increment, set, unset};
use super::clocks::{LeafClock, LeafClocks, is_leaf};
use super::decide::{LoggedWrite, Refusal, Write};
use super::notes::{Decision, Rule, Side};
use super::record::StoredRecord;
use crate::model::{OpKind, Pointer, Policy, Revision, TextEdit, Value, leaves_of};

/// A record's fields while a write is merged into them.
pub(super) struct Fields<'a> {
    doc: Value,
    clocks: LeafClocks,
    /// What was written up to here is of an earlier life of the record.
    floor: Revision,
    foreign: &'a [&'a LoggedWrite],
    write: &'a Write<'a>,
    rule: Rule,
    decisions: Vec<Decision>,
    took_effect: bool,
    concurrent: bool,
    lost: usize,
    /// Where something was taken away: what it had displaced may show again.
    emptied: Vec<Pointer>,
}

/// What became of the fields.
pub(super) struct FieldsOutcome {
    pub doc: Value,
    pub clocks: LeafClocks,
    pub decisions: Vec<Decision>,
    /// Some operation took effect.
    pub took_effect: bool,
    /// Some operation met a write that its writer had not seen.
    pub concurrent: bool,
    /// Operations that lost.
    pub lost: usize,
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
    pub fn new(record: &StoredRecord, foreign: &'a [&'a LoggedWrite], write: &'a Write<'a>, rule: Rule) -> Self {
        Self {
            doc: record.doc.clone(),
            clocks: record.clocks.clone(),
            floor: record.floor,
            foreign,
            write,
            rule,
            decisions: Vec::new(),
            took_effect: false,
            concurrent: false,
            lost: 0,
            emptied: Vec::new(),
        }
    }

    pub fn finish(mut self) -> FieldsOutcome {
        // Not before: a later operation of the event was made on what its writer saw then.
        for path in std::mem::take(&mut self.emptied) {
            self.uncover(&path);
        }
        FieldsOutcome {
            doc: self.doc,
            clocks: self.clocks,
            decisions: self.decisions,
            took_effect: self.took_effect,
            concurrent: self.concurrent,
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

    fn decide(&mut self, path: &Pointer, winner: Side, loser: Side, rule: Rule) {
        self.concurrent = true;
        if winner.value == loser.value {
            return;
        }
        let rule = match self.write.event.policy() {
            Policy::ServerWins | Policy::ClientWins => Rule::Policy,
            _ => rule,
        };
        let base = self.foreign_base(path);
        self.decisions.push(Decision { path: Some(path.clone()), winner, loser, rule, base });
    }

    /// The value that both sides had seen, where a concurrent decision about the same leaf already says it.
    fn foreign_base(&self, path: &Pointer) -> Option<Value> {
        let decisions = self.foreign.iter().flat_map(|logged| &logged.decisions);
        decisions.filter(|decision| decision.path.as_ref() == Some(path)).find_map(|decision| decision.base.clone())
    }

    /// Passes what stands above `path` as a whole of its own. Returns `false` if something there is newer and hides the
    /// write, which the inbox is told as `lost`; an older scalar gives way if the write `places` something.
    fn pass_parents(
        &mut self,
        path: &Pointer,
        lost: Option<&Value>,
        places: bool,
        clock: &LeafClock,
        base: Revision,
    ) -> Result<bool, Refusal> {
        let mut ancestors: Vec<_> = std::iter::successors(path.parent(), Pointer::parent).collect();
        ancestors.reverse();
        for ancestor in ancestors {
            let Some(existing) = self.clocks.at(&self.doc, &ancestor).cloned() else { continue };
            let standing = ancestor.find(&self.doc).filter(|value| is_leaf(value)).cloned();
            match self.verdict(&existing, clock, base) {
                Verdict::Loses => {
                    let loser = clock.side(lost.cloned());
                    self.decide(path, existing.side(ancestor.find(&self.doc).cloned()), loser, Rule::Parent);
                    self.lost += 1;
                    return Ok(false);
                }
                Verdict::Seen if standing.as_ref().is_some_and(Value::is_array) => return Err(into_array(path)),
                Verdict::Seen => {}
                Verdict::Wins => {
                    self.concurrent = true;
                    let absent = ancestor.find(&self.doc).is_none();
                    if places && (absent || standing.as_ref().is_some_and(|value| !value.is_object())) {
                        self.clocks.hidden.insert(ancestor.clone(), standing.clone().into_iter().collect());
                    }
                    if let Some(standing) = standing.clone().filter(|value| !value.is_object() && places) {
                        self.decide(&ancestor, clock.side(None), existing.side(Some(standing)), Rule::Parent);
                    }
                }
            }
            if places {
                // It is about to be no leaf any more: from then on its clock, which hides what is older, must be listed.
                self.clocks.leaves.insert(ancestor.clone(), existing);
                if ancestor.find(&self.doc).is_some_and(|value| !value.is_object()) {
                    // A scalar parent gives way to a newer child.
                    self.clocks.elements.remove(&ancestor);
                    let _ = set(&mut self.doc, &ancestor, Value::Object(serde_json::Map::new()));
                }
            }
        }
        Ok(true)
    }

    /// `set` (with a value) and `unset`: the newest assignment of a place holds, and hides what is older below it.
    pub fn assign(&mut self, path: &Pointer, value: Option<Value>, clock: &LeafClock, base: Revision) -> Merge {
        if !self.pass_parents(path, value.as_ref(), value.is_some(), clock, base)? {
            return Ok(());
        }
        let assigned: Vec<(Pointer, Value)> = match &value {
            Some(value) if !is_leaf(value) => {
                let below = leaves_of(value);
                below.into_iter().map(|(place, value)| (join(path, &place), value)).collect()
            }
            value => {
                let sum = self.with_increments(path, value.as_ref(), base);
                sum.map(|value| (path.clone(), value)).into_iter().collect()
            }
        };

        // An assignment of the very place that is newer hides all of this one.
        if let Some(existing) = self.clocks.at(&self.doc, path).cloned()
            && self.verdict(&existing, clock, base) == Verdict::Loses
        {
            let standing = path.find(&self.doc).cloned();
            self.decide(path, existing.side(standing), clock.side(value), self.rule);
            self.lost += 1;
            return Ok(());
        }

        let mut survivors: Vec<(Pointer, LeafClock, Option<Value>)> = Vec::new();
        for (place, existing, standing) in self.at_or_below(path) {
            let new = assigned.iter().find(|(at, _)| *at == place).map(|(_, value)| value.clone());
            match self.verdict(&existing, clock, base) {
                Verdict::Seen => {}
                Verdict::Wins => {
                    self.concurrent = true;
                    if standing.is_some() {
                        let rule = if place == *path { self.rule } else { Rule::Parent };
                        self.decide(
                            &place,
                            clock.side(new.or_else(|| value.clone().filter(|_| place == *path))),
                            existing.side(standing),
                            rule,
                        );
                    }
                }
                Verdict::Loses => {
                    self.concurrent = true;
                    survivors.push((place, existing, standing));
                }
            }
        }
        let elements = self.newer_elements(path, clock, base, value.as_ref());
        self.clocks.forget(path);
        unset(&mut self.doc, path).map_err(|_| into_array(path))?;
        self.clocks.leaves.insert(path.clone(), clock.clone());
        if !value.as_ref().is_some_and(Value::is_array) && elements.values().any(|element| element.live) {
            self.clocks.leaves.extend(survivors.into_iter().map(|(place, existing, _)| (place, existing)));
            self.outlive(path, elements, value, clock);
            self.took_effect = true;
            return Ok(());
        }
        if value.as_ref().is_some_and(Value::is_object) {
            // Stays an object even where newer writes have removed every field of it.
            let _ = set(&mut self.doc, path, Value::Object(serde_json::Map::new()));
        }
        for (place, new) in assigned {
            let newer = survivors.iter().find(|(at, _, standing)| {
                *at == place || place.is_below(at) || (at.is_below(&place) && standing.is_some())
            });
            if let Some((_, existing, standing)) = newer.cloned() {
                if place == *path {
                    self.clocks.hidden.insert(place.clone(), vec![new.clone()]);
                }
                self.decide(&place, existing.side(standing), clock.side(Some(new)), Rule::Parent);
                continue;
            }
            set(&mut self.doc, &place, new).map_err(|_| into_array(&place))?;
            self.clocks.leaves.insert(place, clock.clone());
        }
        if value.is_none() && survivors.iter().any(|(_, _, standing)| standing.is_some()) {
            self.clocks.hidden.insert(path.clone(), Vec::new());
        }
        for (place, existing, standing) in survivors {
            if let Some(standing) = standing {
                set(&mut self.doc, &place, standing).map_err(|_| into_array(&place))?;
            }
            self.clocks.leaves.insert(place, existing);
        }
        if !elements.is_empty() {
            self.clocks.elements.insert(path.clone(), elements);
            if value.as_ref().is_some_and(Value::is_array) {
                self.arrange(path, clock);
            }
        }
        if value.is_none() {
            self.emptied.push(path.clone());
        }
        // Even where newer children outlive all of its value, it has hidden what was older.
        self.took_effect = true;
        Ok(())
    }

    /// Shows what is hidden at `path` and above it, where nothing is left of what displaced it.
    fn uncover(&mut self, path: &Pointer) {
        for place in std::iter::successors(Some(path.clone()), Pointer::parent) {
            let Some(hidden) = self.clocks.hidden.get(&place).cloned() else { continue };
            let live = match place.find(&self.doc) {
                Some(Value::Array(elements)) => !elements.is_empty(),
                Some(parent) => leaves_of(parent)
                    .into_iter()
                    .any(|(below, value)| !value.is_object() || self.clocks.leaves.contains_key(&join(&place, &below))),
                None => false,
            };
            if !live {
                self.clocks.hidden.remove(&place);
                let _ = match hidden.into_iter().next() {
                    Some(value) => set(&mut self.doc, &place, value),
                    None => unset(&mut self.doc, &place),
                };
            }
        }
    }

    /// All that is listed or live at or below `path`: place, clock, and the live leaf's value.
    fn at_or_below(&self, path: &Pointer) -> Vec<(Pointer, LeafClock, Option<Value>)> {
        let mut found: BTreeMap<Pointer, (LeafClock, Option<Value>)> = BTreeMap::new();
        for (place, clock) in &self.clocks.leaves {
            if place == path || place.is_below(path) {
                found.insert(place.clone(), (clock.clone(), None));
            }
        }
        let live = match path.find(&self.doc) {
            None => Vec::new(),
            Some(value) if is_leaf(value) => vec![(path.clone(), value.clone())],
            Some(value) => leaves_of(value).into_iter().map(|(place, value)| (join(path, &place), value)).collect(),
        };
        for (place, value) in live {
            if let Some(clock) = self.clocks.at(&self.doc, &place).cloned() {
                found.insert(place, (clock, Some(value)));
            }
        }
        found.into_iter().map(|(place, (clock, value))| (place, clock, value)).collect()
    }

    /// Others' writes of this life of the record that a writer with `base` had not seen.
    fn unseen(&self, base: Revision) -> impl Iterator<Item = &'a LoggedWrite> + use<'a> {
        let after = base.max(self.floor);
        self.foreign.iter().copied().filter(move |logged| logged.revision > after)
    }

    /// Increments that the assigning writer had not seen count on top of its value, or of nothing.
    fn with_increments(&mut self, path: &Pointer, value: Option<&Value>, base: Revision) -> Option<Value> {
        let mut sum = value.cloned();
        for logged in self.unseen(base) {
            for op in &logged.event.ops {
                if let OpKind::Inc { by } = op.kind
                    && op.path == *path
                    && !logged.lost(Some(path))
                    && let Ok(next) = increment(sum.as_ref(), by)
                {
                    sum = Some(next);
                    self.concurrent = true;
                }
            }
        }
        sum
    }

    /// `inc`: both sides' increments count once.
    pub fn increment(&mut self, path: &Pointer, by: i64, clock: &LeafClock, base: Revision) -> Merge {
        let lost = Value::from(by);
        if !self.pass_parents(path, Some(&lost), true, clock, base)? {
            return Ok(());
        }
        let sum = increment(path.find(&self.doc), by).map_err(|_| mismatch(path))?;
        self.met_foreign(path, base);
        set(&mut self.doc, path, sum).map_err(|_| into_array(path))?;
        self.took_effect = true;
        Ok(())
    }

    /// Notes that the leaf was written by others after `base`.
    fn met_foreign(&mut self, path: &Pointer, base: Revision) -> bool {
        let met = self.unseen(base).any(|logged| {
            let wrote = logged.event.ops.iter().any(|op| op.path.overlaps(path) && !logged.lost(Some(&op.path)));
            wrote || (logged.event.doc.is_some() && !logged.lost(None))
        });
        self.concurrent |= met;
        met
    }

    /// `text`: applied where nobody else has written the leaf since the base; a concurrent edit is kept in the inbox. (The
    /// transform of concurrent edits has its place here: `rebase` and `applied_edits` of the merge.)
    pub fn text(&mut self, path: &Pointer, edit: &TextEdit, clock: &LeafClock, base: Revision) -> Merge {
        let told = serde_json::json!({"text": edit});
        if !self.pass_parents(path, Some(&told), true, clock, base)? {
            return Ok(());
        }
        if self.met_foreign(path, base) {
            let standing = path.find(&self.doc).cloned();
            let winner = match self.clocks.at(&self.doc, path) {
                Some(existing) => existing.side(standing),
                None => clock.side(standing),
            };
            self.decide(path, winner, clock.side(Some(told)), Rule::Stamp);
            self.lost += 1;
            return Ok(());
        }
        let text = match path.find(&self.doc) {
            None => "",
            Some(Value::String(text)) => text,
            Some(_) => return Err(mismatch(path)),
        };
        let edited = edit_text(text, edit).ok_or_else(|| mismatch(path))?;
        set(&mut self.doc, path, Value::String(edited)).map_err(|_| into_array(path))?;
        self.clocks.leaves.insert(path.clone(), clock.clone());
        self.took_effect = true;
        Ok(())
    }
}

/// The place `below` within the place `path`.
fn join(path: &Pointer, below: &Pointer) -> Pointer {
    below.keys().fold(path.clone(), |place, key| place.child(&key))
}
