//! What an app iterates over: one `next()` after the other, and an end that it may call for while it waits.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::rc::Rc;

use futures_util::future::{Either, select};
use js_sys::Promise;
use tokio::sync::{Mutex, Notify};
use wasm_bindgen::prelude::*;

use crate::error::{Result, thrown};
use crate::promise::promise;
use crate::value::to_js;

/// What a [`Source`] has next.
type Item<'a> = Pin<Box<dyn Future<Output = Result<JsValue>> + 'a>>;

/// A stream of the core.
pub(crate) trait Source: 'static {
    /// The next item; `undefined` at the end. Cancelling loses nothing.
    fn next(&mut self) -> Item<'_>;
}

impl Source for unisono::client::Watch {
    fn next(&mut self) -> Item<'_> {
        Box::pin(async { self.next().await.map_err(thrown)?.map_or(Ok(JsValue::UNDEFINED), |update| to_js(&update)) })
    }
}

impl Source for unisono::client::Events {
    fn next(&mut self) -> Item<'_> {
        Box::pin(async { self.next().await.map_or(Ok(JsValue::UNDEFINED), |event| to_js(&event)) })
    }
}

impl Source for unisono::settings::SettingsWatch {
    fn next(&mut self) -> Item<'_> {
        Box::pin(async {
            self.next().await.map_err(thrown)?.map_or(Ok(JsValue::UNDEFINED), |document| to_js(&document))
        })
    }
}

/// An iteration over a stream.
#[wasm_bindgen]
pub struct Iteration(Rc<Iterated>);

struct Iterated {
    source: Mutex<Box<dyn Source>>,
    ended: Cell<bool>,
    /// Rings at the end.
    bell: Notify,
}

impl Iteration {
    pub(crate) fn new(source: impl Source) -> Self {
        Self(Rc::new(Iterated { source: Mutex::new(Box::new(source)), ended: Cell::new(false), bell: Notify::new() }))
    }
}

#[wasm_bindgen]
impl Iteration {
    /// The next item; `undefined` at the end.
    pub fn next(&self) -> Promise {
        let iterated = self.0.clone();
        promise(async move {
            let end = iterated.bell.notified();
            if iterated.ended.get() {
                return Ok(JsValue::UNDEFINED);
            }
            let next = async { iterated.source.lock().await.next().await };
            match select(pin!(next), pin!(end)).await {
                Either::Left((item, _)) => item,
                Either::Right(_) => Ok(JsValue::UNDEFINED),
            }
        })
    }

    /// Ends it: a call that waits gets `undefined`, and so do all to come.
    pub fn end(&self) {
        self.0.ended.set(true);
        self.0.bell.notify_waiters();
    }
}
