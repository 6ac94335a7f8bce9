//! Owners, versions, and data that is taken away.

use js_sys::Promise;
use unisono::storage::{
    Batch, Durability, IndexedDbOptions, IndexedDbStorage, RowKey, Scan, Storage, StorageError, Table,
};
use unisono::testing::storage_suite::Replica;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;

use crate::place::{Place, done, factory, raw};

fn put(key: &str) -> Batch {
    let row = RowKey { table: Table::Event, key: key.as_bytes().to_vec() };
    Batch { put: vec![(row, b"value".to_vec())], ..Batch::default() }
}

async fn keys(storage: &impl Storage) -> Vec<Vec<u8>> {
    let rows = storage.scan(Scan::prefix(Table::Event, b"")).await.expect("the store can be read");
    rows.into_iter().map(|row| row.key).collect()
}

#[wasm_bindgen_test]
async fn b46_a_second_client_gets_already_open_until_the_first_is_closed() {
    let place = Place::new();
    let first = place.open().await;
    for _ in 0..2 {
        let second = place.try_open().await;
        assert!(matches!(second, Err(StorageError::AlreadyOpen(_))), "{second:?}");
    }
    first.apply(put("a")).await.unwrap();
    first.close().await.unwrap();
    let second = place.open().await;
    assert_eq!(keys(&second).await, [b"a"]);
}

#[wasm_bindgen_test]
async fn a_client_that_is_dropped_leaves_the_replica_to_the_next() {
    let place = Place::new();
    let first = place.open().await;
    first.apply(put("a")).await.unwrap();
    drop(first);
    assert_eq!(keys(&opened_in_the_end(&place).await).await, [b"a"]);
}

