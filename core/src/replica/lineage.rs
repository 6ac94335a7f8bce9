//! Which of a device's pushes a history of the server holds.
//!
//! The server tells one number, `included`: the last push of the device in its history. While that history only grows, it
//! holds all earlier pushes too. But a server that is restored from a backup goes on without the last ones, and may later be
//! restored once more, to a copy that has these and lacks the next; and a push that was given up has a number and perhaps no
//! effect. So the pushes of a device form a tree, in which each follows the one that was the last of its history when it
//! was made, and a history holds what lies between its last push and the root.

use serde::{Deserialize, Serialize};

/// The tree of a device's pushes in one scope, as far as they do not simply follow one another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lineage(Vec<Branch>);

/// Push `first` and those after it, up to the next branch, follow push `after` (0: none). Stored as a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
struct Branch {
    first: u64,
    after: u64,
}

impl From<(u64, u64)> for Branch {
    fn from((first, after): (u64, u64)) -> Self {
        Self { first, after }
    }
}

impl From<Branch> for (u64, u64) {
    fn from(branch: Branch) -> Self {
        (branch.first, branch.after)
    }
}

impl Lineage {
    /// Branches that are kept. Beyond it the oldest are taken for pushes that followed one another: who asks about them has kept
    /// an event through as many restores and pushes given up.
    const MOST: usize = 64;

    /// Takes note that whatever is pushed after push `last` follows push `included`.
    pub fn follow(&mut self, last: u64, included: u64) {
        let (first, after) = (last.saturating_add(1), included.min(last));
        if self.0.last().is_some_and(|branch| branch.first == first) {
            self.0.pop();
        }
        if after < last {
            self.0.push(Branch { first, after });
        }
        if self.0.len() > Self::MOST {
            self.0.remove(0);
        }
    }

    /// The server tells that the last push, `push`, follows `previous`. Where one before it had been given up, that may be more
    /// than the pull thereafter could tell: it arrived late.
    pub fn learn(&mut self, push: u64, previous: u64) {
        if self.0.last().is_some_and(|branch| branch.first == push && branch.after < previous) {
            self.follow(push.saturating_sub(1), previous);
        }
    }

    /// Whether a history whose last push is `included` holds `push`.
    #[must_use]
    pub fn holds(&self, included: u64, push: u64) -> bool {
        let mut last = included;
        for branch in self.0.iter().rev().filter(|branch| branch.first <= included) {
            if last >= branch.first {
                if push >= branch.first {
                    break;
                }
                last = branch.after;
            }
        }
        push <= last
    }

    /// Whether the history that the replica follows holds `push`, as far as the device knows.
    #[must_use]
    pub fn holds_now(&self, push: u64) -> bool {
        self.holds(u64::MAX, push)
    }

    /// Whether all pushes follow one another.
    #[must_use]
    pub fn is_straight(&self) -> bool {
        self.0.is_empty()
    }
}

/// The pushes that carried an event: of each, some history may hold the effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sendings(Vec<u64>);

impl Sendings {
    /// Adds push `push`, the last that was made.
    pub fn add(&mut self, push: u64) {
        if self.0.last() != Some(&push) {
            self.0.push(push);
        }
    }

    /// Forgets all that a history up to push `included` holds: it has judged the event and taken no effect.
    pub fn remove_held(&mut self, lineage: &Lineage, included: u64) {
        self.0.retain(|push| !lineage.holds(included, *push));
    }

    /// Whether a history whose last push is `included` holds one of them.
    #[must_use]
    pub fn are_held(&self, lineage: &Lineage, included: u64) -> bool {
        self.0.iter().any(|push| lineage.holds(included, *push))
    }

