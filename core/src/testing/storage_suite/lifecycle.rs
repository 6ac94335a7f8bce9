//! Cases: opening again, suspending, closing.

use super::helpers::{Replica, everything, put, put_all, row, value};
use crate::storage::{Batch, Scan, Storage, StorageError, Table};

/// Rows with their versions.
pub async fn what_was_written_is_there_after_opening_again(replica: impl Replica) {
    let storage = replica.open().await;
    storage.apply(put_all([&b"a"[..], b"b", b"\x00", b"\xff"])).await.unwrap();
    storage.apply(put("a", "again")).await.unwrap();
    storage.apply(Batch { delete: vec![row("b")], ..Batch::default() }).await.unwrap();
    let before = everything(&storage).await;
    storage.close().await.unwrap();
    drop(storage);
    let storage = replica.open().await;
    assert_eq!(everything(&storage).await, before);
    assert_eq!(value(&storage, "a").await, b"again".to_vec());
}

/// "Calls fail with `Suspended` until `resume`", and nothing is lost.
pub async fn calls_fail_while_suspended_and_work_after_resume(replica: impl Replica) {
    let storage = replica.open().await;
    storage.apply(put("a", "1")).await.unwrap();
    storage.suspend().await.unwrap();
    every_call_fails_with(&storage, &StorageError::Suspended).await;
    storage.resume().await.unwrap();
    assert_eq!(value(&storage, "a").await, b"1".to_vec());
    storage.apply(put("a", "2")).await.unwrap();
    assert_eq!(value(&storage, "a").await, b"2".to_vec());
}

/// Twice is as good as once, and a resume needs no suspend.
pub async fn suspend_and_resume_are_idempotent(replica: impl Replica) {
    let storage = replica.open().await;
    assert_eq!(storage.resume().await, Ok(()));
    storage.apply(put("a", "1")).await.unwrap();
    for _ in 0..2 {
        assert_eq!(storage.suspend().await, Ok(()));
        assert_eq!(storage.suspend().await, Ok(()));
        assert_eq!(storage.resume().await, Ok(()));
        assert_eq!(storage.resume().await, Ok(()));
    }
    assert_eq!(value(&storage, "a").await, b"1");
}

/// Also for `suspend` and `resume`.
pub async fn closing_is_idempotent_and_later_calls_fail(replica: impl Replica) {
    let storage = replica.open().await;
    storage.apply(put("a", "1")).await.unwrap();
    assert_eq!(storage.close().await, Ok(()));
    assert_eq!(storage.close().await, Ok(()));
    let closed = StorageError::Closed("");
    every_call_fails_with(&storage, &closed).await;
    assert_eq!(storage.suspend().await, Err(closed.clone()));
    assert_eq!(storage.resume().await, Err(closed));
    assert_eq!(storage.close().await, Ok(()));
}

/// And opened again.
pub async fn a_suspended_store_can_be_closed(replica: impl Replica) {
    let storage = replica.open().await;
    storage.apply(put("a", "1")).await.unwrap();
    storage.suspend().await.unwrap();
    assert_eq!(storage.close().await, Ok(()));
    every_call_fails_with(&storage, &StorageError::Closed("")).await;
    drop(storage);
    assert_eq!(value(&replica.open().await, "a").await, b"1");
}

async fn every_call_fails_with(storage: &impl Storage, expected: &StorageError) {
    assert_eq!(storage.get(vec![row("a")]).await.as_ref(), Err(expected));
    assert_eq!(storage.scan(Scan::prefix(Table::Record, b"")).await.as_ref(), Err(expected));
    assert_eq!(storage.apply(put("a", "late")).await.as_ref(), Err(expected));
}
