//! Levels: which of several choices holds.

use serde::Serialize;
use serde_json::Map;

use super::fields::Field;
use crate::model::Value;

/// Where a value comes from; the narrowest that has one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Chosen for this device only.
    Device,
    /// The user's choice, on all devices.
    User,
    /// What a workspace gives its members.
    Workspace,
    /// Nobody has chosen.
    Default,
}

/// The defaults of `fields` as a document. Fields whose default is nothing are not in it.
#[must_use]
pub fn defaults(fields: &[Field]) -> Value {
    let mut document = Value::Object(Map::new());
    for field in fields {
        let value: Value = serde_json::from_str(field.default).unwrap_or_default();
        if !value.is_null() {
            put(&mut document, field.path, value);
        }
    }
    document
}

/// `narrow` over `broad`: objects member by member, anything else as a whole. A scalar does not hide an object of the other: of
/// two shapes the narrower level's holds.
#[must_use]
pub fn merged(broad: Value, narrow: &Value) -> Value {
    match (broad, narrow) {
        (Value::Object(mut below), Value::Object(above)) => {
            for (name, value) in above {
                let beneath = below.remove(name).unwrap_or_default();
                below.insert(name.clone(), merged(beneath, value));
            }
            Value::Object(below)
        }
        (broad, Value::Null) => broad,
        (_, narrow) => narrow.clone(),
    }
}

/// What of `patch` (an RFC 7396 merge patch) is a choice of its own: what differs from `effective`, the document that holds at
/// the patch's level, or changes what is `stored` at it. `null` removes a choice, so it stays where there is one.
///
/// So a default that is sent back as it was read is not written.
#[must_use]
pub fn overrides(patch: Value, effective: &Value, stored: &Value) -> Value {
    let Value::Object(members) = patch else { return patch };
    let mut kept = Map::new();
    for (name, value) in members {
        let (holds, chosen) = (effective.get(&name), stored.get(&name));
        match value {
            Value::Null => {
                if chosen.is_some() {
                    kept.insert(name, Value::Null);
                }
            }
            Value::Object(below) => {
                let none = Value::Null;
                let within = overrides(Value::Object(below), holds.unwrap_or(&none), chosen.unwrap_or(&none));
                if within.as_object().is_some_and(|within| !within.is_empty()) {
                    kept.insert(name, within);
                }
            }
            value => {
                if holds != Some(&value) {
                    kept.insert(name, value);
                }
            }
        }
    }
    Value::Object(kept)
}

/// Puts `value` at `path`, making objects on the way.
fn put(document: &mut Value, path: &str, value: Value) {
    let mut place = document;
    for name in path.split('/').skip(1) {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[name];
    }
    *place = value;
}
