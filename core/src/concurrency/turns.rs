//! Turns: one at a time for each key, until all is stopped.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::platform::sync::{AtomicBool, Mutex, Ordering, OwnedTurn, TurnLock, lock};

/// Gives the turn of each key to one at a time, first come, first served.
///
/// Once [`refuse`](Self::refuse) was called and [`hold_all`](Self::hold_all) has returned after it, nobody has a turn and
/// nobody gets one, whatever was asked for before.
#[derive(Debug)]
pub struct Turns<K> {
    refused: AtomicBool,
    locks: Mutex<BTreeMap<K, Arc<TurnLock>>>,
}

impl<K: Ord> Default for Turns<K> {
    fn default() -> Self {
        Self { refused: AtomicBool::new(false), locks: Mutex::new(BTreeMap::new()) }
    }
}

impl<K: Ord + Clone> Turns<K> {
    /// Waits for the turn of `key`; `None` if turns are refused.
    pub async fn take(&self, key: &K) -> Option<OwnedTurn> {
        if self.are_refused() {
            return None;
        }
        let turn = self.of(key).lock_owned().await;
        // Whoever refuses then waits for the turns that it finds. This one may have been asked for too late to be found, or
        // have waited behind the one who refuses.
        if self.are_refused() { None } else { Some(turn) }
    }

    /// The turn of `key`, if nobody has it.
    #[must_use]
    pub fn try_take(&self, key: &K) -> Option<OwnedTurn> {
        let turn = self.of(key).try_lock_owned().ok()?;
        if self.are_refused() { None } else { Some(turn) }
    }

    /// Gives no turn from now on.
    pub fn refuse(&self) {
        self.refused.store(true, Ordering::Release);
    }

    /// Whether turns are refused.
    #[must_use]
    pub fn are_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    /// Takes the turns of all keys that were ever asked for, in their order.
    pub async fn hold_all(&self) -> Vec<OwnedTurn> {
        let locks: Vec<_> = lock(&self.locks).values().cloned().collect();
        let mut turns = Vec::with_capacity(locks.len());
        for turn in locks {
            turns.push(turn.lock_owned().await);
        }
        turns
    }

    fn of(&self, key: &K) -> Arc<TurnLock> {
        let mut locks = lock(&self.locks);
        if let Some(turn) = locks.get(key) {
            return turn.clone();
        }
        locks.entry(key.clone()).or_default().clone()
    }
}
