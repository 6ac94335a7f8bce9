//! Cases: many callers at once, and callers who go away.

use futures_util::future::join;
use futures_util::poll;

use super::helpers::{Replica, all, get, put, put_all, row, value};
use crate::storage::{Batch, Scan, Storage, Table};

/// "Reads see every batch whose `transact` has returned."
pub async fn reads_see_every_batch_that_has_returned(replica: impl Replica) {
    let storage = replica.open().await;
    for n in 0..200_u64 {
        storage.apply(put("key", n.to_be_bytes())).await.unwrap();
        assert_eq!(value(&storage, "key").await, n.to_be_bytes());
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
