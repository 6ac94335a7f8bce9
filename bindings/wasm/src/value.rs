//! Values between JavaScript and the core, exactly.
//!
//! A JavaScript number that is an integer below 2^53 is an integer, every other a double, whatever its value; a `bigint` is
//! an integer of up to 64 bits. Back, integers below 2^53 are numbers and all others `bigint`s, so that what was written is
//! what is read. (Through `JSON` integers beyond 2^53 would be rounded, NaN become null, a Map be lost.)

use js_sys::{Array, BigInt, Function, JSON, JsString, Number, Object, Reflect};
use serde::Serialize;
use serde_json::Map;
use unisono::error::InvalidCode;
use unisono::limits::MAX_DEPTH;
use unisono::model::Value;
use wasm_bindgen::prelude::*;

use crate::error::{Result, invalid, thrown};

#[wasm_bindgen]
extern "C" {
    /// What kind of object it is: `[object Map]`.
    #[wasm_bindgen(js_namespace = ["Object", "prototype", "toString"], js_name = call)]
    fn tag_of(value: &JsValue) -> String;
}

/// Levels of a query's options or an edit around the values in them.
const ENVELOPE: usize = 32;
/// Decimal digits from which on an integer may be beyond 2^53.
const LONG_NUMBER: usize = 16;

/// Reads a value.
pub fn from_js(js: &JsValue) -> Result<Value> {
    read(js, 0)?.ok_or_else(|| refused("undefined"))
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
    of_json(&serde_json::to_string(value).map_err(internal)?)
}

fn of_json(text: &str) -> Result<JsValue> {
    if has_long_number(text.as_bytes()) {
        return write(&serde_json::from_slice(text.as_bytes()).map_err(internal)?);
    }
    JSON::parse(text)
}

/// A value or `null`.
pub fn optional_to_js<T: Serialize>(value: Option<&T>) -> Result<JsValue> {
    value.map_or(Ok(JsValue::NULL), to_js)
}

fn internal(error: serde_json::Error) -> JsValue {
    thrown(unisono::Error::Internal(error.to_string()))
}

fn refused(what: &str) -> JsValue {
    invalid(InvalidCode::Json, format!("{what} is no JSON value"))
}

/// A value; nothing for `undefined`, which JSON leaves out of objects.
fn read(js: &JsValue, depth: usize) -> Result<Option<Value>> {
    if depth > MAX_DEPTH + ENVELOPE {
        // A cycle ends here, too.
        return Err(invalid(InvalidCode::NestingTooDeep, "nesting is deeper than 64 levels"));
    }
    Ok(Some(if js.is_undefined() {
        return Ok(None);
    } else if js.is_null() {
        Value::Null
    } else if let Some(flag) = js.as_bool() {
        Value::Bool(flag)
    } else if let Some(number) = js.as_f64() {
        read_number(number)?
    } else if let Some(text) = js.dyn_ref::<JsString>() {
        Value::String(exact_text(text)?)
    } else if let Some(integer) = js.dyn_ref::<BigInt>() {
        read_integer(integer)?
    } else if let Some(items) = js.dyn_ref::<Array>() {
        let item = |item: JsValue| read(&item, depth + 1)?.ok_or_else(|| refused("undefined in an array"));
        Value::Array(items.iter().map(item).collect::<Result<_>>()?)
    } else if js.is_object() {
        // Not asked of `Object` itself: another frame has another one.
        return read_object(js.unchecked_ref(), depth);
    } else {
        return Err(refused(&js.js_typeof().as_string().unwrap_or_default()));
    }))
}

fn read_number(number: f64) -> Result<Value> {
    if Number::is_safe_integer(&number.into()) {
        // Exact by the check before.
        #[expect(clippy::cast_possible_truncation)]
        let integer = number as i64;
        return Ok(Value::from(integer));
    }
    let number = serde_json::Number::from_f64(number);
    number.map(Value::Number).ok_or_else(|| invalid(InvalidCode::Number, "NaN and infinity are no JSON numbers"))
}

fn read_integer(integer: &BigInt) -> Result<Value> {
    let text = integer.to_string(10).map(String::from).unwrap_or_default();
    let signed = text.parse::<i64>().map(Value::from);
    let value = signed.or_else(|_| text.parse::<u64>().map(Value::from));
    value.map_err(|_| invalid(InvalidCode::Number, "a bigint has at most 64 bits"))
}

fn read_object(object: &Object, depth: usize) -> Result<Option<Value>> {
    // As `JSON.stringify` does: a `Date` says here what it is.
    let to_json = Reflect::get(object, &"toJSON".into())?;
    if let Some(to_json) = to_json.dyn_ref::<Function>() {
        return read(&to_json.call0(object)?, depth + 1);
    }
    let tag = tag_of(object);
    if tag != "[object Object]" {
        return Err(refused(&tag));
    }
    let mut fields = Map::new();
    for entry in Object::entries(object).iter() {
        let entry: Array = entry.unchecked_into();
        if let Some(value) = read(&entry.get(1), depth + 1)? {
            fields.insert(exact_text(entry.get(0).unchecked_ref())?, value);
        }
    }
    Ok(Some(Value::Object(fields)))
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
