//! What an app iterates over: one `next()` after the other, and an end that it may call for while it waits.

use std::cell::Cell;

use futures_util::future::{Either, select};
use tokio::sync::{Mutex, Notify};
use wasm_bindgen::prelude::*;

use crate::error::{Result, thrown};
use crate::value::to_js;

/// An end that is called for from outside.
#[derive(Default)]
struct Ending {
    called: Cell<bool>,
    bell: Notify,
}

impl Ending {
    fn call(&self) {
        self.called.set(true);
        self.bell.notify_waiters();
    }

    /// What `work` gives, or nothing once the end has been called for.
    async fn or<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let called = self.bell.notified();
        if self.called.get() {
            return None;
        }
        match select(std::pin::pin!(work), std::pin::pin!(called)).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }
}

/// A query's answer, told anew whenever it changes.
#[wasm_bindgen]
pub struct Watch {
    watch: Mutex<unisono::client::Watch>,
    ending: Ending,
}

impl Watch {
    pub(crate) fn new(watch: unisono::client::Watch) -> Self {
        Self { watch: Mutex::new(watch), ending: Ending::default() }
    }
}

#[wasm_bindgen]
impl Watch {
    /// The next update; `undefined` at the end.
    #[wasm_bindgen(unchecked_return_type = "WatchUpdate | undefined")]
    pub async fn next(&self) -> Result<JsValue> {
        let next = async { self.watch.lock().await.next().await };
        match self.ending.or(next).await.transpose().map_err(thrown)?.flatten() {
            Some(update) => to_js(&update),
            None => Ok(JsValue::UNDEFINED),
        }
    }

    /// Ends it: a call that waits gets `undefined`, and so do all to come.
    pub fn end(&self) {
        self.ending.call();
    }
}

/// What happens in a client.
#[wasm_bindgen]
pub struct Events {
    events: Mutex<unisono::client::Events>,
    ending: Ending,
}

impl Events {
    pub(crate) fn new(events: unisono::client::Events) -> Self {
        Self { events: Mutex::new(events), ending: Ending::default() }
    }
}

#[wasm_bindgen]
impl Events {
    /// The next event; `undefined` at the end.
    #[wasm_bindgen(unchecked_return_type = "ClientEvent | undefined")]
    pub async fn next(&self) -> Result<JsValue> {
        let next = async { self.events.lock().await.next().await };
        match self.ending.or(next).await.flatten() {
            Some(event) => to_js(&event),
            None => Ok(JsValue::UNDEFINED),
        }
    }

    /// Ends it: a call that waits gets `undefined`, and so do all to come.
    pub fn end(&self) {
        self.ending.call();
    }
}
