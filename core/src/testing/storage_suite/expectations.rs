//! Cases: `expect`.

use super::helpers::{Replica, everything, get, in_table, present, put, put_all, row};
use crate::storage::{Batch, Storage, StorageError, Table};

/// Versions as they are, 0 for "absent", several at once, of rows that are not written too.
pub async fn right_expectations_let_a_batch_pass(replica: impl Replica) {
    let storage = replica.open().await;
    storage.apply(Batch { expect: vec![(row("a"), 0), (row("b"), 0)], ..put_all(["a", "b"]) }).await.unwrap();
    storage.apply(Batch { expect: vec![(row("a"), 1)], ..put("a", "again") }).await.unwrap();
    let expect = vec![(row("a"), 2), (row("b"), 1), (row("c"), 0), (in_table(Table::Meta, "a"), 0)];
    storage.apply(Batch { expect, ..put("c", "new") }).await.unwrap();
    assert_eq!(present(&storage, "c").await, (b"new".to_vec(), 1));
    storage.apply(Batch { expect: vec![(row("c"), 1)], ..Batch::default() }).await.unwrap();
}

/// Whichever way it is wrong, and whatever else the batch would have done.
pub async fn a_wrong_expectation_is_stale_and_writes_nothing(replica: impl Replica) {
    let storage = replica.open().await;
    storage.apply(put_all(["a", "b"])).await.unwrap();
    storage.apply(put("a", "again")).await.unwrap();
    let before = everything(&storage).await;
    let wrong = [
        (row("a"), 0),
        (row("a"), 1),
        (row("a"), 3),
        (row("a"), u64::MAX),
        (row("x"), 1),
        (row("x"), u64::MAX),
        (in_table(Table::Meta, "a"), 2),
    ];
    for expectation in wrong {
        let batch = Batch {
            expect: vec![(row("b"), 1), expectation.clone()],
            put: vec![(row("a"), b"lost".to_vec()), (row("new"), b"lost".to_vec())],
            delete: vec![row("b")],
            clear: vec![row("")],
            durable: true,
        };
        assert_eq!(storage.apply(batch).await, Err(StorageError::Stale), "{expectation:?}");
        assert_eq!(everything(&storage).await, before, "{expectation:?}");
    }
}

/// A batch does not meet its own writes.
pub async fn expectations_are_compared_before_any_write_of_their_batch(replica: impl Replica) {
    let storage = replica.open().await;
    storage.apply(put("a", "1")).await.unwrap();
    let batch = Batch { expect: vec![(row("a"), 1), (row("b"), 0)], clear: vec![row("")], ..put_all(["a", "b"]) };
    storage.apply(batch).await.unwrap();
    let met_its_own = Batch { expect: vec![(row("c"), 1)], ..put("c", "c") };
    assert_eq!(storage.apply(met_its_own).await, Err(StorageError::Stale));
    assert_eq!(get(&storage, "c").await, None);
}

/// "After any error the store goes on working."
pub async fn a_stale_batch_leaves_the_store_working(replica: impl Replica) {
    let storage = replica.open().await;
    for n in 1..=20_u64 {
        let stale = Batch { expect: vec![(row("a"), n)], ..put("a", "stale") };
        assert_eq!(storage.apply(stale).await, Err(StorageError::Stale));
        let right = Batch { expect: vec![(row("a"), n - 1)], ..put("a", n.to_be_bytes()) };
        assert_eq!(storage.apply(right).await, Ok(()));
        assert_eq!(present(&storage, "a").await, (n.to_be_bytes().to_vec(), n));
    }
}
