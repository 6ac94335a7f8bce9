//! `set` and `unset`: the newest assignment of a place holds, and hides what is older at and below it.

use std::collections::BTreeMap;

use super::{Fields, Kind, Merge, Verdict, Written, into_array};
use crate::merge::body::Standing;
use crate::merge::clocks::{ElementClock, LeafClock, is_leaf};
use crate::merge::notes::Rule;
use crate::model::pointer::below;
use crate::model::{Pointer, Revision, Value, leaves_of};

/// An assignment on its way to its place.
pub(super) struct Assignment<'w> {
    pub path: &'w Pointer,
    /// `None` takes the field away.
    pub value: Option<&'w Value>,
    pub clock: &'w LeafClock,
    pub base: Revision,
}

/// What is newer than an assignment at or above its place, and stays on top of it.
#[derive(Default)]
pub(super) struct Newer {
    /// Places that were assigned since, or made by increments and elements since.
    places: BTreeMap<Pointer, Standing>,
    /// Clocks of sets' elements.
    sets: BTreeMap<Pointer, BTreeMap<String, ElementClock>>,
}

impl Newer {
    /// Whether an assignment that is newer governs `place`, which lies below `path`.
    pub fn governs(&self, place: &Pointer) -> bool {
        self.places.contains_key(place)
            || place.ancestors().filter_map(|above| self.places.get(above)).any(|standing| standing.listed)
    }

    /// What takes the place of a leaf that is assigned at `place`: something at it, above it, or alive below it.
    fn blocks(&self, place: &Pointer) -> Option<(&Pointer, &Standing)> {
        let above = place.ancestors().find_map(|above| self.places.get_key_value(above));
        let alive = |(_, standing): &(&Pointer, &Standing)| standing.value.is_some();
        above.or_else(|| self.places.get_key_value(place)).or_else(|| below(&self.places, place).find(alive))
    }

    /// Something that an increment or an element has made at `place`.
    pub fn make(&mut self, place: Pointer, clock: LeafClock, value: Value) {
        self.places.insert(place, Standing { clock, value: Some(value), listed: false });
    }

    /// Whether something newer lives below `place`.
    pub fn lives_below(&self, place: &Pointer) -> bool {
        below(&self.places, place).any(|(_, standing)| standing.value.is_some())
    }

    pub fn keep_set(&mut self, place: Pointer, elements: BTreeMap<String, ElementClock>) {
        self.sets.insert(place, elements);
    }

    fn lives(&self) -> bool {
        self.places.values().any(|standing| standing.value.is_some())
    }
}

