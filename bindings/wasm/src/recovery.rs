//! What to do when opening fails with `storage_corrupt`.

use std::sync::Arc;

use js_sys::Promise;
use unisono::WebEnvironment;
use unisono::storage::IndexedDbStorage;
use wasm_bindgen::prelude::*;

use crate::error::thrown;
use crate::promise::promise;
use crate::value::{text, to_js};

/// Makes a new replica of what can be read of the damaged one of this name, and puts it in its place.
#[wasm_bindgen(unchecked_return_type = "Promise<RecoveryReport>")]
pub fn recover(name: JsValue) -> Promise {
    promise(async move {
        let name = text(&name, "a replica's name")?;
        to_js(&IndexedDbStorage::recover(&name, Arc::new(WebEnvironment)).await.map_err(thrown)?)
    })
}
