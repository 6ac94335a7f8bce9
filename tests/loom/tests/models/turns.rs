//! One sync at a time of a scope; none once all is stopped.

use std::collections::BTreeMap;
use std::sync::Arc;

use loom::future::block_on;
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use unisono::concurrency::Turns;
use unisono::platform::sync::{OwnedTurn, TurnLock};
use unisono_loom::{abandon_after, check, check_within, find_failure, pause};

/// What an engine needs of turns.
trait Gives: Default + Send + Sync + 'static {
    fn take(&self, key: u8) -> impl Future<Output = Option<OwnedTurn>>;
    fn stop(&self) -> impl Future<Output = ()>;
}

impl Gives for Turns<u8> {
    async fn take(&self, key: u8) -> Option<OwnedTurn> {
        Turns::take(self, &key).await
    }

    async fn stop(&self) {
        self.refuse();
        drop(self.hold_all().await);
    }
}

#[derive(Default)]
struct World<T> {
    turns: T,
    closed: AtomicBool,
    syncing: [AtomicBool; 2],
}

impl<T: Gives> World<T> {
    async fn sync(&self, key: u8) {
        let Some(_turn) = self.turns.take(key).await else { return };
        let _syncing = Busy::begin(&self.syncing[usize::from(key)]);
        self.touch();
        pause().await;
        self.touch();
    }

    fn touch(&self) {
        assert!(!self.closed.load(Ordering::Relaxed), "a sync touches the storage after it was closed");
    }

    async fn close(&self) {
        self.turns.stop().await;
        self.closed.store(true, Ordering::Relaxed);
    }
}

struct Busy<'a>(&'a AtomicBool);

impl<'a> Busy<'a> {
    fn begin(busy: &'a AtomicBool) -> Self {
        assert!(!busy.swap(true, Ordering::Relaxed), "two syncs of one scope");
        Self(busy)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// A sync of each of `keys` in its own thread, of which the last gives up after `waits`; all is closed meanwhile.
fn syncs_and_close<T: Gives>(keys: &'static [u8], waits: Option<usize>) {
    let world = Arc::new(World::<T>::default());
    let syncs: Vec<_> = keys
        .iter()
        .enumerate()
        .map(|(index, key)| {
            let world = world.clone();
            thread::spawn(move || match waits {
                Some(waits) if index + 1 == keys.len() => drop(block_on(abandon_after(waits, world.sync(*key)))),
                _ => block_on(world.sync(*key)),
            })
        })
        .collect();
    block_on(world.close());
    syncs.into_iter().for_each(|sync| sync.join().unwrap());
}

#[test]
fn after_close_no_sync_touches_the_storage() {
    check("turns: a sync and a close", || syncs_and_close::<Turns<u8>>(&[0], None));
    check_within("turns: two syncs of one scope and a close", 3, || syncs_and_close::<Turns<u8>>(&[0, 0], None));
    check_within("turns: syncs of two scopes and a close", 3, || syncs_and_close::<Turns<u8>>(&[0, 1], None));
}

#[test]
fn a_sync_that_is_given_up_leaves_its_turn_to_the_next() {
    for waits in 0..2 {
        check_within(&format!("turns: a sync given up after {waits} waits"), 3, move || {
            syncs_and_close::<Turns<u8>>(&[0, 0], Some(waits));
        });
    }
}

/// Broken: asks whether it may before it waits, and not after.
#[derive(Default)]
struct AskedTooEarly {
    refused: AtomicBool,
    locks: Mutex<BTreeMap<u8, Arc<TurnLock>>>,
}

impl Gives for AskedTooEarly {
    async fn take(&self, key: u8) -> Option<OwnedTurn> {
        if self.refused.load(Ordering::Acquire) {
            return None;
        }
        let turn = self.locks.lock().unwrap().entry(key).or_default().clone();
        Some(turn.lock_owned().await)
    }

    async fn stop(&self) {
        self.refused.store(true, Ordering::Release);
        let locks: Vec<_> = self.locks.lock().unwrap().values().cloned().collect();
        for turn in locks {
            drop(turn.lock_owned().await);
        }
    }
}

#[test]
fn a_look_before_the_wait_only_is_caught() {
    find_failure("turns::a_look_before_the_wait_only_is_caught", "turns, broken: no second look", || {
        syncs_and_close::<AskedTooEarly>(&[0], None)
    });
}
