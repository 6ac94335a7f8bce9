//! Increments. They are no assignments: they count on top of the assignment that governs their place (the newest of the place
//! itself or of a parent), if that had not seen them: whatever the stamps where it gave the place a value, or took it away; where
//! it is a parent's, which says nothing of the place, only if they are newer. What does not count is noted.

use std::collections::BTreeMap;

use super::assign::{Assignment, Newer};
use super::{Fields, Merge, Verdict, Written, into_array, mismatch};
use crate::merge::apply::increment;
use crate::merge::clocks::LeafClock;
use crate::merge::history::Increment;
use crate::merge::notes::{Rule, Side};
use crate::model::pointer::below;
use crate::model::{Pointer, Revision, Value};

impl Increment {
    /// How the inbox tells of it.
    fn side(&self) -> Side {
        self.clock.side(Some(told_of(self.by)))
    }
}

fn told_of(by: i64) -> Value {
    serde_json::json!({"inc": by})
}

impl Fields<'_> {
    /// `inc`: both sides' increments count once.
    pub fn increment(&mut self, path: &Pointer, by: i64, clock: &LeafClock, base: Revision) -> Merge {
        self.tighten(Some(path));
        let told = told_of(by);
        let written = Written { told: Some(&told), places: true, clock, base };
        // What governs the place itself is newer than every assignment above it: it makes room for both.
        let governing = self.body.clocks().leaves.get(path).cloned();
        if !self.pass_parents(path, &written, governing.as_ref().unwrap_or(clock))? {
            return Ok(());
        }
        let sum = increment(path.find(self.body.doc()), by).map_err(|_| mismatch(path))?;
        self.met_foreign(path, base);
        self.body.set(path, sum).map_err(|_| into_array(path))?;
        self.took_effect = true;
        Ok(())
    }

    /// Counts the increments that the writer of an assignment had not seen: on top of the leaves that it assigns, or as something
    /// newer that it does not hide.
    pub(super) fn count(
        &mut self,
        assignment: &Assignment<'_>,
        leaves: &mut BTreeMap<Pointer, Value>,
        newer: &mut Newer,
    ) {
        let Assignment { path, value, clock, base } = *assignment;
        let found = self.history.increments(path, &self.write.author.device, self.since(base));
        for (place, increments) in found {
            if newer.governs(&place) {
                // Whatever of them counts stands there already.
                continue;
            }
            let at_it = leaves.contains_key(&place) || (place == *path && value.is_none());
            let among = below(leaves, &place).next().is_some() || newer.lives_below(&place);
            let mut sum = leaves.get(&place).cloned();
            let mut last = None;
            for counted in increments {
                let counts = !among && (at_it || self.verdict(&counted.clock, clock, base) == Verdict::Loses);
                match increment(sum.as_ref(), counted.by) {
                    Ok(next) if counts => {
                        self.concurrent = true;
                        sum = Some(next);
                        last = Some(counted.clock);
                    }
                    _ => {
                        let winner = clock.side(sum.clone());
                        let rule = if at_it { self.rule } else { Rule::Parent };
                        self.decide(&place, winner, counted.side(), rule, base);
                    }
                }
            }
            if let (Some(sum), Some(last)) = (sum, last) {
                if at_it {
                    leaves.insert(place, sum);
                } else {
                    newer.make(place, last, sum);
                }
            }
        }
    }
}
