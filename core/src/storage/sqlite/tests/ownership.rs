//! One owner, and what is left when it goes.

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::helpers::{InFolder, apply, child, child_role, put, row, value};
use crate::storage::{Scan, SqliteStorage, Storage, StorageError, Table};
use crate::testing::block_on;

fn is_already_open(result: &Result<SqliteStorage, StorageError>) -> bool {
    matches!(result, Err(StorageError::AlreadyOpen(_)))
}

#[test]
fn b35_a_second_owner_in_the_same_process_is_refused_at_once() {
    let folder = InFolder::new();
    let storage = folder.opened();
    assert!(is_already_open(&folder.try_open()));
    apply(&storage, put("key", "value")).unwrap();
    assert!(is_already_open(&folder.try_open()), "the refused one has not taken the first one's lock away");
    drop(storage);
    assert_eq!(value(&folder.opened(), "key").unwrap(), b"value");
}

#[cfg(unix)]
#[test]
fn b35_a_link_to_the_file_is_the_same_replica() {
    let folder = InFolder::new();
    let storage = folder.opened();
    let link = folder.beside("-link");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    assert!(is_already_open(&SqliteStorage::open(&link)));
    drop(storage);
    assert_eq!(SqliteStorage::open(&link).unwrap().path(), Some(folder.path().canonicalize().unwrap().as_path()));
}

#[test]
fn the_replica_is_free_after_close_and_while_suspended_and_after_drop() {
    let folder = InFolder::new();
    let storage = folder.opened();
    block_on(storage.close()).unwrap();
    let second = folder.opened();
    block_on(second.suspend()).unwrap();
    let third = folder.opened();
    drop(third);
    block_on(second.resume()).unwrap();
    assert!(is_already_open(&folder.try_open()));
}

#[test]
fn resume_fails_while_another_owner_is_there_and_the_store_stays_suspended() {
    let folder = InFolder::new();
    let first = folder.opened();
    apply(&first, put("key", "first")).unwrap();
    block_on(first.suspend()).unwrap();
    let second = folder.opened();
    let resumed = block_on(first.resume());
    assert!(matches!(resumed, Err(StorageError::AlreadyOpen(_))), "{resumed:?}");
    assert_eq!(apply(&first, put("key", "late")), Err(StorageError::Suspended));
    apply(&second, put("key", "second")).unwrap();
    block_on(second.close()).unwrap();
    block_on(first.resume()).unwrap();
    assert_eq!(value(&first, "key").unwrap(), b"second");
}

/// What the system would kill an app for: any lock needs an open handle, so none may be left.
#[cfg(target_os = "linux")]
#[test]
fn b37_a_suspended_replica_holds_no_file() {
    let folder = InFolder::new();
    let held = || {
        let handles = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let targets = handles.filter_map(|handle| std::fs::read_link(handle.path()).ok());
        let home = folder.path().canonicalize().unwrap();
        targets.filter(|target| target.starts_with(home.parent().unwrap())).count()
    };
    let storage = folder.opened();
    apply(&storage, put("key", "value")).unwrap();
    block_on(storage.scan(Scan::prefix(Table::Record, b""))).unwrap();
    assert!(held() >= 3, "database, log and lock");
    block_on(storage.suspend()).unwrap();
    assert_eq!(held(), 0);
    assert!(!folder.beside("-wal").exists(), "the log is in the file");
    block_on(storage.resume()).unwrap();
    assert_eq!(value(&storage, "key").unwrap(), b"value");
    block_on(storage.close()).unwrap();
    assert_eq!(held(), 0);
}

#[test]
fn b35_a_second_process_is_refused_until_the_first_is_gone_however_it_goes() {
    if let Some(path) = child_role() {
        let storage = SqliteStorage::open(path).unwrap();
        apply(&storage, put("key", "child")).unwrap();
        std::io::stdout().write_all(b"\nopen\n").unwrap();
        std::io::stdout().flush().unwrap();
        // Until the parent kills this process or goes itself.
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        return;
    }
    let folder = InFolder::new();
    let test = concat!(module_path!(), "::b35_a_second_process_is_refused_until_the_first_is_gone_however_it_goes");
    let mut owner = child(test, &folder.path()).spawn().unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "open"), "the child has opened the replica");
    assert!(is_already_open(&folder.try_open()));
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert_eq!(value(&folder.opened(), "key").unwrap(), b"child");
}

#[test]
fn b35_a_forked_child_gets_closed_from_every_call_and_leaves_the_parent_its_replica() {
    static PROCESS: AtomicU32 = AtomicU32::new(1);
    let mut folder = InFolder::new();
    folder.options.process_id = || PROCESS.load(Ordering::Relaxed);
    let storage = Arc::new(folder.opened());
    apply(&storage, put("key", "parent")).unwrap();

    PROCESS.store(2, Ordering::Relaxed);
    let closed = StorageError::Closed(": the process forked since it was opened");
    block_on(async {
        assert_eq!(storage.get(vec![row("key")]).await, Err(closed.clone()));
        assert_eq!(storage.scan(Scan::prefix(Table::Record, b"")).await, Err(closed.clone()));
        assert_eq!(storage.apply(put("key", "child")).await, Err(closed.clone()));
        assert_eq!(storage.suspend().await, Err(closed.clone()));
        assert_eq!(storage.resume().await, Err(closed.clone()));
        assert_eq!(storage.close().await, Err(closed.clone()));
    });

    PROCESS.store(1, Ordering::Relaxed);
    assert_eq!(value(&storage, "key").unwrap(), b"parent");
    apply(&storage, put("key", "parent again")).unwrap();

    // The child's copy goes without closing: the log stays as it is.
    PROCESS.store(2, Ordering::Relaxed);
    let log = std::fs::read(folder.beside("-wal")).unwrap();
    assert!(!log.is_empty());
    drop(storage);
    assert!(std::fs::read(folder.beside("-wal")).unwrap() == log);
}

#[test]
fn a_path_that_cannot_hold_a_replica_is_unavailable() {
    let folder = InFolder::new();
    for path in [folder.beside("-missing/replica.db"), folder.path().parent().unwrap().to_path_buf(), "/".into()] {
        let opened = SqliteStorage::open(&path);
        assert!(matches!(opened, Err(StorageError::Unavailable(_))), "{}: {opened:?}", path.display());
    }
}
