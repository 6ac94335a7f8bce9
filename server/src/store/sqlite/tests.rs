//! The store's contract, on SQLite.

use futures_util::future::join_all;
use rusqlite::Connection;
use unisono::testing::TestEnvironment;

use super::{SqliteOptions, SqliteStore};
use crate::store::{self, AuditRow, ScopeBatch, ScopeKey, ScopeRow, ScopeTx, Store, StoreError, Verdict};

fn key(name: &str) -> ScopeKey {
    ScopeKey::new(name.to_owned())
}

fn attached(env: &TestEnvironment) -> SqliteStore {
    let store = SqliteStore::in_memory().unwrap();
    env.block_on(store.attach(env.shared())).unwrap();
    store
}

fn save(tx: &mut dyn ScopeTx, epoch: &str) -> Result<(), StoreError> {
    tx.save(ScopeBatch::new(ScopeRow::new(epoch.to_owned())))
}

async fn epoch(store: &SqliteStore, name: &str) -> Option<String> {
    store::read(store, key(name), |reads| reads.scope()).await.unwrap().map(|scope| scope.epoch)
}

#[test]
fn jobs_that_share_a_commit_keep_their_own_outcomes() {
    let env = TestEnvironment::new(1);
    let store = attached(&env);
    env.block_on(async {
        let job = |number: usize| {
            let store = store.clone();
            async move {
                store::write(&store, key(&format!("s{number}")), move |tx| {
                    save(tx, &format!("e{number}"))?;
                    match number {
                        1 => Err(StoreError::Corrupt("on purpose".to_owned())),
                        2 => Ok((Verdict::Discard, number)),
                        // A job that breaks a constraint fails alone.
                        3 => tx.save(twice()).map(|()| (Verdict::Commit, number)),
                        _ => Ok((Verdict::Commit, number)),
                    }
                })
                .await
            }
        };
        let outcomes = join_all((0..6).map(job)).await;
        assert_eq!(outcomes[0], Ok(0));
        assert_eq!(outcomes[1], Err(StoreError::Corrupt("on purpose".to_owned())));
        assert_eq!(outcomes[2], Ok(2));
        assert_eq!(outcomes[3].as_ref().unwrap_err().code(), "internal");
        for number in 0..6 {
            let kept = epoch(&store, &format!("s{number}")).await;
            assert_eq!(kept.is_some(), matches!(number, 0 | 4 | 5), "s{number}");
        }
    });
}

/// A batch that gives one record's place in the log twice.
fn twice() -> ScopeBatch {
    use unisono::merge::LoggedWrite;
    use unisono::model::{Author, DeviceId, EventId, Receipt, ReceiptStatus};

    let by = Author { user: "u".to_owned(), device: DeviceId::new("d").unwrap() };
    let event: unisono::model::SyncEvent = serde_json::from_value(serde_json::json!({
        "id": "e", "collection": "c", "record": "r", "action": "delete", "base": 0, "stamp": "000000000001-0000-d",
    }))
    .unwrap();
    let row = store::LogRow {
        payload_hash: event.payload_hash(),
        receipt: Receipt::bare(EventId::new("e").unwrap(), ReceiptStatus::Applied),
        highest: event.stamp.clone(),
        write: LoggedWrite {
            event,
            by,
            push_seq: 1,
            position: 0,
            revision: 1,
            previous: 0,
            applied_edits: std::collections::BTreeMap::new(),
            decisions: Vec::new(),
            trace: unisono::merge::Trace::default(),
        },
    };
    ScopeBatch { log: vec![row.clone(), row], ..ScopeBatch::new(ScopeRow::new("e".to_owned())) }
}

