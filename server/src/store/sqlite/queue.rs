//! The jobs that wait for the writer: so many and no more, and taken from the scopes in turn, so that whoever has much to write
//! does not stand before everybody who has little.

use std::collections::{BTreeMap, VecDeque};

use crate::store::ScopeKey;

/// Most jobs that wait. What a job holds in memory is bounded by what a request may hold.
const MAX_WAITING: usize = 2_048;
/// Most of them of one scope: it cannot fill the queue for the others.
const MAX_WAITING_OF_SCOPE: usize = 256;

/// What waits, by scope.
pub(super) struct FairQueue<T> {
    by_scope: BTreeMap<ScopeKey, VecDeque<T>>,
    /// The scopes with jobs, in the order of their turns.
    turns: VecDeque<ScopeKey>,
    waiting: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { by_scope: BTreeMap::new(), turns: VecDeque::new(), waiting: 0 }
    }
}

impl<T> FairQueue<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Adds a job of `scope`, behind the others of the same scope.
    ///
    /// # Errors
    /// The job, if too many wait.
    pub(super) fn push(&mut self, scope: &ScopeKey, job: T) -> Result<(), T> {
        let of_scope = self.by_scope.get(scope).map_or(0, VecDeque::len);
        if self.waiting >= MAX_WAITING || of_scope >= MAX_WAITING_OF_SCOPE {
            return Err(job);
        }
        if of_scope == 0 {
            self.turns.push_back(scope.clone());
        }
        self.by_scope.entry(scope.clone()).or_default().push_back(job);
        self.waiting += 1;
        Ok(())
    }

    /// The oldest job of the scope whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        let scope = self.turns.pop_front()?;
        let jobs = self.by_scope.get_mut(&scope)?;
        let job = jobs.pop_front();
        if jobs.is_empty() {
            self.by_scope.remove(&scope);
        } else {
            self.turns.push_back(scope);
        }
        self.waiting -= usize::from(job.is_some());
        job
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_take_turns_and_each_keeps_its_order() {
        let mut queue = FairQueue::default();
        let (busy, calm) = (ScopeKey::account("busy"), ScopeKey::account("calm"));
        for job in ["b1", "b2", "b3"] {
            queue.push(&busy, job).unwrap();
        }
        queue.push(&calm, "c1").unwrap();
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, ["b1", "c1", "b2", "b3"]);
        assert!(queue.is_empty() && queue.by_scope.is_empty() && queue.turns.is_empty());
    }

    #[test]
    fn a_scope_that_fills_its_part_leaves_room_for_others_until_all_is_full() {
        let mut queue = FairQueue::default();
        for number in 0..MAX_WAITING / MAX_WAITING_OF_SCOPE {
            let scope = ScopeKey::account(&number.to_string());
            for job in 0..MAX_WAITING_OF_SCOPE {
                queue.push(&scope, job).unwrap();
            }
            assert_eq!(queue.push(&scope, 0), Err(0));
        }
        assert_eq!(queue.push(&ScopeKey::account("late"), 7), Err(7));
        assert_eq!(queue.pop(), Some(0));
        queue.push(&ScopeKey::account("late"), 7).unwrap();
    }
}
