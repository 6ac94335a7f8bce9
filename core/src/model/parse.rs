//! Reading JSON text strictly: what a lenient parser would change in silence is refused with a code of its own.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::Value;
use super::value::normalize;
use crate::error::{Error, InvalidCode};
use crate::limits::MAX_DEPTH;

/// Reads a JSON text and normalizes it.
///
/// # Errors
/// `invalid_number` for an integer beyond 64 bits (a lenient parser would round it), a double beyond its range, NaN and the
/// infinities; `lone_surrogate`; `nesting_too_deep`; `invalid_json` for everything else that is no JSON, a key twice in one object
/// included.
pub fn parse_value(text: &str) -> Result<Value, Error> {
    scan(text)?;
    let mut deserializer = serde_json::Deserializer::from_slice(text.as_bytes());
    let parsed = Strict { depth: 0 }.deserialize(&mut deserializer).and_then(|value| {
        deserializer.end()?;
        Ok(value)
    });
    let mut value = parsed.map_err(|error| {
        let code =
            if error.to_string().starts_with(TOO_DEEP) { InvalidCode::NestingTooDeep } else { InvalidCode::Json };
        Error::invalid(code, format!("not acceptable as JSON: {error}"))
    })?;
    normalize(&mut value);
    Ok(value)
}

const TOO_DEEP: &str = "nesting is deeper than 64 levels";

/// Looks through the text for what the parser would not tell: integers that it rounds, surrogates that stand alone.
fn scan(text: &str) -> Result<(), Error> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at = match byte {
            b'"' => scan_string(text, at + 1)?,
            b'-' | b'0'..=b'9' => scan_number(text, at)?,
            // Writers of JSON that do not look closely write these.
            b'N' | b'I' if ["NaN", "Infinity"].iter().any(|word| bytes[at..].starts_with(word.as_bytes())) => {
                return Err(refused(InvalidCode::Number, text, at, "is no finite number"));
            }
            _ => at + 1,
        };
    }
    Ok(())
}

fn refused(code: InvalidCode, text: &str, at: usize, why: &str) -> Error {
    let place = place_of(text, at);
    let place = if place.is_empty() { "the value".to_owned() } else { format!("the value at {place}") };
    Error::invalid(code, format!("{place} {why}"))
}

/// Which field, by JSON Pointer, the byte `end` of a JSON text belongs to; elements of arrays by their number. For messages: of a
/// text that is no JSON it says something.
fn place_of(text: &str, end: usize) -> String {
    let bytes = text.as_bytes();
    // The key or the number within each open container.
    let mut path: Vec<Result<&str, usize>> = Vec::new();
    let (mut at, mut key_comes) = (0, false);
    while at < end {
        match bytes[at] {
            b'{' => path.push(Ok("")),
            b'[' => path.push(Err(0)),
            b'}' | b']' => drop(path.pop()),
            b',' => {
                if let Some(Err(number)) = path.last_mut() {
                    *number += 1;
                }
            }
            _ => {}
        }
        match bytes[at] {
            b'{' | b',' => key_comes = true,
            b'"' => {
                let start = at + 1;
                at = end_of_string(bytes, start);
                if let Some(Ok(key)) = path.last_mut().filter(|_| key_comes) {
                    *key = &text[start..at.min(end)];
                }
                key_comes = false;
            }
            _ => {}
        }
        at += 1;
    }
    let part = |part: &Result<&str, usize>| match part {
        Ok(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Err(number) => format!("/{number}"),
    };
    path.iter().map(part).collect()
}

/// The byte of the quote that ends the string whose text begins at `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at).filter(|byte| **byte != b'"') {
        at += if *byte == b'\\' { 2 } else { 1 };
    }
    at
}

