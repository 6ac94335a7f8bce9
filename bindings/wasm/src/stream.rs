//! What an app iterates over: one `next()` after the other, and an end that it may call for while it waits.

use std::cell::Cell;
use std::rc::Rc;

use futures_util::future::{Either, select};
use js_sys::Promise;
use tokio::sync::{Mutex, Notify};
use wasm_bindgen::prelude::*;

use crate::error::thrown;
use crate::promise::promise;
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

/// What is iterated over, and its end.
struct Iteration<S> {
    source: Mutex<S>,
    ending: Ending,
}

impl<S> Iteration<S> {
    fn new(source: S) -> Rc<Self> {
        Rc::new(Self { source: Mutex::new(source), ending: Ending::default() })
    }
}

/// A query's answer, told anew whenever it changes.
#[wasm_bindgen]
pub struct Watch(Rc<Iteration<unisono::client::Watch>>);

impl Watch {
    pub(crate) fn new(watch: unisono::client::Watch) -> Self {
        Self(Iteration::new(watch))
    }
}

#[wasm_bindgen]
impl Watch {
    /// The next update; `undefined` at the end.
    #[wasm_bindgen(unchecked_return_type = "Promise<WatchUpdate | undefined>")]
    pub fn next(&self) -> Promise {
        let iteration = self.0.clone();
        promise(async move {
            let next = async { iteration.source.lock().await.next().await };
            match iteration.ending.or(next).await.transpose().map_err(thrown)?.flatten() {
                Some(update) => to_js(&update),
                None => Ok(JsValue::UNDEFINED),
            }
        })
    }

    /// Ends it: a call that waits gets `undefined`, and so do all to come.
    pub fn end(&self) {
        self.0.ending.call();
    }
}

/// What happens in a client.
#[wasm_bindgen]
pub struct Events(Rc<Iteration<unisono::client::Events>>);

impl Events {
    pub(crate) fn new(events: unisono::client::Events) -> Self {
        Self(Iteration::new(events))
    }
}

#[wasm_bindgen]
impl Events {
    /// The next event; `undefined` at the end.
    #[wasm_bindgen(unchecked_return_type = "Promise<ClientEvent | undefined>")]
    pub fn next(&self) -> Promise {
        let iteration = self.0.clone();
        promise(async move {
            let next = async { iteration.source.lock().await.next().await };
            match iteration.ending.or(next).await.flatten() {
                Some(event) => to_js(&event),
                None => Ok(JsValue::UNDEFINED),
            }
        })
    }

    /// Ends it: a call that waits gets `undefined`, and so do all to come.
    pub fn end(&self) {
        self.0.ending.call();
    }
}

/// A document of settings, told anew whenever it changes.
#[wasm_bindgen]
pub struct SettingsWatch(Rc<Iteration<unisono::settings::SettingsWatch>>);

impl SettingsWatch {
    pub(crate) fn new(watch: unisono::settings::SettingsWatch) -> Self {
        Self(Iteration::new(watch))
    }
}

#[wasm_bindgen]
impl SettingsWatch {
    /// The document as it holds now; `undefined` at the end.
    #[wasm_bindgen(unchecked_return_type = "Promise<Value | undefined>")]
    pub fn next(&self) -> Promise {
        let iteration = self.0.clone();
        promise(async move {
            let next = async { iteration.source.lock().await.next().await };
            match iteration.ending.or(next).await.transpose().map_err(thrown)?.flatten() {
                Some(document) => to_js(&document),
                None => Ok(JsValue::UNDEFINED),
            }
        })
    }

    /// Ends it: a call that waits gets `undefined`, and so do all to come.
    pub fn end(&self) {
        self.0.ending.call();
    }
}
