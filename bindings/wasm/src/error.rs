//! Errors as JavaScript `Error`s: `name`, `code`, `kind`, `retryable`, `message`, and `fields` where settings do not fit.

use js_sys::Reflect;
use unisono::Error;
use unisono::error::InvalidCode;
use wasm_bindgen::JsValue;

use crate::value::to_js;

/// The result of most exports.
pub type Result<T> = std::result::Result<T, JsValue>;

/// What JavaScript throws for an error of the core.
pub fn thrown(error: impl Into<Error>) -> JsValue {
    let error = error.into();
    let made = js_sys::Error::new(&error.to_string());
    made.set_name("UnisonoError");
    let fields = [
        ("code", JsValue::from(error.code())),
        ("kind", error.kind().as_str().into()),
        ("retryable", error.retryable().into()),
    ];
    // Only settings have fields that may not fit.
    let unfit = Some(error.fields()).filter(|fields| !fields.is_empty()).and_then(|fields| to_js(&fields).ok());
    for (name, value) in fields.into_iter().chain(unfit.map(|unfit| ("fields", unfit))) {
        // An object that was just made takes properties.
        drop(Reflect::set(&made, &name.into(), &value));
    }
    made.into()
}

/// What JavaScript throws for input that was refused.
pub fn invalid(code: InvalidCode, message: impl Into<String>) -> JsValue {
    thrown(Error::invalid(code, message))
}
