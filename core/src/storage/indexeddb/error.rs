//! What the browser says, as a [`StorageError`]: the one place that knows the names of its exceptions.

use wasm_bindgen::{JsCast, JsValue};
use web_sys::DomException;

use crate::storage::StorageError;

/// The error that an exception, or the reason of an aborted transaction, stands for.
pub(super) fn of_exception(exception: &JsValue) -> StorageError {
    let Some(exception) = exception.dyn_ref::<DomException>() else {
        let text = js_sys::Object::from(exception.clone()).to_string();
        return StorageError::Io(String::from(text));
    };
    let words = || format!("{}: {}", exception.name(), exception.message());
    match exception.name().as_str() {
        "QuotaExceededError" => StorageError::Full(words()),
        // The connection is closing, or the browser refuses storage to this page: another call may fare better.
        "InvalidStateError" | "SecurityError" | "NotAllowedError" => StorageError::Unavailable(words()),
        // Chromium's word for a value whose file is gone.
        "NotReadableError" => StorageError::Corrupt(words()),
        _ => StorageError::Io(words()),
    }
}

/// Whether an exception is the reason of a signal that aborts after a time.
pub(super) fn is_timeout(exception: &JsValue) -> bool {
    exception.dyn_ref::<DomException>().is_some_and(|exception| exception.name() == "TimeoutError")
}

/// The error of a transaction that ended without its request being asked for one.
pub(super) fn of_abort(reason: Option<DomException>) -> StorageError {
    match reason {
        Some(reason) => of_exception(&reason),
        // Nobody here aborts without a reason of their own: the connection was taken away.
        None => StorageError::Unavailable("the browser ended the transaction".to_owned()),
    }
}