fn scan_number(text: &str, start: usize) -> Result<usize, Error> {
    let length = text.as_bytes()[start..]
        .iter()
        .position(|byte| !matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
        .unwrap_or(text.len() - start);
    let number = &text[start..start + length];
    let integer = !number.contains(['.', 'e', 'E']);
    let holds = if integer {
        // Malformed ones are the parser's to tell.
        number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() || number.len() < 19
    } else {
        number.parse::<f64>().map_or(true, f64::is_finite)
    };
    if holds { Ok(start + length) } else { Err(refused(InvalidCode::Number, text, start, "does not fit 64 bits")) }
}

/// Passes a string's rest; checks that escaped surrogates come in pairs.
fn scan_string(text: &str, mut at: usize) -> Result<usize, Error> {
    let bytes = text.as_bytes();
    loop {
        match bytes.get(at) {
            // An unfinished string is the parser's to tell.
            None => return Ok(at),
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => match escape(bytes, at) {
                Some(0xd800..=0xdbff) if matches!(escape(bytes, at + 6), Some(0xdc00..=0xdfff)) => at += 12,
                Some(0xd800..=0xdfff) => {
                    return Err(refused(InvalidCode::LoneSurrogate, text, at, "has a surrogate that stands alone"));
                }
                _ => at += 2,
            },
            Some(_) => at += 1,
        }
    }
}

/// The code unit of a `\uXXXX` at `at`.
fn escape(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Builds a value, refusing keys that occur twice and what is nested too deeply.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn inside<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH { Err(E::custom(TOO_DEEP)) } else { Ok(Self { depth: self.depth + 1 }) }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inside)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut object = serde_json::Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(inside)?;
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("a key occurs twice in one object"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::model::value::{admit, canonical};

    #[test]
    fn what_a_lenient_parser_would_change_is_refused() {
        for (text, code) in [
            ("18446744073709551616", "invalid_number"),
            ("-9223372036854775809", "invalid_number"),
            ("[1e400]", "invalid_number"),
            (r#"{"n": NaN}"#, "invalid_number"),
            ("[-Infinity]", "invalid_number"),
            (r#"{"a": "\ud800"}"#, "lone_surrogate"),
            (r#"["\ud83d\u0041"]"#, "lone_surrogate"),
            (r#"["\udc00\ud800"]"#, "lone_surrogate"),
            (r#"{"a": 1, "a": 2}"#, "invalid_json"),
            (r#"{"a": }"#, "invalid_json"),
            ("[1] 2", "invalid_json"),
            ("\"open", "invalid_json"),
            ("01", "invalid_json"),
            ("", "invalid_json"),
        ] {
            assert_eq!(parse_value(text).unwrap_err().code(), code, "{text}");
        }
        assert_eq!(parse_value(&"[".repeat(65)).unwrap_err().code(), "nesting_too_deep");
        assert!(parse_value(&format!("{}{}", "[".repeat(64), "]".repeat(64))).is_ok());
    }

    #[test]
    fn what_is_refused_is_named_by_its_field() {
        for (text, words) in [
            (r#"{"a": "x,{", "meta": {"x/y": [1, {"n": NaN}]}}"#, "the value at /meta/x~1y/1/n is no finite number"),
            (r#"{"a": [1, [2], 18446744073709551616]}"#, "the value at /a/2 does not fit 64 bits"),
            (r#"{"a": {}, "q\"uote": "\ud800"}"#, "the value at /q\\\"uote has a surrogate that stands alone"),
            (r#"{"a": 1, "k\ud800": 2}"#, "the value at /k has a surrogate that stands alone"),
            ("NaN", "the value is no finite number"),
        ] {
            assert_eq!(parse_value(text).unwrap_err().to_string(), words);
        }
        // Words in texts are texts.
        assert_eq!(parse_value(r#"["NaN", "Infinity"]"#).unwrap(), json!(["NaN", "Infinity"]));
    }

    #[test]
    fn b30_the_edges_of_64_bits_are_exact() {
        for text in ["18446744073709551615", "-9223372036854775808", "9007199254740993", "0"] {
            assert_eq!(canonical(&parse_value(text).unwrap()), text.as_bytes());
        }
        assert_eq!(parse_value(r#"["\ud83d\ude00", "\\ud800", -0.0, 5.0]"#).unwrap(), json!(["😀", "\\ud800", 0, 5]));
    }

    #[test]
    fn what_a_document_may_not_hold_is_named_by_its_field() {
        let deep = |depth: usize| (1..depth).fold(json!([]), |value, _| json!([value]));
        for (mut value, words) in [
            (json!({"a": ["x", {"b/c": "\0"}]}), "the value at /a/1/b~1c contains U+0000"),
            (json!({"a": {"b\0": 1}}), "the value at /a has a key that contains U+0000"),
            (json!({"a": {"$ref": 1}}), "the value at /a has a key that begins with `$`, which is reserved"),
            (json!({"k".repeat(257): 1}), "the value has a key of more than 256 bytes"),
        ] {
            assert_eq!(admit(&mut value).unwrap_err().to_string(), words);
        }
        let error = admit(&mut json!({"a": deep(64)})).unwrap_err().to_string();
        assert!(
            error.starts_with("the value at /a/0/0/") && error.ends_with("nested more deeply than 64 levels"),
            "{error}"
        );
    }

    #[test]
    fn b31_text_that_some_backend_cannot_hold_is_refused_at_the_write() {
        let deep = (0..65).fold(json!(1), |value, _| json!([value]));
        for (mut value, code) in [
            (json!("a\0"), "nul_character"),
            (json!({"a\0": 1}), "nul_character"),
            (json!({"a": {"$ref": 1}}), "reserved_name"),
            (json!({"k".repeat(257): 1}), "invalid_key"),
            (deep, "nesting_too_deep"),
            (json!("x".repeat(1 << 20)), "document_too_large"),
        ] {
            assert_eq!(admit(&mut value).unwrap_err().code(), code);
        }
    }

    proptest! {
        #[test]
        fn doubles_survive_the_canonical_form(bits in any::<u64>()) {
            let double = f64::from_bits(bits);
            prop_assume!(double.is_finite());
            let value = parse_value(&String::from_utf8(canonical(&json!(double))).unwrap()).unwrap();
            prop_assert_eq!(value.as_f64(), Some(double));
            let again = canonical(&value);
            prop_assert_eq!(parse_value(std::str::from_utf8(&again).unwrap()).unwrap(), value);
        }

        #[test]
        fn equal_values_have_equal_bytes_whatever_their_text(whole in -(1i64 << 53) + 1..1i64 << 53) {
            #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
            let mut double = json!(whole as f64);
            normalize(&mut double);
            prop_assert_eq!(canonical(&double), canonical(&json!(whole)));
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "[\\[\\]{}\",:0-9eE.+a-u\\\\-]{0,40}") {
            if let Ok(value) = parse_value(&text) {
                prop_assert_eq!(parse_value(std::str::from_utf8(&canonical(&value)).unwrap()).unwrap(), value);
            }
        }
    }
}
