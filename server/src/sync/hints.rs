//! Hints: who waits to hear that there is something to pull.
//!
//! A hint says "this scope moved", nothing else, so hints that nobody has taken yet fold into one: a slow listener costs no
//! memory and misses nothing (pitfall B21). The pull tells what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use unisono::model::Scope;
use unisono::transport::LiveHint;

use super::principal::Principal;
use crate::store::ScopeKey;

/// The listeners, by scope.
#[derive(Debug, Default)]
pub(super) struct Hints {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    by_scope: BTreeMap<ScopeKey, BTreeMap<u64, Arc<Listener>>>,
    closed: bool,
}

#[derive(Debug)]
struct Listener {
    /// The scopes listened to, under their keys.
    scopes: BTreeMap<ScopeKey, Scope>,
    moved: Mutex<Moved>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Moved {
    scopes: BTreeSet<ScopeKey>,
    closed: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can panic half-way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Listener {
    fn tell(&self, scopes: impl IntoIterator<Item = ScopeKey>) {
        lock(&self.moved).scopes.extend(scopes);
        self.wake.notify_one();
    }

    fn close(&self) {
        lock(&self.moved).closed = true;
        self.wake.notify_one();
    }
}

impl Hints {
    /// Listens to all scopes of `principal`.
    pub(super) fn listen(self: &Arc<Self>, principal: &Principal) -> HintReader {
        let mut state = lock(&self.state);
        let listener = Arc::new(Listener {
            scopes: principal.scopes().collect(),
            moved: Mutex::new(Moved { scopes: BTreeSet::new(), closed: state.closed }),
            wake: Notify::new(),
        });
        let number = state.next;
        state.next += 1;
        for key in listener.scopes.keys() {
            state.by_scope.entry(key.clone()).or_default().insert(number, Arc::clone(&listener));
        }
        HintReader { hints: Arc::clone(self), number, listener }
    }

    /// Tells the listeners of `scope` that it moved.
    pub(super) fn tell(&self, scope: &ScopeKey) {
        for listener in lock(&self.state).by_scope.get(scope).into_iter().flat_map(BTreeMap::values) {
            listener.tell([scope.clone()]);
        }
    }

    /// Tells the listeners of `scope` to pull everything that they listen to. Returns how many they are.
    pub(super) fn tell_all(&self, scope: &ScopeKey) -> u64 {
        let state = lock(&self.state);
        let Some(listeners) = state.by_scope.get(scope) else { return 0 };
        for listener in listeners.values() {
            listener.tell(listener.scopes.keys().cloned());
        }
        listeners.len() as u64
    }

    /// Ends every listener, and those to come.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.by_scope.values().flat_map(BTreeMap::values).for_each(|listener| listener.close());
    }
}

/// Hears that scopes moved; stops listening when dropped.
#[derive(Debug)]
pub struct HintReader {
    hints: Arc<Hints>,
    number: u64,
    listener: Arc<Listener>,
}

impl HintReader {
    /// Waits for the next hint; `None` once the service is closed. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<LiveHint> {
        loop {
            {
                let mut moved = lock(&self.listener.moved);
                if moved.closed {
                    return None;
                }
                while let Some(key) = moved.scopes.pop_first() {
                    if let Some(scope) = self.listener.scopes.get(&key) {
                        return Some(LiveHint { scope: scope.clone() });
                    }
                }
            }
            self.listener.wake.notified().await;
        }
    }
}

impl Drop for HintReader {
    fn drop(&mut self) {
        let mut state = lock(&self.hints.state);
        for key in self.listener.scopes.keys() {
            if let Some(listeners) = state.by_scope.get_mut(key) {
                listeners.remove(&self.number);
                if listeners.is_empty() {
                    state.by_scope.remove(key);
                }
            }
        }
    }
}