    /// Whether the history that the replica follows holds one of them, as far as the device knows.
    #[must_use]
    pub fn are_held_now(&self, lineage: &Lineage) -> bool {
        self.0.iter().any(|push| lineage.holds_now(*push))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pushes_follow_one_another_where_nothing_says_otherwise() {
        let mut lineage = Lineage::default();
        lineage.follow(3, 3);
        assert!(lineage.is_straight());
        assert!(lineage.holds(3, 1) && lineage.holds(3, 3) && !lineage.holds(3, 4) && !lineage.holds(0, 1));
    }

    #[test]
    fn a_history_that_comes_back_holds_what_it_held() {
        let mut lineage = Lineage::default();
        // Push 1 is lost with a restore, 2 is made, and the copy with 1 comes back.
        lineage.follow(1, 0);
        assert!(lineage.holds(2, 2) && !lineage.holds(2, 1) && lineage.holds(1, 1) && !lineage.holds(1, 2));
        lineage.follow(2, 1);
        assert!(lineage.holds(3, 1) && !lineage.holds(3, 2));
        assert!(lineage.holds_now(1) && !lineage.holds_now(2) && lineage.holds_now(3));
    }

    #[test]
    fn a_push_that_was_given_up_and_arrives_late_is_held_by_what_follows_it() {
        let mut lineage = Lineage::default();
        lineage.follow(2, 1);
        assert!(!lineage.holds(3, 2));
        lineage.learn(3, 1);
        assert!(!lineage.holds(3, 2));
        lineage.learn(3, 2);
        assert!(lineage.holds(3, 2) && lineage.is_straight());
        // A number that was never recorded carried nothing that anybody asks about.
        lineage.learn(5, 3);
        assert!(lineage.is_straight());
    }

    #[test]
    fn what_is_stored_is_small_and_damage_ends() {
        let mut lineage = Lineage::default();
        for last in 1..=200 {
            lineage.follow(last, last - 1);
            lineage.follow(last, last - 1);
        }
        let stored = serde_json::to_value(&lineage).unwrap();
        assert_eq!(stored.as_array().unwrap().len(), Lineage::MOST);
        assert_eq!(stored[63], serde_json::json!([201, 199]));
        assert!(!lineage.holds(250, 200) && lineage.holds(250, 199));
        let nonsense: Lineage = serde_json::from_str("[[5, 9], [5, 5], [2, 18446744073709551615]]").unwrap();
        assert!(nonsense.holds(7, 7));
    }

    /// What happens to a device's pushes.
    #[derive(Clone, Debug)]
    enum Step {
        /// One is recorded.
        Push,
        /// One is given up, and lost.
        GiveUp,
        /// The server keeps a copy of what it holds.
        Backup,
        /// It goes back to one.
        Restore(prop::sample::Index),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Push),
            1 => Just(Step::GiveUp),
            2 => Just(Step::Backup),
            2 => any::<prop::sample::Index>().prop_map(Step::Restore),
        ]
    }

    proptest! {
        #[test]
        fn one_number_tells_which_pushes_a_history_holds(steps in prop::collection::vec(step(), 0..60)) {
            let mut lineage = Lineage::default();
            let mut last = 0;
            let mut held = BTreeSet::new();
            let mut backups = vec![BTreeSet::new()];
            for step in steps {
                match step {
                    Step::Push => {
                        last += 1;
                        held.insert(last);
                    }
                    Step::GiveUp => last += 1,
                    Step::Backup => backups.push(held.clone()),
                    Step::Restore(copy) => held = copy.get(&backups).clone(),
                }
                // The device pulls, and learns what the history holds of it.
                let included = held.last().copied().unwrap_or(0);
                lineage.follow(last, included);
                for history in backups.iter().chain([&held]) {
                    let included = history.last().copied().unwrap_or(0);
                    for push in 1..=last {
                        prop_assert_eq!(lineage.holds(included, push), history.contains(&push), "{} in {}", push, included);
                    }
                }
                for push in 1..=last {
                    prop_assert_eq!(lineage.holds_now(push), held.contains(&push));
                }
            }
        }
    }
}
