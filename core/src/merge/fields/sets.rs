//! Arrays as sets: each element has a clock of its own, below the clock of the whole array.
//!
//! An assignment of the whole array, or of a parent, hides the elements that are older, which are noted; newer ones stay on top of
//! it. Where something else was assigned, or nothing, live newer elements take its place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::assign::{Assignment, Newer};
use super::{Fields, Kind, Merge, Verdict, Written, into_array, mismatch};
use crate::merge::apply::elements;
use crate::merge::clocks::{ElementClock, LeafClock, Placed};
use crate::merge::notes::{Rule, Side};
use crate::model::pointer::below;
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
        let loose = self.loose.contains_key(path);
        if !loose {
            self.tighten(Some(path));
        }
        let told = if live { serde_json::json!({"add": values}) } else { serde_json::json!({"remove": values}) };
        if !self.pass_parents(path, &Written { told: Some(&told), places: live, clock, base }, clock)? {
            return Ok(());
        }
        let kind = if loose { Kind::Array } else { Kind::of(path.find(self.body.doc())) };
        // Whether it meets an older assignment of something else, or of nothing.
        let mut meets_other = false;
        if let Some(whole) = self.body.clock_at(path) {
            match self.verdict(whole, clock, base) {
                Verdict::Loses => {
                    let whole = whole.clone();
                    self.lost_elements(path, values, live, whole, (kind, told), clock, base);
                    return Ok(());
                }
                Verdict::Wins => meets_other = kind != Kind::Array,
                Verdict::Seen => {}
            }
        }
        if !meets_other && !loose {
            self.list_present(path)?;
        }
        let mut effective = false;
        for element in values {
            effective |= self.element(path, element, live, clock, base);
        }
        if meets_other {
            if self.body.elements(path).is_some_and(|listed| listed.values().any(|other| other.live)) {
                self.displace(path, clock.side(Some(told)), base)?;
                self.arrange(path, clock);
            }
        } else if live || kind != Kind::Nothing {
            // Even adding nothing makes the array.
            if kind == Kind::Nothing {
                self.body.set(path, Value::Array(Vec::new())).map_err(|_| into_array(path))?;
            }
            self.loose.entry(path.clone()).or_insert_with(|| clock.clone());
            self.emptied.push(path.clone());
        }
        if effective || values.is_empty() {
            self.took_effect = true;
        } else {
            self.lose();
        }
        Ok(())
    }

    /// An assignment of the whole is newer: the elements are hidden, and noted if it says otherwise.
    #[expect(clippy::too_many_arguments, reason = "they are one write")]
    fn lost_elements(
        &mut self,
        path: &Pointer,
        values: &[Value],
        live: bool,
        whole: LeafClock,
        (kind, told): (Kind, Value),
        clock: &LeafClock,
        base: Revision,
    ) {
        self.tighten(Some(path));
        let standing = path.find(self.body.doc());
        let present: BTreeSet<String> = standing.and_then(Value::as_array).into_iter().flatten().map(text_of).collect();
        let same = kind == Kind::Array && values.iter().all(|value| present.contains(&text_of(value)) == live);
        let winner = whole.side(standing.cloned());
        self.concurrent = true;
        if !same {
            self.decide(path, winner, clock.side(Some(told)), Rule::Stamp, base);
        }
        self.lose();
    }

    /// Elements that are newer than an assignment of something else, or of nothing, make their array in its place.
    pub(super) fn outlive(&mut self, assignment: &Assignment<'_>, elements: BTreeMap<String, ElementClock>) {
        let Assignment { path, value, clock, base } = *assignment;
        if value.is_some()
            && let Some(winner) = newest_of(&elements)
        {
            self.decide(path, winner, clock.side(value.cloned()), Rule::Parent, base);
        }
        self.body.hide(path, value.cloned());
        self.body.list_elements(path, elements);
        self.arrange(path, clock);
    }

    /// Newer elements take the place of what is no array. It is remembered, and shows again when they are removed.
    fn displace(&mut self, path: &Pointer, winner: Side, base: Revision) -> Merge {
        let Some(whole) = self.body.clock_at(path).cloned() else { return Ok(()) };
        let standing = path.find(self.body.doc()).cloned();
        if standing.is_some() {
            self.decide(path, winner, whole.side(standing.clone()), Rule::Stamp, base);
        }
        let listed = self.body.elements(path).cloned();
        self.body.forget(path);
        self.body.unset(path).map_err(|_| into_array(path))?;
        self.body.list(path, whole);
        self.body.list_elements(path, listed.unwrap_or_default());
        self.body.hide(path, standing);
        Ok(())
    }

    /// Gives every element that came with an assignment of the array an entry, so that its place in the order is kept.
    fn list_present(&mut self, path: &Pointer) -> Merge {
        let present = elements(path.find(self.body.doc())).map_err(|_| mismatch(path))?;
        let common = self.body.clocks().common.as_ref();
        let Some(whole) = self.body.clock_at(path).or(common) else { return Ok(()) };
        let listed = self.body.elements(path);
        let (shared, mut fresh) = (Arc::new(whole.clone()), Vec::new());
        for (index, element) in present.iter().enumerate() {
            let text = text_of(element);
            if listed.is_none_or(|listed| !listed.contains_key(&text)) {
                let first = Placed { stamp: whole.stamp.clone(), index: u32::try_from(index).ok(), op: 0 };
                fresh.push((text, ElementClock { clock: Arc::clone(&shared), live: true, first: Some(first) }));
            }
        }
        // Of equal elements the first one counts.
        for (text, element) in fresh.into_iter().rev() {
            self.body.list_element(path, text, element);
        }
        Ok(())
    }

    /// One element; returns whether the write took effect on it.
    fn element(&mut self, path: &Pointer, element: &Value, live: bool, clock: &LeafClock, base: Revision) -> bool {
        let text = text_of(element);
        let first = Some(Placed { stamp: clock.stamp.clone(), index: None, op: self.op });
        let Some(existing) = self.body.elements(path).and_then(|listed| listed.get(&text)) else {
            let next = ElementClock { clock: Arc::new(clock.clone()), live, first: first.filter(|_| live) };
            self.body.list_element(path, text, next);
            return true;
        };
        let existing = existing.clone();
        let verdict = self.verdict(&existing.clock, clock, base);
        // The order is by the first add of this life of the element: an add in sight of its removal begins anew.
        let first = match (live, existing.live, verdict) {
            (true, false, Verdict::Seen) => first,
            (true, _, _) => earliest(existing.first.clone(), first),
            (false, _, _) => existing.first.clone(),
        };
        let told = |live: bool| live.then(|| element.clone());
        match verdict {
            Verdict::Loses => {
                let winner = existing.clock.side(told(existing.live));
                self.decide(path, winner, clock.side(told(live)), Rule::Stamp, base);
                let effective = existing.live == live;
                self.body.list_element(path, text, ElementClock { first, ..existing });
                return effective;
            }
            Verdict::Wins => {
                let loser = existing.clock.side(told(existing.live));
                self.decide(path, clock.side(told(live)), loser, Rule::Stamp, base);
            }
            Verdict::Seen => {}
        }
        self.body.list_element(path, text, ElementClock { clock: Arc::new(clock.clone()), live, first });
        true
    }

    /// Element writes that are newer than an assignment of the whole array stay, on top of the assigned elements. Those that
    /// are older lose, and are noted as if they had come after it.
    pub(super) fn newer_elements(&mut self, assignment: &Assignment<'_>) -> BTreeMap<String, ElementClock> {
        let Assignment { path, value, clock, base } = *assignment;
        let Some(listed) = self.body.elements(path).cloned() else { return BTreeMap::new() };
        let whole = self.body.clock_at(path).cloned();
        // Then the standing array has been noted as a whole.
        let told = whole.as_ref().is_some_and(|whole| self.verdict(whole, clock, base) == Verdict::Wins);
        let assigned = value.and_then(Value::as_array).into_iter().flatten();
        let assigned: BTreeSet<String> = assigned.map(text_of).collect();
        let mut kept = BTreeMap::new();
        for (text, element) in listed {
            if whole.as_ref() == Some(&*element.clock) {
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
                    if assigned.contains(&text) != element.live && !told {
                        let lost = element.clock.side(Some(told_of(&text, element.live)));
                        self.decide(path, clock.side(value.cloned()), lost, Rule::Stamp, base);
                    }
                }
            }
        }
        kept
    }

    /// The same for the sets below the place of an assignment.
    pub(super) fn sets_below(
        &mut self,
        assignment: &Assignment<'_>,
        leaves: &BTreeMap<Pointer, Value>,
        newer: &mut Newer,
    ) {
        let Assignment { path, clock, base, .. } = *assignment;
        let sets: Vec<_> =
            below(&self.body.clocks().elements, path).map(|(place, listed)| (place.clone(), listed.clone())).collect();
        for (place, listed) in sets {
            if newer.governs(&place) {
                newer.keep_set(place, listed);
                continue;
            }
            let assigned = leaves.get(&place);
            let here = Assignment { path: &place, value: assigned, clock, base };
            let kept = self.newer_elements(&here);
            let is_array = assigned.is_some_and(Value::is_array);
            if !is_array && kept.values().any(|element| element.live) {
                if below(leaves, &place).next().is_some() || newer.lives_below(&place) {
                    // Its place is taken by an object.
                    if let Some(lost) = newest_of(&kept) {
                        self.decide(&place, clock.side(None), lost, Rule::Parent, base);
                    }
                    continue;
                }
                let live = kept.values().filter(|element| element.live).map(|element| &*element.clock);
                if let Some(newest) = live.max_by(|a, b| a.stamp.cmp(&b.stamp)) {
                    newer.make(place.clone(), newest.clone(), Value::Array(in_order(&kept)));
                }
            }
            newer.keep_set(place, kept);
        }
    }

    /// Builds the array from its elements' entries.
    pub(super) fn arrange(&mut self, path: &Pointer, clock: &LeafClock) {
        let present = elements(path.find(self.body.doc())).unwrap_or_default();
        let whole = self.body.clock_at(path).map_or(&clock.stamp, |clock| &clock.stamp);
        let none = BTreeMap::new();
        let listed = self.body.elements(path).unwrap_or(&none);
        let mut stood: BTreeMap<String, usize> = BTreeMap::new();
        let mut order: Vec<(Placed, String)> = Vec::new();
        for (index, element) in present.iter().enumerate() {
            let text = text_of(element);
            if !listed.contains_key(&text) {
                let place = Placed { stamp: whole.clone(), index: u32::try_from(index).ok(), op: 0 };
                order.push((place, text.clone()));
            }
            stood.entry(text).or_insert(index);
        }
        let live = listed.iter().filter(|(_, element)| element.live);
        order.extend(live.filter_map(|(text, element)| Some((element.first.clone()?, text.clone()))));
        order.sort();
        // What a replica that knows no clocks makes of it: what stood there in its order, and behind it what was added.
        let places = order.iter().map(|(_, text)| stood.get(text).copied().unwrap_or(usize::MAX));
        self.as_applied &= places.is_sorted();
        let array = order.iter().filter_map(|(_, text)| serde_json::from_str(text).ok()).collect();
        let _ = self.body.set(path, Value::Array(array));
    }
}

/// The elements that are in the set, in its order.
fn in_order(listed: &BTreeMap<String, ElementClock>) -> Vec<Value> {
    let live = listed.iter().filter(|(_, element)| element.live);
    let mut order: Vec<_> = live.map(|(text, element)| (&element.first, text)).collect();
    order.sort();
    order.iter().filter_map(|(_, text)| serde_json::from_str(text).ok()).collect()
}

/// The newest element that is in the set, for the inbox.
fn newest_of(listed: &BTreeMap<String, ElementClock>) -> Option<Side> {
    let live = listed.iter().filter(|(_, element)| element.live);
    let newest = live.max_by_key(|(_, element)| &element.clock.stamp);
    newest.map(|(text, element)| element.clock.side(Some(told_of(text, true))))
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

fn earliest(a: Option<Placed>, b: Option<Placed>) -> Option<Placed> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
