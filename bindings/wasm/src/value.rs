//! Values between JavaScript and the core, exactly.
//!
//! What comes in is JSON text, which the npm package writes (`json.ts`): nothing of the app's is read in here, where nobody could
//! catch what it throws. What goes out is made by `JSON.parse`, unless it may hold an integer that this would round: integers
//! below 2^53 are numbers and all others `bigint`s, so that what was written is what is read.

use js_sys::{Array, JSON, JsString, Number, Object};
use serde::Serialize;
use unisono::error::InvalidCode;
use unisono::model::Value;
use wasm_bindgen::prelude::*;

use crate::error::{Result, invalid, thrown};

/// Decimal digits from which on an integer may be beyond 2^53.
const LONG_NUMBER: usize = 16;

/// Reads a value that the npm package wrote.
pub fn from_json(text: &str) -> Result<Value> {
    serde_json::from_slice(text.as_bytes()).map_err(internal)
}

/// Reads a name or another text, which must be one.
pub fn text(js: &JsValue, what: &str) -> Result<String> {
    match js.dyn_ref::<JsString>() {
        Some(text) => exact_text(text),
        None => Err(invalid(InvalidCode::Id, format!("{what} is a string"))),
    }
}

/// Makes a JavaScript value of what serializes.
pub fn to_js(value: &impl Serialize) -> Result<JsValue> {
    let text = serde_json::to_string(value).map_err(internal)?;
    if has_long_number(text.as_bytes()) { write(&from_json(&text)?) } else { JSON::parse(&text) }
}

fn internal(error: serde_json::Error) -> JsValue {
    thrown(unisono::Error::Internal(error.to_string()))
}

/// A string's text, if it is one: UTF-16 with a lone surrogate is not.
fn exact_text(text: &JsString) -> Result<String> {
    if text.is_valid_utf16() {
        Ok(String::from(text))
    } else {
        Err(invalid(InvalidCode::LoneSurrogate, "a string has a surrogate that stands alone"))
    }
}

/// Whether the text may hold an integer that `JSON.parse` rounds. In a string it may look so; then the slow way is taken.
fn has_long_number(text: &[u8]) -> bool {
    let mut digits = 0;
    text.iter().any(|byte| {
        digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
        digits >= LONG_NUMBER
    })
}

fn write(value: &Value) -> Result<JsValue> {
    Ok(match value {
        Value::Null => JsValue::NULL,
        Value::Bool(flag) => (*flag).into(),
        Value::String(text) => text.into(),
        Value::Number(number) => write_number(number),
        Value::Array(items) => items.iter().map(write).collect::<Result<Array>>()?.into(),
        Value::Object(fields) => {
            let entry = |(key, value): (&String, &Value)| Ok(JsValue::from(Array::of2(&key.into(), &write(value)?)));
            // Not by assignment: a key may be `__proto__`.
            let entries: Array = fields.iter().map(entry).collect::<Result<_>>()?;
            Object::from_entries(&entries)?.into()
        }
    })
}

#[expect(clippy::cast_precision_loss, reason = "what is rounded is not taken for a safe integer")]
fn write_number(number: &serde_json::Number) -> JsValue {
    let safe = |double: f64| Number::is_safe_integer(&double.into()).then(|| double.into());
    match (number.as_i64(), number.as_u64()) {
        (Some(integer), _) => safe(integer as f64).unwrap_or_else(|| integer.into()),
        (_, Some(integer)) => integer.into(),
        _ => number.as_f64().unwrap_or_default().into(),
    }
}