impl Fields<'_> {
    /// `set` (with a value) and `unset`.
    pub fn assign(&mut self, path: &Pointer, value: Option<Value>, clock: &LeafClock, base: Revision) -> Merge {
        self.tighten(Some(path));
        let written = Written { told: value.as_ref(), places: value.is_some(), clock, base };
        if !self.pass_parents(path, &written, clock)? {
            return Ok(());
        }
        let assignment = Assignment { path, value: value.as_ref(), clock, base };
        // An assignment of the very place that is newer hides all of this one.
        if let Some(existing) = self.body.clock_at(path)
            && self.verdict(existing, clock, base) == Verdict::Loses
        {
            let winner = existing.side(path.find(self.body.doc()).cloned());
            self.decide(path, winner, clock.side(value), self.rule, base);
            self.lose();
            return Ok(());
        }
        let mut leaves: BTreeMap<Pointer, Value> = match &value {
            Some(value) if !is_leaf(value) => {
                leaves_of(value).into_iter().map(|(place, value)| (path.join(&place), value)).collect()
            }
            value => value.iter().map(|value| (path.clone(), value.clone())).collect(),
        };
        let mut newer = self.outlived(&assignment, &leaves);
        self.count(&assignment, &mut leaves, &mut newer);
        let elements = self.newer_elements(&assignment);
        self.sets_below(&assignment, &leaves, &mut newer);

        self.body.forget(path);
        self.body.unset(path).map_err(|_| into_array(path))?;
        self.body.list(path, clock.clone());
        // Even where newer children outlive all of its value, it has hidden what was older.
        self.took_effect = true;
        if !value.as_ref().is_some_and(Value::is_array) && elements.values().any(|element| element.live) {
            for (place, standing) in newer.places {
                if standing.listed {
                    self.body.list(&place, standing.clock);
                } else {
                    // Made below what is an array now.
                    let loser = standing.clock.side(standing.value);
                    self.decide(&place, clock.side(None), loser, Rule::Parent, base);
                }
            }
            self.outlive(&assignment, elements);
            return Ok(());
        }
        if value.as_ref().is_some_and(Value::is_object) {
            // Stays an object even where newer writes have removed every field of it.
            let _ = self.body.set(path, Value::Object(serde_json::Map::new()));
        }
        if value.is_none() {
            self.emptied.push(path.clone());
            if newer.lives() {
                self.body.hide(path, None);
            }
        }
        self.place_leaves(&assignment, leaves, &newer)?;
        self.place_newer(newer)?;
        if !elements.is_empty() {
            self.body.list_elements(path, elements);
            if value.is_some_and(|value| value.is_array()) {
                self.arrange(path, clock);
            }
        }
        Ok(())
    }

    /// Decides the assignment against all that stands or was taken away at and below its place, and tells what is newer.
    fn outlived(&mut self, assignment: &Assignment<'_>, leaves: &BTreeMap<Pointer, Value>) -> Newer {
        let Assignment { path, value, clock, base } = *assignment;
        let mut newer = Newer::default();
        for (place, standing) in self.body.at_or_below(path) {
            match self.verdict(&standing.clock, clock, base) {
                Verdict::Seen => {}
                Verdict::Wins => {
                    self.concurrent = true;
                    if standing.value.is_some() {
                        let rule = if place == *path { self.rule } else { Rule::Parent };
                        let new = leaves.get(&place).or(value.filter(|_| place == *path)).cloned();
                        self.decide(&place, clock.side(new), standing.clock.side(standing.value), rule, base);
                    }
                }
                Verdict::Loses => {
                    self.concurrent = true;
                    newer.places.insert(place, standing);
                }
            }
        }
        newer
    }

    /// Puts the assigned leaves in their places, but for those that something newer holds.
    fn place_leaves(&mut self, assignment: &Assignment<'_>, leaves: BTreeMap<Pointer, Value>, newer: &Newer) -> Merge {
        let Assignment { clock, base, .. } = *assignment;
        for (place, new) in leaves {
            let Some((at, standing)) = newer.blocks(&place) else {
                self.body.set(&place, new).map_err(|_| into_array(&place))?;
                self.body.list(&place, clock.clone());
                continue;
            };
            if at.is_below(&place) || (*at == place && !standing.listed) {
                // It would show again if that were taken away.
                self.body.hide(&place, Some(new.clone()));
                self.body.list(&place, clock.clone());
            }
            let winner = standing.clock.side(standing.value.clone());
            self.decide(&place, winner, clock.side(Some(new)), Rule::Parent, base);
        }
        Ok(())
    }

    /// Puts what is newer than an assignment on top of it.
    fn place_newer(&mut self, newer: Newer) -> Merge {
        for (place, standing) in newer.places {
            if let Some(value) = standing.value {
                self.body.set(&place, value).map_err(|_| into_array(&place))?;
            }
            if standing.listed {
                self.body.list(&place, standing.clock);
            }
        }
        for (place, elements) in newer.sets {
            let newest = elements.values().map(|element| &element.clock).max_by_key(|clock| &clock.stamp).cloned();
            self.body.list_elements(&place, elements);
            if let Some(newest) = newest
                && Kind::of(place.find(self.body.doc())) == Kind::Array
            {
                self.arrange(&place, &newest);
            }
        }
        Ok(())
    }
}
