//! No room left.

use futures_util::future::join_all;

use super::super::session::{Lane, Session};
use super::helpers::{InFolder, apply, put, row, value};
use crate::storage::{Batch, Rows, Scan, SqliteStorage, Storage, StorageError, Table};
use crate::testing::block_on;

const ROOM: u64 = 256 << 10;

fn small_replica() -> (InFolder, SqliteStorage) {
    let mut folder = InFolder::new();
    folder.options = folder.options.max_bytes(ROOM);
    let storage = folder.opened();
    (folder, storage)
}

/// Puts rows until there is no room; says how many there are.
fn fill(storage: &SqliteStorage) -> usize {
    for n in 0.. {
        match apply(storage, put(&format!("fill-{n:06}"), [1; 3000])) {
            Ok(()) => {}
            Err(StorageError::Full(_)) => return n,
            Err(other) => panic!("{other:?}"),
        }
    }
    unreachable!("the room is bounded")
}

#[test]
fn b36_a_full_disk_is_full_writes_nothing_and_the_same_store_works_again() {
    let (folder, storage) = small_replica();
    for _ in 0..3 {
        let rows = fill(&storage);
        assert!(rows > 20, "{rows}");
        let all = || block_on(storage.scan(Scan::prefix(Table::Record, b"fill"))).unwrap();
        assert_eq!(all().len(), rows);
        // A batch whose first rows still find room leaves nothing either.
        let both = Batch { put: vec![(row("small"), vec![1]), (row("large"), vec![2; 100_000])], ..Batch::default() };
        assert!(matches!(apply(&storage, both), Err(StorageError::Full(_))));
        assert_eq!(value(&storage, "small"), None);
        assert_eq!(all().len(), rows);
        apply(&storage, Batch { clear: vec![row("fill")], ..Batch::default() }).unwrap();
        apply(&storage, put("small", "again")).unwrap();
        assert_eq!(value(&storage, "small").unwrap(), b"again");
        apply(&storage, Batch { delete: vec![row("small")], ..Batch::default() }).unwrap();
    }
    block_on(storage.close()).unwrap();
    assert!(std::fs::metadata(folder.path()).unwrap().len() <= ROOM);
}

#[test]
fn b7_of_concurrent_batches_only_the_one_that_finds_no_room_fails() {
    let (_folder, storage) = small_replica();
    apply(&storage, put("guard", "1")).unwrap();
    let batches = [
        put("first", "1"),
        put("large", vec![0; 2 * ROOM as usize]),
        Batch { delete: vec![row("first")], ..put("larger", vec![0; 3 * ROOM as usize]) },
        put("guard", "2"),
        put("last", "5"),
    ];
    let outcomes = block_on(join_all(batches.map(|batch| storage.apply(batch))));
    assert_eq!(outcomes[0], Ok(()));
    assert!(outcomes[1..3].iter().all(|outcome| matches!(outcome, Err(StorageError::Full(_)))), "{outcomes:?}");
    assert_eq!(outcomes[3..], [Ok(()), Ok(())]);
    let kept = ["first", "large", "larger", "guard", "last"].map(|key| value(&storage, key));
    let expected = [Some("1"), None, None, Some("2"), Some("5")];
    assert_eq!(kept, expected.map(|value| value.map(|value| value.as_bytes().to_vec())));
}

#[test]
fn b36_a_replica_in_memory_can_be_limited_too() {
    let storage = SqliteStorage::options().max_bytes(ROOM).open_in_memory().unwrap();
    assert!(fill(&storage) > 20);
    apply(&storage, Batch { clear: vec![row("fill")], ..put("key", "value") }).unwrap();
    assert_eq!(value(&storage, "key").unwrap(), b"value");
}

#[test]
fn a_limit_below_the_empty_replica_is_full_at_open() {
    let mut folder = InFolder::new();
    folder.options = folder.options.max_bytes(4096);
    assert!(matches!(folder.try_open(), Err(StorageError::Full(_))));
    folder.options = folder.options.max_bytes(ROOM);
    apply(&folder.opened(), put("key", "value")).unwrap();
}

/// How much room a disk must have for a replica of this size.
#[test]
fn b36_the_log_of_a_small_replica_takes_half_its_room_and_not_megabytes() {
    let folder = InFolder::new();
    let storage = folder.opened();
    let (mut largest, mut file) = (0, 0);
    for n in 0..300 {
        apply(&storage, put(&format!("fill-{n:06}"), [1; 3000])).unwrap();
        let log = std::fs::metadata(folder.beside("-wal")).unwrap().len();
        file = std::fs::metadata(folder.path()).unwrap().len();
        assert!(log <= (file / 2).max(256 << 10) + (64 << 10), "write {n}: {log} beside {file}");
        largest = largest.max(log);
    }
    assert!(file > 1 << 20 && largest > 256 << 10, "{largest} {file}");
    for n in 0..300 {
        apply(&storage, Batch { delete: vec![row(&format!("fill-{n:06}"))], ..Batch::default() }).unwrap();
    }
    block_on(storage.close()).unwrap();
    assert!(!folder.beside("-wal").exists());
}

#[test]
fn b36_without_room_for_shared_memory_a_replica_reads_and_writes_through_one_handle() {
    let folder = InFolder::new();
    apply(&folder.opened(), put("key", "value")).unwrap();
    let session = Session::open_alone(&folder.path(), &folder.options).unwrap();
    let read = |lane| session.get(lane, &[row("key")]).unwrap().pop().flatten().unwrap().value;
    assert_eq!([Lane::Quick, Lane::Bulk].map(read), [b"value", b"value"]);
    assert_eq!(session.transact(&mut |_: &mut dyn Rows| Ok(put("key", "other"))), Ok(()));
    assert_eq!(read(Lane::Quick), b"other");
    assert!(!folder.beside("-shm").exists());
    assert!(matches!(folder.try_open(), Err(StorageError::AlreadyOpen(_))));
    session.close().unwrap();
    assert_eq!(value(&folder.opened(), "key").unwrap(), b"other");
}
