//! A replica whose rows an older, newer or broken build, or a broken disk, has left behind.

use std::cell::RefCell;

use serde_json::{Value, json};
use unisono::error::ErrorKind;
use unisono::model::EventId;
use unisono::storage::{Batch, MemoryStorage, Row, RowKey, Scan, Storage, Table};
use unisono::testing::{TestEnvironment, block_on};
use unisono::{Client, Error};
use unisono_server::LoopbackTransport;

use crate::bytes::Bytes;
use crate::server::{Server, principal};

const ACCOUNT: &str = "alice";
const MAX_PATCHES: usize = 8;

/// A replica in the midst of its work.
#[derive(Debug)]
struct Template {
    storage: MemoryStorage,
    rows: Vec<(Table, Row)>,
    /// All events that the app was promised something about.
    events: Vec<EventId>,
}

impl Template {
    /// Confirmed records, a settled event, a parked one, and a queue with a group and a deletion.
    fn new() -> Self {
        let server = Server::new();
        let storage = MemoryStorage::new();
        let env = server.env.clone();
        let events = env.block_on(async {
            let client = connected(&server, &storage).await.expect("a client opens");
            let samples = client.collection("samples");
            for id in ["r1", "r2", "r3"] {
                samples.create(id, json!({"n": 1, "t": ["a"], "p": {"x": id}})).await.expect("a create");
            }
            client.sync_now().await.expect("a sync");
            let other = connected(&server, &MemoryStorage::new()).await.expect("another client opens");
            other.sync_now().await.expect("a sync");
            other.collection("samples").update("r1", json!({"n": 2})).await.expect("an update");
            other.sync_now().await.expect("a sync");
            other.close().await.expect("it closes");
            let refused =
                samples.strict().update("r1", json!({"n": 3})).await.expect("a strict update").expect("an edit");
            client.sync_now().await.expect("a sync");
            let mut events = vec![refused];
            events.push(samples.create("r4", json!({"text": "new"})).await.expect("a create"));
            events.push(
                samples
                    .edit("r2")
                    .increment("/n", 1)
                    .add("/t", ["b"])
                    .commit()
                    .await
                    .expect("an edit")
                    .expect("an edit"),
            );
            events.push(samples.delete("r3").await.expect("a delete"));
            events.push(client.workspace("band").collection("notes").create("w", json!({})).await.expect("a create"));
            client.close().await.expect("it closes");
            events
        });
        let storage = storage.reopen();
        let rows = Table::ALL.into_iter().flat_map(|table| {
            let rows = block_on(storage.scan(Scan::prefix(table, &[]))).expect("rows are read");
            rows.into_iter().map(move |row| (table, row))
        });
        let rows = rows.collect();
        Self { storage, rows, events }
    }

    /// A copy with rows changed.
    fn patched(&self, bytes: &mut Bytes<'_>) -> (MemoryStorage, bool) {
        let storage = self.storage.deep_copy();
        let mut batch = Batch::default();
        for _ in 0..MAX_PATCHES {
            if bytes.is_empty() {
                break;
            }
            let (table, row) = bytes.of(&self.rows);
            let key = RowKey { table: *table, key: row.key.clone() };
            match bytes.below(5) {
                0 => batch.delete.push(key),
                1 => {
                    let count = bytes.below(64);
                    batch.put.push((key, bytes.take(count).to_vec()));
                }
                2 => {
                    let mut value = row.value.clone();
                    let at = usize::from(bytes.u16()) % value.len().max(1);
                    value.splice(at..at + usize::from(at < value.len()), [bytes.byte()]);
                    batch.put.push((key, value));
                }
                _ => batch.put.push((key, with_hostile_leaf(&row.value, bytes))),
            }
        }
        let sound = batch == Batch::default();
        block_on(storage.apply(batch)).expect("rows are put");
        (storage, sound)
    }
}

