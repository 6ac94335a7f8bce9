//! Where a test keeps its replica, and raw access to the database beneath.

use std::cell::Cell;

use js_sys::Promise;
use unisono::platform::BoxFuture;
use unisono::storage::{IndexedDbStorage, StorageError};
use unisono::testing::storage_suite::Replica;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{IdbDatabase, IdbFactory, IdbOpenDbRequest};

/// A replica that no other test uses. The profile is fresh in each run.
pub struct Place {
    pub name: String,
}

impl Place {
    pub fn new() -> Self {
        thread_local!(static NEXT: Cell<u32> = const { Cell::new(0) });
        let number = NEXT.replace(NEXT.get() + 1);
        Self { name: format!("test {number}") }
    }

    pub async fn try_open(&self) -> Result<IndexedDbStorage, StorageError> {
        IndexedDbStorage::open(&self.name).await
    }

    /// The name of the database beneath.
    pub fn database(&self) -> String {
        format!("unisono/{}", self.name)
    }
}

impl Replica for Place {
    type Storage = IndexedDbStorage;

    fn open(&self) -> BoxFuture<'_, IndexedDbStorage> {
        Box::pin(async { self.try_open().await.expect("the replica opens") })
    }
}

pub fn factory() -> IdbFactory {
    web_sys::window().expect("a page").indexed_db().expect("access").expect("IndexedDB")
}

/// Opens a database beside the storage, as another tab would, and does nothing when asked to let it go. `upgrade` makes its
/// object stores.
pub async fn raw(name: &str, version: Option<u32>, upgrade: impl FnOnce(&IdbDatabase) + 'static) -> IdbDatabase {
    let request = match version {
        Some(version) => factory().open_with_u32(name, version),
        None => factory().open(name),
    }
    .expect("a request");
    let opening = request.clone();
    let upgrade = Closure::once(move || upgrade(opening.result().expect("a database").unchecked_ref()));
    request.set_onupgradeneeded(Some(upgrade.as_ref().unchecked_ref()));
    done(&request).await.expect("it opens").unchecked_into()
}

/// Waits for a request that opens or deletes a database.
pub async fn done(request: &IdbOpenDbRequest) -> Result<JsValue, JsValue> {
    let promise = Promise::new(&mut |resolve, reject| {
        request.set_onsuccess(Some(&resolve));
        request.set_onerror(Some(&reject));
    });
    JsFuture::from(promise).await.map(|_| request.result().unwrap_or(JsValue::UNDEFINED))
}
