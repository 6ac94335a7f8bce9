//! Which states an image may show, as of any moment of a record.

use std::collections::BTreeSet;

use super::disk::Survival;
use super::marks::Mark;
use super::observed::StateDigest;
use unisono::storage::Durability;

/// The states that a child has gone through, up to some moment.
#[derive(Clone, Debug)]
pub struct History {
    /// All that were acknowledged, the first being the empty replica.
    acknowledged: Vec<u64>,
    /// Made by commits that failed, or have not returned, since the last one that was acknowledged.
    possible: BTreeSet<u64>,
    begun: Option<u64>,
    accepted: Vec<String>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            acknowledged: vec![StateDigest::empty().0],
            possible: BTreeSet::new(),
            begun: None,
            accepted: Vec::new(),
        }
    }
}

impl History {
    /// Takes note of what the child says.
    ///
    /// # Panics
    /// If a commit is acknowledged that never began.
    pub fn note(&mut self, mark: &Mark) {
        match mark {
            Mark::Begin { state } => {
                self.begun = Some(*state);
                self.possible.insert(*state);
            }
            Mark::Committed => {
                self.acknowledged.push(self.begun.take().expect("a commit begins before it ends"));
                self.possible.clear();
            }
            Mark::Accepted { ids } => self.accepted.extend(ids.iter().cloned()),
            Mark::Failed { .. }
            | Mark::Refused { .. }
            | Mark::Asked { .. }
            | Mark::Answered { .. }
            | Mark::Struck
            | Mark::Step { .. } => {}
        }
    }

    /// Commits that were acknowledged.
    #[must_use]
    pub fn commits(&self) -> usize {
        self.acknowledged.len() - 1
    }

    /// Whether nothing was ever written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.commits() == 0 && self.possible.is_empty()
    }

    /// Whether an image may show `state`, if the replica promised `durability` and the loss was `survival`.
    #[must_use]
    pub fn allows(&self, state: StateDigest, durability: Durability, survival: Survival) -> bool {
        if self.possible.contains(&state.0) {
            return true;
        }
        if promises_all(durability, survival) {
            self.acknowledged.last() == Some(&state.0)
        } else {
            self.acknowledged.contains(&state.0)
        }
    }

    /// The ids that the image must know.
    #[must_use]
    pub fn promised(&self, durability: Durability, survival: Survival) -> &[String] {
        if promises_all(durability, survival) { &self.accepted } else { &[] }
    }
}

/// Whether no acknowledged write may be missing: `normal` promises that for a crash of the process alone.
pub(super) fn promises_all(durability: Durability, survival: Survival) -> bool {
    durability == Durability::Full || survival == Survival::Kept
}
