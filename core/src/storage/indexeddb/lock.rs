//! One owner per replica: a Web Lock, which the browser releases when the page goes, however it goes.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use js_sys::{Function, Object, Promise, Reflect};
use tokio::sync::oneshot;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};

use super::error::{is_timeout, of_exception};
use crate::storage::StorageError;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_namespace = AbortSignal, js_name = timeout)]
    fn abort_after(ms: i32) -> Result<JsValue, JsValue>;
    type LockManager;
    #[wasm_bindgen(method)]
    fn request(this: &LockManager, name: &str, options: &Object, callback: &Function) -> Promise;
}

/// Held while a replica is open. Dropping it gives it back, a little later; [`release`](Self::release) waits for that.
pub(super) struct ReplicaLock {
    /// Absent where there are no Web Locks.
    hold: Option<Hold>,
    given_back: Option<oneshot::Receiver<()>>,
}

/// Resolves the promise that holds a lock once it is dropped, wherever that is: on its way to a caller who has gone, too.
struct Hold(Function);

impl Drop for Hold {
    fn drop(&mut self) {
        // The function of a promise does not throw.
        drop(self.0.call0(&JsValue::UNDEFINED));
    }
}

impl ReplicaLock {
    /// Takes the lock `name`, waiting for `wait` at most; for as long as it takes if `None`. Who waits first gets it first.
    pub(super) async fn take(name: &str, wait: Option<Duration>) -> Result<Self, StorageError> {
        let Some(locks) = lock_manager() else { return Ok(Self { hold: None, given_back: None }) };
        let options = Object::new();
        match wait {
            None => {}
            Some(Duration::ZERO) => set(&options, "ifAvailable", &JsValue::TRUE)?,
            Some(wait) => {
                let ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
                let signal = abort_after(ms).map_err(|exception| of_exception(&exception))?;
                set(&options, "signal", &signal)?;
            }
        }
        let (tell, told) = oneshot::channel();
        let (tell_end, given_back) = oneshot::channel();
        let mut tell = Some(tell);
        // Called with the lock, or with `null`; the lock is held until the promise that it returns is resolved.
        let granted: Closure<dyn FnMut(JsValue) -> JsValue> = Closure::new(move |lock: JsValue| {
            let mut hold = None;
            let held = Promise::new(&mut |resolve, _| hold = Some(Hold(resolve)));
            if let Some(tell) = tell.take() {
                drop(tell.send(hold.filter(|_| !lock.is_null())));
            }
            held.into()
        });
        let whole = locks.request(name, &options, granted.as_ref().unchecked_ref());
        let failure: Rc<RefCell<Option<StorageError>>> = Rc::default();
        let failed = Rc::clone(&failure);
        let taken = StorageError::AlreadyOpen(name.to_owned());
        spawn_local(async move {
            if let Err(exception) = JsFuture::from(whole).await {
                *failed.borrow_mut() = Some(if is_timeout(&exception) { taken } else { of_exception(&exception) });
            }
            drop(granted);
            let _ = tell_end.send(());
        });
        match told.await {
            Ok(Some(hold)) => Ok(Self { hold: Some(hold), given_back: Some(given_back) }),
            Ok(None) => Err(StorageError::AlreadyOpen(name.to_owned())),
            Err(_) => Err(failure.borrow_mut().take().unwrap_or_else(|| StorageError::Unavailable(name.to_owned()))),
        }
    }

    /// Gives the lock back and waits until others can take it.
    pub(super) async fn release(self) {
        let Self { hold, given_back } = self;
        drop(hold);
        if let Some(given_back) = given_back {
            drop(given_back.await);
        }
    }
}

/// Sets an option.
pub(super) fn set(options: &Object, name: &str, value: &JsValue) -> Result<(), StorageError> {
    Reflect::set(options, &name.into(), value).map(drop).map_err(|exception| of_exception(&exception))
}

fn lock_manager() -> Option<LockManager> {
    let navigator = Reflect::get(&js_sys::global(), &"navigator".into()).ok().filter(JsValue::is_object)?;
    Reflect::get(&navigator, &"locks".into()).ok().filter(JsValue::is_object).map(JsCast::unchecked_into)
}
