//! Values: JSON with one canonical form.
//!
//! Two values are equal if their canonical bytes are equal. The canonical form sorts keys by their UTF-8 bytes, writes
//! integers of i64 and u64 as decimals, doubles in their shortest form, integral doubles below 2^53 as integers, and −0
//! as 0. [`normalize`] brings a value into the shape whose ordinary serialization *is* the canonical form; everything that
//! is stored or compared has passed through it.

use sha2::{Digest, Sha256};

use crate::error::{Error, InvalidCode};
use crate::limits::{MAX_DEPTH, MAX_DOCUMENT_BYTES, MAX_KEY_BYTES};

pub use serde_json::Value;

/// Integral doubles below this magnitude (2^53) are integers.
const EXACT_DOUBLE: f64 = 9_007_199_254_740_992.0;

/// Replaces integral doubles below 2^53 by integers and −0 by 0, everywhere inside.
pub fn normalize(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(double) = number.as_f64().filter(|_| number.is_f64())
                && double.fract() == 0.0
                && double.abs() < EXACT_DOUBLE
            {
                // Exact by the check above.
                #[expect(clippy::cast_possible_truncation)]
                let integer = double as i64;
                *value = Value::from(integer);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(normalize),
        Value::Object(fields) => fields.values_mut().for_each(normalize),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The canonical bytes of a normalized value.
#[must_use]
pub fn canonical(value: &Value) -> Vec<u8> {
    canonical_of(value)
}

/// The canonical bytes of what serializes with its keys in order and normalized values inside.
pub(crate) fn canonical_of(value: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_canonical(value, &mut bytes);
    bytes
}

fn write_canonical(value: &(impl serde::Serialize + ?Sized), out: impl std::io::Write) {
    // serde_json's map is sorted by the keys' bytes. Its layout of doubles has changed between versions, so that is ours.
    let mut serializer = serde_json::Serializer::with_formatter(out, CanonicalNumbers);
    value.serialize(&mut serializer).expect("JSON serializes into memory");
}

/// Compact JSON whose doubles have one layout for ever: shortest digits, plain (with a fraction) for magnitudes from 1e-5 up
/// to 1e16, else with one digit before the point and an exponent without `+`.
struct CanonicalNumbers;

impl serde_json::ser::Formatter for CanonicalNumbers {
    fn write_f64<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, value: f64) -> std::io::Result<()> {
        let magnitude = value.abs();
        if (1e-5..1e16).contains(&magnitude) {
            let point = if value.fract() == 0.0 { ".0" } else { "" };
            write!(writer, "{value}{point}")
        } else {
            write!(writer, "{value:e}")
        }
    }
}

/// SHA-256 of the canonical bytes, as lower-case hex.
#[must_use]
pub fn hash_hex(value: &Value) -> String {
    hex(&Sha256::digest(canonical(value)))
}

/// Lower-case hex of `bytes`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// The bytes that lower- or upper-case hex stands for; `None` if `text` is not hex.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// Checks a value that is to become (part of) a document, and normalizes it.
///
/// # Errors
/// `nesting_too_deep`, `nul_character`, `invalid_key` (too long), `reserved_name` (an object key that begins with `$`),
/// `document_too_large`.
pub fn admit(value: &mut Value) -> Result<(), Error> {
    admit_at(value, "", 0)
}

/// [`admit`] for a value that stands at `place` in its document (a JSON Pointer; empty for the document itself), `depth` levels deep.
///
/// # Errors
/// Those of [`admit`]; they name the field.
pub fn admit_at(value: &mut Value, place: &str, depth: usize) -> Result<(), Error> {
    check(value, depth).map_err(|offence| {
        let (code, field) = (offence.code, format!("{place}{}", offence.place));
        let field = if field.is_empty() { "the value".to_owned() } else { format!("the value at {field}") };
        Error::invalid(code, format!("{field} {}", offence.why))
    })?;
    normalize(value);
    let size = canonical_len(value);
    if size > MAX_DOCUMENT_BYTES {
        return Err(Error::invalid(
            InvalidCode::DocumentTooLarge,
            format!("the value has {size} bytes, more than {MAX_DOCUMENT_BYTES}"),
        ));
    }
    Ok(())
}

/// Checks a whole document: an object that [`admit`] accepts.
///
/// # Errors
/// `not_an_object`, and those of [`admit`].
pub fn admit_document(value: &mut Value) -> Result<(), Error> {
    if !value.is_object() {
        return Err(Error::invalid(InvalidCode::NotAnObject, "a record is a JSON object"));
    }
    admit(value)
}

/// What is wrong with a value, and where in it.
struct Offence {
    code: InvalidCode,
    why: &'static str,
    /// A JSON Pointer, made on the way out: only a refusal pays for it. Elements of arrays go by their number.
    place: String,
}

impl Offence {
    fn within(mut self, key: &str) -> Self {
        self.place = format!("/{}{}", key.replace('~', "~0").replace('/', "~1"), self.place);
        self
    }
}

fn check(value: &Value, depth: usize) -> Result<(), Offence> {
    let offence = |code, why| Err(Offence { code, why, place: String::new() });
    if depth >= MAX_DEPTH && (value.is_array() || value.is_object()) {
        return offence(InvalidCode::NestingTooDeep, "is nested more deeply than 64 levels");
    }
    match value {
        Value::String(text) if text.contains('\0') => offence(InvalidCode::NulCharacter, "contains U+0000"),
        Value::Array(items) => items.iter().enumerate().try_for_each(|(number, item)| {
            check(item, depth + 1).map_err(|offence| offence.within(&number.to_string()))
        }),
        Value::Object(fields) => fields.iter().try_for_each(|(key, field)| {
            let allowed = if key.contains('\0') {
                offence(InvalidCode::NulCharacter, "has a key that contains U+0000")
            } else if key.len() > MAX_KEY_BYTES {
                offence(InvalidCode::Key, "has a key of more than 256 bytes")
            } else if key.starts_with('$') {
                offence(InvalidCode::ReservedName, "has a key that begins with `$`, which is reserved")
            } else {
                Ok(())
            };
            allowed?;
            check(field, depth + 1).map_err(|offence| offence.within(key))
        }),
        _ => Ok(()),
    }
}

/// What a value is, in words; never what it says, which may be private.
#[must_use]
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "an integer",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Length of the canonical bytes without building them.
#[must_use]
pub fn canonical_len(value: &Value) -> usize {
    canonical_len_of(value)
}

/// [`canonical_len`] of what serializes in canonical order.
pub(crate) fn canonical_len_of<T: serde::Serialize + ?Sized>(value: &T) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    write_canonical(value, &mut count);
    count.0
}
