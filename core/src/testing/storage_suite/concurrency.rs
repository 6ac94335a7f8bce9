//! Cases: many callers at once, and callers who go away.

use futures_util::future::{join, join_all};
use futures_util::poll;

use super::helpers::{Replica, all, get, present, put, put_all, row};
use crate::storage::{Batch, Scan, Storage, StorageError, Table};

/// "Reads see every batch whose `apply` has returned."
pub async fn reads_see_every_batch_that_has_returned(replica: impl Replica) {
    let storage = replica.open().await;
    for n in 0..200_u64 {
        storage.apply(put("key", n.to_be_bytes())).await.unwrap();
        assert_eq!(present(&storage, "key").await.0, n.to_be_bytes());
        let rows = storage.scan(Scan::prefix(Table::Record, b"k")).await.unwrap();
        assert_eq!(rows[0].value, n.to_be_bytes());
    }
}

/// "One `get` or `scan` is one snapshot": rows that are always written together are always read alike.
pub async fn a_read_never_sees_a_part_of_a_batch(replica: impl Replica) {
    const ROWS: u8 = 40;
    const ROUNDS: u64 = 60;
    let storage = replica.open().await;
    let keys = || (0..ROWS).map(|key| row([key]));
    let batch = |n: u64| Batch { put: keys().map(|row| (row, n.to_be_bytes().to_vec())).collect(), ..Batch::default() };
    storage.apply(batch(0)).await.unwrap();
    let write = async {
        for n in 1..=ROUNDS {
            storage.apply(batch(n)).await.unwrap();
        }
    };
    let read = async {
        loop {
            let rows: Vec<_> = storage.get(keys().collect()).await.unwrap().into_iter().flatten().collect();
            assert_eq!(rows.len(), usize::from(ROWS));
            assert!(rows.iter().all(|row| row.value == rows[0].value), "get saw a part of a batch");
            let rows = storage.scan(Scan::prefix(Table::Record, b"")).await.unwrap();
            assert!(rows.iter().all(|row| row.value == rows[0].value), "scan saw a part of a batch");
            if rows[0].value == ROUNDS.to_be_bytes() {
                break;
            }
            yield_once().await;
        }
    };
    join(write, read).await;
}

/// "Each keeps its own outcome, and a failed one leaves no trace in the others."
pub async fn concurrent_batches_keep_their_own_outcomes(replica: impl Replica) {
    let storage = replica.open().await;
    storage.apply(put("guard", "1")).await.unwrap();
    let batch = |n: u8| {
        let expect = vec![(row("guard"), if n.is_multiple_of(3) { 9 } else { 1 })];
        Batch { expect, ..put_all([[n, 0], [n, 1]]) }
    };
    let outcomes = join_all((0..60).map(|n| storage.apply(batch(n)))).await;
    for (n, outcome) in (0..60_u8).zip(outcomes) {
        let stale = n.is_multiple_of(3);
        assert_eq!(outcome, if stale { Err(StorageError::Stale) } else { Ok(()) }, "batch {n}");
        for part in 0..2 {
            assert_eq!(get(&storage, [n, part]).await.is_none(), stale, "batch {n}");
        }
    }
}

/// "Batches submitted one after the other take effect in that order."
pub async fn batches_take_effect_in_the_order_of_submission(replica: impl Replica) {
    let storage = replica.open().await;
    // Each expects what the one before leaves, so that any other order is stale.
    let batch = |n: u64| Batch { expect: vec![(row("key"), n)], ..put("key", n.to_be_bytes()) };
    let outcomes = join_all((0..100).map(|n| storage.apply(batch(n)))).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(present(&storage, "key").await, (99_u64.to_be_bytes().to_vec(), 100));
}

/// Compare-and-swap: no lost update, and no more than one winner a round.
pub async fn one_of_many_who_expect_the_same_version_wins(replica: impl Replica) {
    let storage = replica.open().await;
    for version in 0..5 {
        let batch = |n: u8| Batch { expect: vec![(row("key"), version)], ..put("key", [n]) };
        let outcomes = join_all((0..32).map(|n| storage.apply(batch(n)))).await;
        let winners: Vec<_> = (0..32_u8).zip(&outcomes).filter(|(_, outcome)| outcome.is_ok()).collect();
        assert_eq!(winners.len(), 1, "{outcomes:?}");
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(()) | Err(StorageError::Stale))));
        assert_eq!(present(&storage, "key").await, (vec![winners[0].0], version + 1));
    }
}

/// Dropped before its first poll, it has not happened; dropped later, all of it or nothing.
pub async fn a_cancelled_apply_happened_entirely_or_not_at_all(replica: impl Replica) {
    let storage = replica.open().await;
    drop(storage.apply(put("never", "polled")));
    for n in 0..40_u8 {
        let rows = || [[n, 0], [n, 1], [n, 2]];
        let mut before = storage.apply(put_all([[n, 8]]));
        let mut cancelled = storage.apply(put_all(rows()));
        let mut after = storage.apply(put_all([[n, 9]]));
        let done = (poll!(&mut before).is_ready(), poll!(&mut cancelled).is_ready(), poll!(&mut after).is_ready());
        drop(cancelled);
        for (finished, rest) in [(done.0, before), (done.2, after)] {
            if !finished {
                rest.await.unwrap();
            }
        }
        let found = storage.get(rows().map(row).to_vec()).await.unwrap().iter().flatten().count();
        assert!(found == 0 || found == 3, "{found} of 3 rows");
        assert!(!done.1 || found == 3, "it had returned");
        assert!(get(&storage, [n, 8]).await.is_some() && get(&storage, [n, 9]).await.is_some());
    }
    assert_eq!(get(&storage, "never").await, None);
}

/// Whoever waits behind a caller that went away still gets an answer.
pub async fn cancelled_applies_hold_up_nobody(replica: impl Replica) {
    let storage = replica.open().await;
    for round in 0..20_u8 {
        let mut calls: Vec<_> = (0..8).map(|n| Some(storage.apply(put([round, n], [n])))).collect();
        let mut finished = Vec::new();
        for call in calls.iter_mut().flatten() {
            finished.push(poll!(call).is_ready());
        }
        // A different half goes away each round, the first in line among them.
        for (n, call) in calls.iter_mut().enumerate() {
            if (n + usize::from(round)).is_multiple_of(2) {
                *call = None;
            }
        }
        for (n, call) in calls.into_iter().enumerate() {
            if let (Some(call), false) = (call, finished[n]) {
                call.await.unwrap();
            }
        }
        storage.apply(put([round, 99], "last")).await.unwrap();
        for n in 0..8 {
            if !(usize::from(n) + usize::from(round)).is_multiple_of(2) {
                assert!(get(&storage, [round, n]).await.is_some());
            }
        }
    }
    assert!(all(&storage, Table::Record).await.len() >= 20 * 5);
}

/// Lets the other futures of this task run.
async fn yield_once() {
    let mut first = true;
    std::future::poll_fn(|context| {
        if std::mem::take(&mut first) {
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(())
        }
    })
    .await;
}