/// Opens a replica that nobody holds any more: the browser hands its lock on when that lock's turn has come.
async fn opened_in_the_end(place: &Place) -> IndexedDbStorage {
    loop {
        match place.try_open().await {
            Ok(storage) => return storage,
            Err(StorageError::AlreadyOpen(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

/// Lets the browser deliver what it has.
async fn next_task() {
    let task = Promise::new(&mut |resolve, _| {
        let channel = web_sys::MessageChannel::new().expect("a channel");
        channel.port1().set_onmessage(Some(&resolve));
        channel.port2().post_message(&JsValue::NULL).expect("it is sent");
    });
    drop(JsFuture::from(task).await);
}

#[wasm_bindgen_test]
async fn b54_an_opening_that_is_given_up_holds_nothing() {
    for polls in 0..12 {
        let place = Place::new();
        {
            let mut opening = Box::pin(place.try_open());
            for _ in 0..polls {
                if futures_util::poll!(&mut opening).is_ready() {
                    break;
                }
                next_task().await;
            }
        }
        let storage = opened_in_the_end(&place).await;
        storage.apply(put("a")).await.unwrap();
        storage.close().await.unwrap();
    }
}

#[wasm_bindgen_test]
async fn a_suspended_replica_can_be_taken_by_another_and_is_then_not_resumed() {
    let place = Place::new();
    let first = place.open().await;
    first.suspend().await.unwrap();
    let second = place.open().await;
    assert!(matches!(first.resume().await, Err(StorageError::AlreadyOpen(_))));
    assert_eq!(first.apply(put("a")).await, Err(StorageError::Suspended));
    second.apply(put("b")).await.unwrap();
    second.close().await.unwrap();
    first.resume().await.unwrap();
    assert_eq!(keys(&first).await, [b"b"]);
}

#[wasm_bindgen_test]
async fn b41_an_upgrade_that_another_tab_blocks_is_unavailable_and_works_once_that_tab_is_gone() {
    let place = Place::new();
    place.open().await.close().await.unwrap();
    let other_tab = raw(&place.database(), None, |_| {}).await;
    let upgraded = || IndexedDbOptions::default().schema(2).open(&place.name);
    let refused = upgraded().await;
    assert!(matches!(&refused, Err(StorageError::Unavailable(words)) if words.contains("tab")), "{refused:?}");
    assert!(refused.unwrap_err().retryable());
    other_tab.close();
    upgraded().await.expect("nobody blocks it any more");
}

#[wasm_bindgen_test]
async fn b39_a_newer_version_is_refused_and_left_as_it_is() {
    let place = Place::new();
    let newer = IndexedDbOptions::default().schema(7).open(&place.name).await.unwrap();
    newer.apply(put("a")).await.unwrap();
    newer.close().await.unwrap();
    let older = place.try_open().await;
    assert_eq!(older.unwrap_err(), StorageError::NewerSchema { found: 7, known: 1 });
    let newer = IndexedDbOptions::default().schema(7).open(&place.name).await.unwrap();
    assert_eq!(keys(&newer).await, [b"a"]);
}

#[wasm_bindgen_test]
async fn b41_a_version_change_closes_the_connection_and_is_told() {
    let place = Place::new();
    let storage = place.open().await;
    storage.apply(put("a")).await.unwrap();
    // Resolves only because the storage lets go of the database.
    let other_tab = raw(&place.database(), Some(2), |_| {}).await;
    let refused = storage.apply(put("b")).await;
    assert_eq!(refused, Err(StorageError::NewerSchema { found: 2, known: 1 }));
    other_tab.close();
    assert!(storage.get(Vec::new()).await.is_err(), "it stays refused");
    assert_eq!(storage.close().await, Ok(()));
}

#[wasm_bindgen_test]
async fn b43_data_that_was_removed_is_never_taken_for_an_empty_replica() {
    let place = Place::new();
    let storage = place.open().await;
    storage.apply(put("a")).await.unwrap();
    done(&factory().delete_database(&place.database()).unwrap()).await.expect("the storage lets go of it");
    for _ in 0..2 {
        let refused = storage.scan(Scan::prefix(Table::Event, b"")).await;
        assert!(matches!(refused, Err(StorageError::Corrupt(_))), "{refused:?}");
    }
    storage.close().await.unwrap();
    // Opened anew, it is an empty one.
    assert!(keys(&place.open().await).await.is_empty());
}

#[wasm_bindgen_test]
async fn b43_another_replica_under_the_same_name_is_not_taken_for_this_one() {
    let place = Place::new();
    let storage = place.open().await;
    done(&factory().delete_database(&place.database()).unwrap()).await.expect("the storage lets go of it");
    // A tab without Web Locks makes a new replica.
    let other_tab = raw(&place.database(), Some(1), |database| {
        for table in Table::ALL {
            database.create_object_store(table.name()).unwrap();
        }
        let control = database.create_object_store("control").unwrap();
        control.put_with_key(&js_sys::Uint8Array::new_with_length(16), &"identity".into()).unwrap();
    })
    .await;
    let refused = storage.apply(put("a")).await;
    assert!(matches!(refused, Err(StorageError::Corrupt(_))), "{refused:?}");
    other_tab.close();
}

#[wasm_bindgen_test]
async fn a_database_that_is_no_replica_is_left_as_it_is() {
    for stores in [&[][..], &["control"], &["notes"]] {
        let place = Place::new();
        let made = raw(&place.database(), Some(1), |database| {
            stores.iter().for_each(|store| drop(database.create_object_store(store).unwrap()));
        })
        .await;
        made.close();
        let refused = place.try_open().await;
        assert!(matches!(refused, Err(StorageError::Foreign(_))), "{refused:?}");
        assert_eq!(raw(&place.database(), None, |_| {}).await.object_store_names().length(), stores.len() as u32);
    }
}

#[wasm_bindgen_test]
async fn b44_writes_ask_for_the_durability_that_they_promise() {
    for (durability, asked) in [(Durability::Full, "strict"), (Durability::Normal, "relaxed")] {
        let place = Place::new();
        let storage = IndexedDbOptions::default().durability(durability).open(&place.name).await.unwrap();
        let recorder = js_sys::Function::new_no_args(
            "const asked = [];
             const transaction = IDBDatabase.prototype.transaction;
             IDBDatabase.prototype.transaction = function (...parts) {
                 const made = transaction.apply(this, parts);
                 if (made.mode === 'readwrite') asked.push(made.durability);
                 return made;
             };
             return () => { IDBDatabase.prototype.transaction = transaction; return asked.join(); };",
        );
        let stop: js_sys::Function = recorder.call0(&wasm_bindgen::JsValue::UNDEFINED).unwrap().into();
        storage.apply(put("a")).await.unwrap();
        let recorded = stop.call0(&wasm_bindgen::JsValue::UNDEFINED).unwrap();
        assert_eq!(recorded.as_string().unwrap(), asked);
    }
}
