//! Strict parsing and the canonical form, against `serde_json`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use unisono::limits::{MAX_DEPTH, MAX_DOCUMENT_BYTES};
use unisono::model::value::{admit, canonical, canonical_len, hash_hex, hex, normalize};
use unisono::model::{Value, parse_value};

/// A text: what is accepted means what `serde_json` makes of it, and its canonical form is a fixed point of parsing and
/// printing; what is refused is refused for a reason that the text bears out.
///
/// # Panics
/// If not.
pub fn canonical_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lenient = serde_json::from_str::<Value>(text);
    match parse_value(text) {
        Ok(value) => {
            let mut expected = lenient.expect("what is accepted is JSON");
            normalize(&mut expected);
            assert_eq!(value, expected);
            assert!(depth_of(&value) <= MAX_DEPTH);
            check_canonical(value);
        }
        Err(error) => check_refusal(text, error.code(), lenient.ok()),
    }
}

fn check_canonical(value: Value) {
    let bytes = canonical(&value);
    let text = std::str::from_utf8(&bytes).expect("JSON is UTF-8");
    let again = parse_value(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(again, value);
    assert_eq!(canonical(&again), bytes, "the canonical form of {text} is another");
    assert_eq!(canonical_len(&value), bytes.len());
    let digest = <sha2::Sha256 as sha2::Digest>::digest(&bytes);
    assert_eq!(hash_hex(&value), hex(&digest));
    let mut normalized = value.clone();
    normalize(&mut normalized);
    assert_eq!(normalized, value, "what was parsed is normalized");

    let mut admitted = value.clone();
    match admit(&mut admitted) {
        Ok(()) => {
            assert_eq!(admitted, value);
            assert!(bytes.len() <= MAX_DOCUMENT_BYTES);
            // U+0000 stands escaped in the canonical form.
            assert!(!text.replace("\\\\", "").contains("\\u0000"));
        }
        Err(error) => {
            let known = ["nul_character", "invalid_key", "reserved_name", "document_too_large"];
            assert!(known.contains(&error.code()), "{text}: {error}");
        }
    }
}

fn check_refusal(text: &str, code: &str, lenient: Option<Value>) {
    match (code, lenient) {
        ("lone_surrogate", lenient) => assert_eq!(lenient, None, "{text:?}"),
        // An integer that would be rounded, and everything that is no JSON at all.
        ("invalid_number", _) | ("invalid_json" | "nesting_too_deep", None) => {}
        ("nesting_too_deep", Some(value)) => assert!(depth_of(&value) > MAX_DEPTH, "{text:?}"),
        ("invalid_json", Some(value)) => {
            let Written(written) = serde_json::from_str(text).expect("it was parsed");
            assert!(written > entries_of(&value), "no key occurs twice in {text:?}");
        }
        (other, _) => panic!("{text:?} is refused with {other}"),
    }
}

fn depth_of(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth_of).max().unwrap_or(0),
        _ => 0,
    }
}

fn entries_of(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(entries_of).sum(),
        Value::Object(fields) => fields.len() + fields.values().map(entries_of).sum::<usize>(),
        _ => 0,
    }
}

/// How many entries of objects are written in a text, repeated keys included.
struct Written(usize);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Count)
    }
}

struct Count;

impl<'de> Visitor<'de> for Count {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Written, E> {
        Ok(Written(0))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Written, E> {
        Ok(Written(0))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Written, E> {
        Ok(Written(0))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Written, E> {
        Ok(Written(0))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Written, E> {
        Ok(Written(0))
    }

    fn visit_str<E>(self, _: &str) -> Result<Written, E> {
        Ok(Written(0))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Written, A::Error> {
        let mut sum = 0;
        while let Some(Written(inside)) = items.next_element()? {
            sum += inside;
        }
        Ok(Written(sum))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Written, A::Error> {
        let mut sum = 0;
        while let Some((_, Written(inside))) = entries.next_entry::<String, Written>()? {
            sum += 1 + inside;
        }
        Ok(Written(sum))
    }
}
