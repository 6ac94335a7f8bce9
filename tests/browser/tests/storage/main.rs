//! IndexedDB, in a browser: the conformance suite of the storage seam, and what only a browser does to a database.
#![cfg(all(target_family = "wasm", target_os = "unknown"))]

mod lifecycle;
mod place;

use place::Place;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

unisono::storage_suite!(contract, Place::new(), async wasm_bindgen_test);
