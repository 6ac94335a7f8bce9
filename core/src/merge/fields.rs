//! Fields under their clocks: how each operation meets what stands at its place.
//!
//! The model behind it: every place holds the newest assignment (a value, or nothing), and an assignment hides everything
//! older at or below its place. "Newer" is decided by sight first (who had seen the other's write is newer), then by
//! stamp. Since stamps respect sight (they are lifted), the outcome does not depend on the order of arrival.

use std::collections::BTreeMap;

use super::apply::{edit_text, elements, increment, set, unset};
use super::clocks::{ElementClock, LeafClock, LeafClocks, is_leaf};
use super::decide::{LoggedWrite, Refusal, Write};
use super::notes::{Decision, Rule, Side};
use super::record::StoredRecord;
use crate::clock::Stamp;
use crate::model::{OpKind, Pointer, Policy, Revision, TextEdit, Value, leaves_of, value};

/// A record's fields while a write is merged into them.
pub(super) struct Fields<'a> {
    doc: Value,
    clocks: LeafClocks,
    foreign: &'a [&'a LoggedWrite],
    write: &'a Write<'a>,
    rule: Rule,
    decisions: Vec<Decision>,
    took_effect: bool,
    concurrent: bool,
    lost: usize,
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
            foreign,
            write,
            rule,
            decisions: Vec::new(),
            took_effect: false,
            concurrent: false,
            lost: 0,
        }
    }

    pub fn finish(self) -> FieldsOutcome {
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
            self.arrange(path, clock);
        }
        if value.is_none() {
            self.uncover(path);
        }
        // Even where newer children outlive all of its value, it has hidden what was older.
        self.took_effect = true;
        Ok(())
    }

    /// Shows the hidden values of parents that have no live child left.
    fn uncover(&mut self, path: &Pointer) {
        for ancestor in std::iter::successors(path.parent(), Pointer::parent) {
            let Some(hidden) = self.clocks.hidden.get(&ancestor).cloned() else { continue };
            let below = ancestor.find(&self.doc).map(leaves_of).unwrap_or_default();
            let live = below
                .into_iter()
                .any(|(place, value)| !value.is_object() || self.clocks.leaves.contains_key(&join(&ancestor, &place)));
            if !live {
                self.clocks.hidden.remove(&ancestor);
                let _ = match hidden.into_iter().next() {
                    Some(value) => set(&mut self.doc, &ancestor, value),
                    None => unset(&mut self.doc, &ancestor),
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

    /// Increments that the assigning writer had not seen count on top of its value, or of nothing.
    fn with_increments(&mut self, path: &Pointer, value: Option<&Value>, base: Revision) -> Option<Value> {
        let mut sum = value.cloned();
        for logged in self.foreign.iter().filter(|logged| logged.revision > base) {
            for op in &logged.event.ops {
                if let OpKind::Inc { by } = op.kind
                    && op.path == *path
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
        let met = self.foreign.iter().any(|logged| {
            logged.revision > base
                && (logged.event.ops.iter().any(|op| op.path.overlaps(path)) || logged.event.doc.is_some())
        });
        self.concurrent |= met;
        met
    }

    /// `add` and `remove`: each element has a clock of its own, below the clock of the whole array.
    pub fn elements(
        &mut self,
        path: &Pointer,
        values: &[Value],
        live: bool,
        clock: &LeafClock,
        base: Revision,
    ) -> Merge {
        let told = if live { serde_json::json!({"add": values}) } else { serde_json::json!({"remove": values}) };
        if !self.pass_parents(path, Some(&told), live, clock, base)? {
            return Ok(());
        }
        if let Some(whole) = self.clocks.at(&self.doc, path).cloned() {
            let standing = path.find(&self.doc).cloned();
            match self.verdict(&whole, clock, base) {
                Verdict::Loses => {
                    let same = standing
                        .as_ref()
                        .and_then(Value::as_array)
                        .is_some_and(|array| values.iter().all(|value| array.contains(value) == live));
                    self.concurrent = true;
                    if !same {
                        self.decide(path, whole.side(standing), clock.side(Some(told)), Rule::Stamp);
                    }
                    self.lost += 1;
                    return Ok(());
                }
                Verdict::Wins if standing.as_ref().is_some_and(|value| !value.is_array()) => {
                    self.decide(path, clock.side(Some(told)), whole.side(standing), Rule::Stamp);
                    self.clocks.forget(path);
                    unset(&mut self.doc, path).map_err(|_| into_array(path))?;
                    self.clocks.leaves.insert(path.clone(), whole);
                }
                Verdict::Wins | Verdict::Seen => {}
            }
        }
        let present = elements(path.find(&self.doc)).map_err(|_| mismatch(path))?;
        if !live && path.find(&self.doc).is_none() && !self.clocks.elements.contains_key(path) && values.is_empty() {
            return Ok(());
        }
        self.list_elements(path, &present);
        if live {
            // Even adding nothing makes the array.
            self.clocks.elements.entry(path.clone()).or_default();
        }
        let mut effective = false;
        for element in values {
            effective |= self.element(path, element, live, clock, base);
        }
        if live || path.find(&self.doc).is_some() {
            self.arrange(path, clock);
        }
        if effective {
            self.took_effect = true;
        } else if !values.is_empty() {
            self.lost += 1;
        } else {
            self.took_effect = true;
        }
        Ok(())
    }

    /// Gives every element that came with an assignment of the array an entry, so that its place in the order is kept.
    fn list_elements(&mut self, path: &Pointer, present: &[Value]) {
        let Some(whole) = self.clocks.at(&self.doc, path).or(self.clocks.common.as_ref()).cloned() else { return };
        let listed = self.clocks.elements.entry(path.clone()).or_default();
        for (index, element) in present.iter().enumerate() {
            listed.entry(text_of(element)).or_insert_with(|| ElementClock {
                clock: whole.clone(),
                live: true,
                first: Some((whole.stamp.clone(), u32::try_from(index).ok())),
            });
        }
    }

    /// One element; returns whether the write took effect on it.
    fn element(&mut self, path: &Pointer, element: &Value, live: bool, clock: &LeafClock, base: Revision) -> bool {
        let text = text_of(element);
        let existing = self.clocks.elements.get(path).and_then(|listed| listed.get(&text)).cloned();
        let first = Some((clock.stamp.clone(), None));
        let next = match existing {
            None => ElementClock { clock: clock.clone(), live, first: first.filter(|_| live) },
            Some(existing) => {
                let verdict = self.verdict(&existing.clock, clock, base);
                if verdict != Verdict::Seen {
                    self.concurrent = true;
                }
                // The order is by the first add of this life of the element: an add in sight of its removal begins anew.
                let first = match (live, existing.live, verdict) {
                    (true, false, Verdict::Seen) => first,
                    (true, _, _) => earliest(existing.first.clone(), first),
                    (false, _, _) => existing.first.clone(),
                };
                if verdict == Verdict::Loses {
                    if existing.live != live {
                        let told = |live: bool| live.then(|| element.clone());
                        self.decide(
                            path,
                            existing.clock.side(told(existing.live)),
                            clock.side(told(live)),
                            Rule::Stamp,
                        );
                    }
                    if let Some(listed) = self.clocks.elements.get_mut(path) {
                        listed.insert(text, ElementClock { first, ..existing.clone() });
                    }
                    return existing.live == live;
                }
                if verdict == Verdict::Wins && existing.live != live {
                    let told = |live: bool| live.then(|| element.clone());
                    self.decide(path, clock.side(told(live)), existing.clock.side(told(existing.live)), Rule::Stamp);
                }
                ElementClock { clock: clock.clone(), live, first }
            }
        };
        self.clocks.elements.entry(path.clone()).or_default().insert(text, next);
        true
    }

    /// Element writes that are newer than an assignment of the whole array stay, on top of the assigned elements. Those that
    /// are older lose, and are noted as if they had come after it.
    fn newer_elements(
        &mut self,
        path: &Pointer,
        clock: &LeafClock,
        base: Revision,
        assigned: Option<&Value>,
    ) -> BTreeMap<String, ElementClock> {
        let Some(listed) = self.clocks.elements.get(path).cloned() else { return BTreeMap::new() };
        let whole = self.clocks.at(&self.doc, path).cloned();
        // Then the standing array has been noted as a whole.
        let told = whole.as_ref().is_some_and(|whole| self.verdict(whole, clock, base) == Verdict::Wins);
        let array = assigned.and_then(Value::as_array);
        let mut kept = BTreeMap::new();
        for (text, element) in listed {
            if whole.as_ref() == Some(&element.clock) {
                continue;
            }
            match self.verdict(&element.clock, clock, base) {
                Verdict::Loses if array.is_some() => drop(kept.insert(text, element)),
                Verdict::Seen => {}
                Verdict::Loses => self.concurrent = true,
                Verdict::Wins => {
                    self.concurrent = true;
                    let value: Value = serde_json::from_str(&text).unwrap_or_default();
                    let holds = array.is_some_and(|array| array.contains(&value));
                    if holds != element.live && !told {
                        let action = if element.live { "add" } else { "remove" };
                        let lost = serde_json::json!({ action: [value] });
                        self.decide(path, clock.side(assigned.cloned()), element.clock.side(Some(lost)), Rule::Stamp);
                    }
                }
            }
        }
        kept
    }

    /// Builds the array from its elements' entries.
    fn arrange(&mut self, path: &Pointer, clock: &LeafClock) {
        let present = elements(path.find(&self.doc)).unwrap_or_default();
        let whole = self.clocks.at(&self.doc, path).map_or_else(|| clock.stamp.clone(), |clock| clock.stamp.clone());
        let Some(listed) = self.clocks.elements.get(path) else { return };
        let mut order: Vec<(Stamp, Option<u32>, String)> = Vec::new();
        for (index, element) in present.iter().enumerate() {
            let text = text_of(element);
            if !listed.contains_key(&text) {
                order.push((whole.clone(), u32::try_from(index).ok(), text));
            }
        }
        for (text, element) in listed {
            if let Some((stamp, index)) = element.first.clone().filter(|_| element.live) {
                order.push((stamp, index, text.clone()));
            }
        }
        // Elements of an assignment come before those that were added at the same moment.
        order.sort_by(|a, b| (&a.0, a.1.is_none(), a.1, &a.2).cmp(&(&b.0, b.1.is_none(), b.1, &b.2)));
        let array = order.iter().filter_map(|(_, _, text)| serde_json::from_str(text).ok()).collect();
        let _ = set(&mut self.doc, path, Value::Array(array));
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

/// An element's identity: its canonical text.
fn text_of(element: &Value) -> String {
    String::from_utf8(value::canonical(element)).unwrap_or_default()
}

fn earliest(a: Option<(Stamp, Option<u32>)>, b: Option<(Stamp, Option<u32>)>) -> Option<(Stamp, Option<u32>)> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if (&b.0, b.1.is_none()) < (&a.0, a.1.is_none()) { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// The place `below` within the place `path`.
fn join(path: &Pointer, below: &Pointer) -> Pointer {
    below.keys().fold(path.clone(), |place, key| place.child(&key))
}
