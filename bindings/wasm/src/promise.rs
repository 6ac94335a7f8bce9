//! Promises of what a future gives.

use std::pin::Pin;

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::future_to_promise;

use crate::error::Result;

/// Starts `work` and promises its result. What drives a future and settles its promise is code for each type of future;
/// boxed, all are of one type, and a browser downloads it once.
pub fn promise(work: impl Future<Output = Result<JsValue>> + 'static) -> Promise {
    let work: Pin<Box<dyn Future<Output = Result<JsValue>>>> = Box::pin(work);
    future_to_promise(work)
}
