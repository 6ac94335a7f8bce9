//! What a panic does: the module aborts, and nothing in it may run again. The npm package is told just before, so that it
//! can refuse every call under way and to come with an `internal` error, instead of leaving promises that never settle.

use std::cell::RefCell;

use js_sys::Function;
use wasm_bindgen::prelude::*;

thread_local!(static TELL: RefCell<Option<Function>> = const { RefCell::new(None) });

/// Calls `tell` with the panic's words before the module aborts.
#[wasm_bindgen(js_name = onPanic)]
pub fn on_panic(tell: Function) {
    TELL.set(Some(tell));
    std::panic::set_hook(Box::new(|panic| {
        let tell = TELL.with_borrow(Clone::clone);
        if let Some(tell) = tell {
            // Whatever it throws, the module is about to abort.
            let _ = tell.call1(&JsValue::UNDEFINED, &panic.to_string().into());
        }
    }));
}