#[test]
fn a_job_that_panics_is_discarded_and_the_store_goes_on() {
    let env = TestEnvironment::new(1);
    let store = attached(&env);
    env.block_on(async {
        let bad = store::write(&store, key("bad"), |tx| -> Result<(Verdict, ()), StoreError> {
            save(tx, "e")?;
            panic!("on purpose")
        });
        let good = store::write(&store, key("good"), |tx| save(tx, "e").map(|()| (Verdict::Commit, ())));
        let (bad, good) = futures_util::future::join(bad, good).await;
        assert_eq!(bad.unwrap_err().code(), "internal");
        good.unwrap();
        let read = store::read(&store, key("good"), |_| -> Result<(), StoreError> { panic!("on purpose") }).await;
        assert_eq!(read.unwrap_err().code(), "internal");
        assert_eq!(epoch(&store, "bad").await, None);
        assert_eq!(epoch(&store, "good").await.as_deref(), Some("e"));
    });
}

#[test]
fn scopes_are_listed_in_pages_by_key() {
    let env = TestEnvironment::new(1);
    let store = attached(&env);
    env.block_on(async {
        for name in ["b", "a", "c"] {
            store::write(&store, key(name), |tx| save(tx, "e").map(|()| (Verdict::Commit, ()))).await.unwrap();
        }
        assert_eq!(store.scopes(None, 2).await.unwrap(), [key("a"), key("b")]);
        assert_eq!(store.scopes(Some(key("b")), 2).await.unwrap(), [key("c")]);
    });
}

#[test]
fn b39_a_database_of_a_newer_server_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.db");
    drop(SqliteStore::open(&path, &SqliteOptions::default()).unwrap());
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = SqliteStore::open(&path, &SqliteOptions::default()).unwrap_err();
    assert_eq!(error, StoreError::NewerSchema { found: 99, known: super::schema::VERSION });
    let connection = Connection::open(&path).unwrap();
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 99);
}

#[test]
fn b35_a_second_server_on_one_file_is_refused_until_the_first_has_closed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.db");
    let env = TestEnvironment::new(1);
    let first = SqliteStore::open(&path, &SqliteOptions::default()).unwrap();
    let id = env.block_on(first.attach(env.shared())).unwrap();
    assert_eq!(SqliteStore::open(&path, &SqliteOptions::default()).unwrap_err().code(), "already_open");
    env.block_on(first.close()).unwrap();
    env.block_on(first.close()).unwrap();
    let second = SqliteStore::open(&path, &SqliteOptions::default()).unwrap();
    assert_eq!(env.block_on(second.attach(env.shared())).unwrap(), id);
    let closed = env.block_on(first.scopes(None, 1)).unwrap_err();
    assert_eq!(closed, StoreError::Closed);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.db");
    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    assert_eq!(SqliteStore::open(&path, &SqliteOptions::default()).unwrap_err().code(), "storage_corrupt");
}

#[test]
fn b34_an_acknowledged_write_is_flushed_unless_the_operator_says_otherwise() {
    let directory = tempfile::tempdir().unwrap();
    for (survive_power_loss, level) in [(true, 2), (false, 1)] {
        let path = directory.path().join(format!("{level}.db"));
        let options = SqliteOptions { survive_power_loss };
        let connection = super::connection::open_writer(Some(&path), &options).unwrap();
        let synchronous: i64 = connection.query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
        assert_eq!(synchronous, level);
    }
}

#[test]
fn audit_rows_say_who_did_what_and_no_payload() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.db");
    let env = TestEnvironment::new(1);
    let store = SqliteStore::open(&path, &SqliteOptions::default()).unwrap();
    env.block_on(async {
        store.attach(env.shared()).await.unwrap();
        store::write(&store, key("s"), |tx| {
            let detail = serde_json::json!({"enabled": false});
            let audit = AuditRow { peer: Some("::1".to_owned()), ..AuditRow::new(7, "anna", "switch", detail) };
            tx.save(ScopeBatch { audit: vec![audit], ..ScopeBatch::new(ScopeRow::new("e".to_owned())) })?;
            Ok((Verdict::Commit, ()))
        })
        .await
        .unwrap();
        store.close().await.unwrap();
    });
    let connection = Connection::open(&path).unwrap();
    let row: (i64, [String; 5]) = connection
        .query_row("SELECT at_ms, user, peer, action, outcome, detail FROM audit", [], |row| {
            Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?]))
        })
        .unwrap();
    assert_eq!(row, (7, ["anna", "::1", "switch", "ok", r#"{"enabled":false}"#].map(str::to_owned)));
}
