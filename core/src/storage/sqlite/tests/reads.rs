//! Reads beside writes.

use super::super::session::Lane;
use super::helpers::{InFolder, apply, put, row, value};
use crate::storage::{Batch, Rows, Scan, Storage, StorageError, Table};
use crate::testing::block_on;

#[test]
fn a_read_does_not_wait_for_a_write_that_is_under_way() {
    let folder = InFolder::new();
    let storage = folder.opened();
    apply(&storage, put("key", "before")).unwrap();
    let seen = storage.with_session(|session| {
        session.with_writer(|writer| {
            writer.execute_batch("BEGIN IMMEDIATE; UPDATE record SET value = x'00';").unwrap();
            let seen = session.get(Lane::Quick, &[row("key")]).unwrap();
            writer.execute_batch("ROLLBACK").unwrap();
            seen
        })
    });
    assert_eq!(seen.unwrap()[0].as_ref().unwrap().value, b"before");
}

#[test]
fn a_quick_read_does_not_wait_for_a_long_one() {
    let folder = InFolder::new();
    let storage = folder.opened();
    apply(&storage, put("key", "value")).unwrap();
    let seen = storage
        .with_session(|session| session.with_reader(Lane::Bulk, |_| session.get(Lane::Quick, &[row("key")]).unwrap()));
    assert!(seen.unwrap()[0].is_some());
}

#[test]
fn b37_no_statement_and_no_transaction_stays_open_after_a_call() {
    let folder = InFolder::new();
    let storage = folder.opened();
    apply(&storage, put("key", "value")).unwrap();
    let refused = StorageError::Unavailable("refused".into());
    let refusing = refused.clone();
    let work = move |rows: &mut dyn Rows| {
        rows.get(&[row("key")])?;
        rows.scan(&Scan::prefix(Table::Record, b""))?;
        Err(refusing.clone())
    };
    assert_eq!(block_on(storage.transact(Box::new(work))), Err(refused));
    block_on(async {
        storage.get(vec![row("key"), row("none")]).await.unwrap();
        storage.get((0..1000).map(|_| row("key")).collect()).await.unwrap();
        storage.scan(Scan::prefix(Table::Record, b"").limit(1)).await.unwrap();
        storage.scan(Scan::prefix(Table::Record, b"")).await.unwrap();
    });
    storage
        .with_session(|session| {
            let idle = |connection: &rusqlite::Connection| connection.is_autocommit() && !connection.is_busy();
            assert!(session.with_writer(idle));
            assert!(session.with_reader(Lane::Quick, idle));
            assert!(session.with_reader(Lane::Bulk, idle));
        })
        .unwrap();
}

#[test]
fn a_transaction_that_a_panic_left_open_is_rolled_back() {
    let folder = InFolder::new();
    let storage = folder.opened();
    apply(&storage, put("key", "before")).unwrap();
    let abandoned = |connection: &rusqlite::Connection| {
        connection.execute_batch("BEGIN IMMEDIATE; UPDATE record SET value = x'00';").unwrap();
    };
    storage.with_session(|session| session.with_writer(abandoned)).unwrap();
    apply(&storage, put("other", "after")).unwrap();
    assert_eq!(value(&storage, "key").unwrap(), b"before");
}

#[test]
fn a_row_of_the_wrong_type_is_damage() {
    let folder = InFolder::new();
    let storage = folder.opened();
    apply(&storage, put("key", "value")).unwrap();
    let spoil = "UPDATE record SET value = 'text'";
    storage.with_session(|session| session.with_writer(|writer| writer.execute_batch(spoil).unwrap())).unwrap();
    let read = block_on(storage.get(vec![row("key")]));
    assert!(matches!(read, Err(StorageError::Corrupt(_))), "{read:?}");
    let read = block_on(storage.scan(Scan::prefix(Table::Record, b"")));
    assert!(matches!(read, Err(StorageError::Corrupt(_))), "{read:?}");
    let work = |rows: &mut dyn Rows| rows.get(&[row("key")]).map(|_| put("other", "value"));
    let worked = block_on(storage.transact(Box::new(work)));
    assert!(matches!(worked, Err(StorageError::Corrupt(_))), "{worked:?}");
    assert_eq!(value(&storage, "other"), None);
    apply(&storage, Batch { delete: vec![row("key")], ..put("key", "value") }).unwrap();
}