/// The row with one value inside replaced by one that its type may or may not allow.
fn with_hostile_leaf(row: &[u8], bytes: &mut Bytes<'_>) -> Vec<u8> {
    let hostile = [
        json!(u64::MAX),
        json!(0),
        json!(i64::MIN),
        json!(null),
        json!(""),
        json!([]),
        json!({}),
        json!(true),
        json!("ffffffffffff-ffff-d"),
        json!((1u64 << 48) - 1),
        json!("e4"),
        json!([u64::MAX, 65535]),
    ];
    let Ok(mut value) = serde_json::from_slice::<Value>(row) else { return bytes.take(16).to_vec() };
    let which = bytes.below(count(&value));
    replace(&mut value, &mut { which }, bytes.of(&hostile));
    value.to_string().into_bytes()
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum::<usize>(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// Replaces the value that `which` counts down to, walking from the outside in. Returns whether it was found.
fn replace(value: &mut Value, which: &mut usize, by: &Value) -> bool {
    if *which == 0 {
        *value = by.clone();
        return true;
    }
    *which -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| replace(item, which, by)),
        Value::Object(fields) => fields.values_mut().any(|field| replace(field, which, by)),
        _ => false,
    }
}

async fn connected(server: &Server, storage: &MemoryStorage) -> Result<Client, Error> {
    let transport = LoopbackTransport::with_resolver(server.service.clone(), |_| Ok(principal(ACCOUNT)));
    let client = Client::builder().storage(storage.clone()).environment(server.env.device(0)).account(ACCOUNT);
    client.token("token").transport(transport).build().await
}

thread_local! {
    static TEMPLATE: RefCell<Option<Template>> = const { RefCell::new(None) };
}

/// A list of changes to the rows of a working replica: it opens or is refused, and every call on it has an answer or a
/// typed error that blames the storage or the state, never the SDK. An unchanged one loses nothing.
///
/// # Panics
/// If not.
pub fn replica_rows(data: &[u8]) {
    TEMPLATE.with_borrow_mut(|template| {
        let template = template.get_or_insert_with(Template::new);
        let (storage, sound) = template.patched(&mut Bytes::new(data));
        let env = TestEnvironment::new(3);
        env.block_on(use_replica(&env, storage, &template.events, sound));
        env.abort_all_tasks();
    });
}

async fn use_replica(env: &TestEnvironment, storage: MemoryStorage, events: &[EventId], sound: bool) {
    let builder = Client::builder().storage(storage).environment(env.device(0)).account(ACCOUNT);
    let Some(client) = answered(builder.index("samples", ["n"]).build().await, sound) else { return };
    for id in events {
        let outcome = answered(client.outcome(id).await, sound);
        assert!(!sound || outcome.flatten().is_some(), "{id} is forgotten");
    }
    let pending = answered(client.pending().await, sound);
    let parked = answered(client.parked().await, sound).unwrap_or_default();
    assert!(!sound || (pending.is_some_and(|pending| pending.len() >= 4) && parked.len() == 1));
    let samples = client.collection("samples");
    answered(samples.all().await, sound);
    answered(samples.query().filter(unisono::query::eq("/n", 1)).order_by("/n").limit(2).all().await, sound);
    for id in ["r1", "r2", "r3", "r4"] {
        answered(samples.get(id).await, sound);
        answered(samples.state(id).await, sound);
    }
    answered(client.conflicts().await, sound);
    answered(client.doctor().await, sound);
    // A write on a record in each state; in a sound replica r3 is gone.
    answered(samples.update("r1", json!({"n": 9})).await, sound);
    answered(samples.edit("r2").increment("/n", 1).commit().await, sound);
    answered(samples.update("r4", json!({"text": null})).await, sound);
    answered(samples.create("r5", json!({"n": 5})).await, sound);
    answered(samples.create("r3", json!({"n": 5})).await, sound);
    answered(samples.delete("r4").await, sound);
    if let Some(parked) = parked.first() {
        answered(client.retry(&parked.id).await, sound);
    }
    for id in events.iter().take(2) {
        // Of events that are not parked any more this is refused, in a sound replica too.
        answered(client.discard(id).await, false);
    }
    answered(client.pending().await, sound);
    answered(client.close().await, sound);
}

fn answered<T>(answer: Result<T, Error>, sound: bool) -> Option<T> {
    match answer {
        Ok(value) => Some(value),
        Err(error) => {
            assert!(!sound, "a sound replica works: {error}");
            assert!(!error.code().is_empty());
            assert_ne!(error.kind(), ErrorKind::Internal, "{error}");
            None
        }
    }
}
