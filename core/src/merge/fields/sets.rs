//! Arrays as sets: each element has a clock of its own, below the clock of the whole array.
//!
//! An assignment of the whole array is the parent, its elements are the children: elements that are newer stay on top of it,
//! older ones go, and are noted. Where something else was assigned, or nothing, live newer elements take its place.

use std::collections::BTreeMap;

use super::{Fields, Merge, Verdict, into_array, mismatch};
use crate::clock::Stamp;
use crate::merge::apply::{elements, set, unset};
use crate::merge::clocks::{ElementClock, LeafClock};
use crate::merge::notes::{Rule, Side};
use crate::model::{Pointer, Revision, Value, value};

impl Fields<'_> {
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
        // Whether it meets an older assignment of something else, or of nothing.
        let mut meets_other = false;
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
                Verdict::Wins => meets_other = !standing.as_ref().is_some_and(Value::is_array),
                Verdict::Seen => {}
            }
        }
        let present =
            if meets_other { Vec::new() } else { elements(path.find(&self.doc)).map_err(|_| mismatch(path))? };
        if !present.is_empty() {
            self.list_elements(path, &present);
        }
        let mut effective = false;
        for element in values {
            effective |= self.element(path, element, live, clock, base);
        }
        if meets_other && self.clocks.elements.get(path).is_some_and(|listed| listed.values().any(|other| other.live)) {
            self.displace(path, clock.side(Some(told)))?;
            self.arrange(path, clock);
        } else if !meets_other && (live || path.find(&self.doc).is_some()) {
            // Even adding nothing makes the array.
            self.arrange(path, clock);
            self.emptied.push(path.clone());
        }
        if effective || values.is_empty() {
            self.took_effect = true;
        } else {
            self.lost += 1;
        }
        Ok(())
    }

    /// Elements that are newer than an assignment of something else, or of nothing, make their array in its place.
    pub(super) fn outlive(
        &mut self,
        path: &Pointer,
        elements: BTreeMap<String, ElementClock>,
        assigned: Option<Value>,
        clock: &LeafClock,
    ) {
        let live = elements.iter().filter(|(_, element)| element.live);
        if let Some((text, newest)) = live.max_by_key(|(_, element)| &element.clock.stamp)
            && assigned.is_some()
        {
            let winner = newest.clock.side(Some(told_of(text, true)));
            self.decide(path, winner, clock.side(assigned.clone()), Rule::Parent);
        }
        self.clocks.hidden.insert(path.clone(), assigned.into_iter().collect());
        self.clocks.elements.insert(path.clone(), elements);
        self.arrange(path, clock);
    }

    /// Newer elements take the place of what is no array. It is remembered, and shows again when they are removed.
    fn displace(&mut self, path: &Pointer, winner: Side) -> Merge {
        let Some(whole) = self.clocks.at(&self.doc, path).cloned() else { return Ok(()) };
        let standing = path.find(&self.doc).cloned();
        if standing.is_some() {
            self.decide(path, winner, whole.side(standing.clone()), Rule::Stamp);
        }
        let listed = self.clocks.elements.remove(path);
        self.clocks.forget(path);
        unset(&mut self.doc, path).map_err(|_| into_array(path))?;
        self.clocks.leaves.insert(path.clone(), whole);
        self.clocks.elements.extend(listed.map(|listed| (path.clone(), listed)));
        self.clocks.hidden.insert(path.clone(), standing.into_iter().collect());
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
    pub(super) fn newer_elements(
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
                Verdict::Seen => {}
                Verdict::Loses => {
                    self.concurrent = true;
                    kept.insert(text, element);
                }
                Verdict::Wins => {
                    self.concurrent = true;
                    let value: Value = serde_json::from_str(&text).unwrap_or_default();
                    let holds = array.is_some_and(|array| array.contains(&value));
                    if holds != element.live && !told {
                        let lost = told_of(&text, element.live);
                        self.decide(path, clock.side(assigned.cloned()), element.clock.side(Some(lost)), Rule::Stamp);
                    }
                }
            }
        }
        kept
    }

    /// Builds the array from its elements' entries.
    pub(super) fn arrange(&mut self, path: &Pointer, clock: &LeafClock) {
        let present = elements(path.find(&self.doc)).unwrap_or_default();
        let whole = self.clocks.at(&self.doc, path).map_or_else(|| clock.stamp.clone(), |clock| clock.stamp.clone());
        let none = BTreeMap::new();
        let listed = self.clocks.elements.get(path).unwrap_or(&none);
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
}

/// An element's identity: its canonical text.
fn text_of(element: &Value) -> String {
    String::from_utf8(value::canonical(element)).unwrap_or_default()
}

/// How the inbox tells of the add or the remove of an element.
fn told_of(text: &str, live: bool) -> Value {
    let element: Value = serde_json::from_str(text).unwrap_or_default();
    let action = if live { "add" } else { "remove" };
    serde_json::json!({ action: [element] })
}

fn earliest(a: Option<(Stamp, Option<u32>)>, b: Option<(Stamp, Option<u32>)>) -> Option<(Stamp, Option<u32>)> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if (&b.0, b.1.is_none()) < (&a.0, a.1.is_none()) { b } else { a }),
        (a, b) => a.or(b),
    }
}
