//! The process dies, or the system refuses to write, at any moment.
#![expect(clippy::disallowed_methods, reason = "the tasks of these tests are part of what they test")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Builder;

use super::helpers::{InFolder, child, child_role};
use crate::platform::TokioEnvironment;
use crate::storage::{Batch, Row, RowKey, Scan, SqliteStorage, Storage, StorageError, Table};
use crate::testing::block_on;

const WRITERS: u8 = 4;

fn counter(writer: u8) -> RowKey {
    RowKey { table: Table::Meta, key: vec![writer] }
}

fn half(table: Table, writer: u8, n: u64) -> RowKey {
    RowKey { table, key: [&[writer][..], &n.to_be_bytes()].concat() }
}

/// The `n`th batch of a writer: two rows that belong together, and its counter.
fn batch(writer: u8, n: u64) -> Batch {
    let record = (half(Table::Record, writer, n), n.to_be_bytes().repeat(40));
    let event = (half(Table::Event, writer, n), n.to_be_bytes().repeat(10));
    let count = (counter(writer), (n + 1).to_be_bytes().to_vec());
    Batch { put: vec![record, event, count], ..Batch::default() }
}

async fn written(storage: &SqliteStorage, writer: u8) -> u64 {
    let row = storage.get(vec![counter(writer)]).await.unwrap().pop().flatten();
    row.map_or(0, |row| u64::from_be_bytes(row.value.try_into().unwrap()))
}

/// Several writers who share commits; each acknowledged batch is told on stdout. Ends at the first error.
fn write_until_killed(path: &Path) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let storage = Arc::new(SqliteStorage::open(path).unwrap());
    storage.attach(Arc::new(TokioEnvironment));
    let write = |writer: u8, storage: Arc<SqliteStorage>| async move {
        for n in written(&storage, writer).await.. {
            if let Err(error) = storage.apply(batch(writer, n)).await {
                say(&format!("\nerror {}\n", error.code()));
                // It goes on working as far as the system lets it.
                assert!(written(&storage, writer).await >= n);
                return;
            }
            say(&format!("\nack {writer} {n}\n"));
        }
    };
    runtime.block_on(async {
        let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(writer, Arc::clone(&storage)))).collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

fn say(line: &str) {
    // One call a line, past the test harness: the parent reads no torn line.
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    std::io::stdout().flush().unwrap();
}

/// How many batches of each writer were acknowledged, as told on `lines`.
fn note(acknowledged: &mut BTreeMap<u8, u64>, line: &str) -> bool {
    let Some((writer, n)) = line.strip_prefix("ack ").and_then(|ack| ack.split_once(' ')) else { return false };
    acknowledged.insert(writer.parse().unwrap(), n.parse::<u64>().unwrap() + 1);
    true
}

/// Every acknowledged batch is there, every batch is whole, and nothing else is there.
fn verify(storage: &SqliteStorage, acknowledged: &BTreeMap<u8, u64>) {
    block_on(async {
        for writer in 0..WRITERS {
            let count = written(storage, writer).await;
            let promised = acknowledged.get(&writer).copied().unwrap_or(0);
            assert!(count == promised || count == promised + 1, "writer {writer}: {count} kept, {promised} promised");
            for (table, repeat) in [(Table::Record, 40), (Table::Event, 10)] {
                let rows = storage.scan(Scan::prefix(table, &[writer])).await.unwrap();
                let whole = |n: u64| Row { key: half(table, writer, n).key, value: n.to_be_bytes().repeat(repeat) };
                assert_eq!(rows.len() as u64, count);
                assert!(rows.into_iter().zip(0..).all(|(row, n)| row == whole(n)));
            }
        }
        storage
            .with_session(|session| {
                let verdict: String = session
                    .with_writer(|writer| writer.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap());
                assert_eq!(verdict, "ok");
            })
            .unwrap();
    });
}

#[test]
fn i1_b1_whatever_was_acknowledged_before_a_kill_is_there_and_nothing_is_half_there() {
    if let Some(path) = child_role() {
        return write_until_killed(&path);
    }
    let test =
        concat!(module_path!(), "::i1_b1_whatever_was_acknowledged_before_a_kill_is_there_and_nothing_is_half_there");
    let folder = InFolder::new();
    let mut acknowledged = BTreeMap::new();
    // On one file, so that each start recovers what the kill before it left.
    for acks_before_kill in [1, 2, 7, 40, 3, 120, 11, 300] {
        let mut writer = child(test, &folder.path()).spawn().unwrap();
        let mut output = BufReader::new(writer.stdout.take().unwrap());
        let mut seen = 0;
        while seen < acks_before_kill {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "the child goes on until it is killed");
            seen += usize::from(note(&mut acknowledged, line.trim_end()));
        }
        writer.kill().unwrap();
        // What it had told before it died counts too.
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        writer.wait().unwrap();
        rest.lines().for_each(|line| _ = note(&mut acknowledged, line));
        assert!(folder.beside("-wal").exists(), "it did not close");
        let storage = folder.opened();
        verify(&storage, &acknowledged);
        // An unacknowledged batch may have happened; from here on it counts.
        for writer in 0..WRITERS {
            acknowledged.insert(writer, block_on(written(&storage, writer)));
        }
    }
}

/// The system refuses to let the log grow: a write in the middle of a commit fails.
#[cfg(unix)]
#[test]
fn b36_a_write_that_the_system_refuses_is_a_typed_error_and_leaves_what_was_acknowledged() {
    if let Some(path) = child_role() {
        return write_until_killed(&path);
    }
    let test = concat!(
        module_path!(),
        "::b36_a_write_that_the_system_refuses_is_a_typed_error_and_leaves_what_was_acknowledged"
    );
    for blocks in [128, 200, 333, 777] {
        let folder = InFolder::new();
        drop(folder.opened());
        let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let plain = child(test, &folder.path());
        let mut shell = std::process::Command::new("sh");
        shell.arg("-c").arg(limited).arg(plain.get_program()).args(plain.get_args());
        shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = shell.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
        let mut acknowledged = BTreeMap::new();
        told.lines().for_each(|line| _ = note(&mut acknowledged, line));
        assert!(!acknowledged.is_empty(), "{told}");
        let errors: Vec<_> = told.lines().filter_map(|line| line.strip_prefix("error ")).collect();
        let expected = StorageError::Io(String::new());
        assert_eq!(errors, [expected.code(); WRITERS as usize]);
        verify(&folder.opened(), &acknowledged);
    }
}
