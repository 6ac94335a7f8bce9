//! Values as bytes that sort as the values do.
//!
//! The encoding is prefix-free: no encoded value begins another, so encoded values can stand one after the other in a key
//! and still sort by the first, then by the second. A decoder needs no look-ahead. Therefore an encoding that is cut after a
//! fixed length still sorts right against every other, except against those that agree with it up to the cut.
//!
//! ```text
//! missing 01 · null 02 · false 03 · true 04
//! number  05, floor as double (8 bytes, sortable), excess over it (2 bytes)
//! string  06, bytes (00 → 01 01, 01 → 01 02), 00
//! array   07, each element, 00
//! object  08, for each field: 01, its key as a string without the tag, its value; 00
//! ```

use super::order::{Class, ExactNumber};
use crate::limits::MAX_INDEXED_VALUE_BYTES;
use crate::model::Value;

const END: u8 = 0x00;
const MISSING: u8 = 0x01;
const NULL: u8 = 0x02;
const FALSE: u8 = 0x03;
const TRUE: u8 = 0x04;
const NUMBER: u8 = 0x05;
const STRING: u8 = 0x06;
const ARRAY: u8 = 0x07;
const OBJECT: u8 = 0x08;
const FIELD: u8 = 0x01;
const ESCAPE: u8 = 0x01;
const NUMBER_BYTES: usize = 10;

/// The first and last tag of a class's encodings.
pub(super) fn tags(class: Class) -> (u8, u8) {
    match class {
        Class::Null => (NULL, NULL),
        Class::Bool => (FALSE, TRUE),
        Class::Number => (NUMBER, NUMBER),
        Class::String => (STRING, STRING),
        Class::Array => (ARRAY, ARRAY),
        Class::Object => (OBJECT, OBJECT),
    }
}

/// The least tag of a field that is there.
pub(super) const PRESENT: u8 = NULL;

/// Appends the whole encoding of `value`; `None` is a field that is not there.
pub fn encode(value: Option<&Value>, out: &mut Vec<u8>) {
    write(value, out, usize::MAX);
}

/// Appends the encoding of `value` for an index key: cut after [`MAX_INDEXED_VALUE_BYTES`]. Returns whether it was cut.
pub fn encode_capped(value: Option<&Value>, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let limit = start + MAX_INDEXED_VALUE_BYTES;
    write(value, out, limit);
    cap(out, limit)
}

/// Appends what the capped encodings of all strings that begin with `text` begin with.
pub(super) fn encode_string_prefix(text: &str, out: &mut Vec<u8>) {
    let limit = out.len() + MAX_INDEXED_VALUE_BYTES;
    out.push(STRING);
    write_text(text, out, limit);
    cap(out, limit);
}

fn cap(out: &mut Vec<u8>, limit: usize) -> bool {
    let cut = out.len() > limit;
    out.truncate(limit);
    cut
}

/// Appends an encoding; may stop once `out` is longer than `limit`, which also bounds the depth of the recursion.
fn write(value: Option<&Value>, out: &mut Vec<u8>, limit: usize) {
    let Some(value) = value else { return out.push(MISSING) };
    match value {
        Value::Null => out.push(NULL),
        Value::Bool(truth) => out.push(if *truth { TRUE } else { FALSE }),
        Value::Number(number) => {
            let ExactNumber { floor, excess } = ExactNumber::of(number);
            out.push(NUMBER);
            out.extend(floor.to_be_bytes());
            out.extend(excess.to_be_bytes());
        }
        Value::String(text) => {
            out.push(STRING);
            write_text(text, out, limit);
            out.push(END);
        }
        Value::Array(items) => {
            out.push(ARRAY);
            for item in items {
                if out.len() > limit {
                    return;
                }
                write(Some(item), out, limit);
            }
            out.push(END);
        }
        Value::Object(fields) => {
            out.push(OBJECT);
            for (key, field) in fields {
                if out.len() > limit {
                    return;
                }
                out.push(FIELD);
                write_text(key, out, limit);
                out.push(END);
                write(Some(field), out, limit);
            }
            out.push(END);
        }
    }
}

fn write_text(text: &str, out: &mut Vec<u8>, limit: usize) {
    for byte in text.bytes() {
        if out.len() > limit {
            return;
        }
        if byte <= ESCAPE {
            out.extend([ESCAPE, byte + 1]);
        } else {
            out.push(byte);
        }
    }
}

/// One encoded value at the beginning of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Component {
    /// Its length in bytes.
    pub(super) len: usize,
    /// Whether the encoding was cut, so that other values may have the same bytes.
    pub(super) cut: bool,
}

/// Measures the capped encoding at the beginning of `bytes`; `None` if there is none.
pub(super) fn component(bytes: &[u8]) -> Option<Component> {
    let window = &bytes[..bytes.len().min(MAX_INDEXED_VALUE_BYTES)];
    match measure(window)? {
        Some(len) => Some(Component { len, cut: false }),
        None if window.len() == MAX_INDEXED_VALUE_BYTES => Some(Component { len: window.len(), cut: true }),
        None => None,
    }
}

/// The length of the whole encoding at the beginning of `bytes`; `None` if there is none.
pub(super) fn whole_component(bytes: &[u8]) -> Option<usize> {
    measure(bytes)?
}

/// The length of the encoding at the beginning of `bytes`: `Some(None)` if it goes on after their end, `None` if it is none.
fn measure(bytes: &[u8]) -> Option<Option<usize>> {
    /// What may come next within an array or an object.
    #[derive(Clone, Copy)]
    enum Within {
        Array,
        Object,
    }
    // On the heap, not in recursion: the bytes may come from a token that somebody made up.
    let mut open: Vec<Within> = Vec::new();
    let mut at = 0;
    loop {
        // At the beginning of a value, or of a field, or at an end.
        let Some(&byte) = bytes.get(at) else { return Some(None) };
        at += 1;
        let tag = match open.last() {
            Some(_) if byte == END => {
                open.pop();
                if open.is_empty() {
                    return Some(Some(at));
                }
                continue;
            }
            Some(Within::Object) if byte == FIELD => {
                let Some(after) = after_text(bytes, at) else { return Some(None) };
                let Some(&tag) = bytes.get(after) else { return Some(None) };
                at = after + 1;
                tag
            }
            Some(Within::Object) => return None,
            Some(Within::Array) | None => byte,
        };
        match tag {
            MISSING if open.is_empty() => {}
            NULL | FALSE | TRUE => {}
            NUMBER => {
                at += NUMBER_BYTES;
                if at > bytes.len() {
                    return Some(None);
                }
            }
            STRING => match after_text(bytes, at) {
                Some(after) => at = after,
                None => return Some(None),
            },
            ARRAY => {
                open.push(Within::Array);
                continue;
            }
            OBJECT => {
                open.push(Within::Object);
                continue;
            }
            _ => return None,
        }
        if open.is_empty() {
            return Some(Some(at));
        }
    }
}

/// The place after the text that begins at `from`.
fn after_text(bytes: &[u8], from: usize) -> Option<usize> {
    bytes.get(from..)?.iter().position(|byte| *byte == END).map(|end| from + end + 1)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::query::order::compare;
    use proptest::prelude::*;
    use serde_json::json;
    use std::cmp::Ordering;

    /// Numbers that are hard to order, among ordinary ones.
    fn number() -> impl Strategy<Value = Value> {
        let near_double = (any::<f64>(), -3i128..=3).prop_map(|(double, offset)| {
            #[expect(clippy::cast_possible_truncation)]
            let integer = (double as i128).saturating_add(offset);
            i64::try_from(integer)
                .map(Value::from)
                .or_else(|_| u64::try_from(integer).map(Value::from))
                .unwrap_or(json!(double))
        });
        prop_oneof![
            (-3i64..=3).prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(|double| json!(double)),
            (0u64..=2000).prop_map(|below| Value::from(u64::MAX - below)),
            (0u64..=5).prop_map(|offset| Value::from((1u64 << 53) + offset)),
            (0u32..=5).prop_map(|offset| json!(9_007_199_254_740_990.0 + f64::from(offset))),
            near_double,
        ]
    }

    /// Any value, small ones often.
    pub(in crate::query) fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof!["[\\x00-\\x02ab]{0,4}", any::<String>(), "[ab]{250,260}"];
        let scalar =
            prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), number(), text.prop_map(Value::from),];
        scalar.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[\\x00-\\x02ab]{0,2}", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn whole(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(Some(value), &mut bytes);
        bytes
    }

    fn capped(value: &Value) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        let cut = encode_capped(Some(value), &mut bytes);
        (bytes, cut)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn bytes_sort_as_values_do(a in value(), b in value()) {
            prop_assert_eq!(whole(&a).cmp(&whole(&b)), compare(&a, &b));
        }

        #[test]
        fn a_cut_only_ever_makes_equal(a in value(), b in value()) {
            let ((a_bytes, a_cut), (b_bytes, b_cut)) = (capped(&a), capped(&b));
            match a_bytes.cmp(&b_bytes) {
                Ordering::Equal if a_cut || b_cut => prop_assert!(a_cut && b_cut),
                decided => prop_assert_eq!(decided, compare(&a, &b)),
            }
        }

        #[test]
        fn a_component_ends_where_it_was_written_to_end(a in value(), rest in prop::collection::vec(any::<u8>(), 0..20)) {
            let (mut bytes, cut) = capped(&a);
            let len = bytes.len();
            prop_assert!(len <= MAX_INDEXED_VALUE_BYTES);
            bytes.extend(&rest);
            prop_assert_eq!(component(&bytes), Some(Component { len, cut }));
            let mut bytes = whole(&a);
            let len = bytes.len();
            bytes.extend(rest);
            prop_assert_eq!(whole_component(&bytes), Some(len));
        }

        #[test]
        fn made_up_bytes_are_measured_without_harm(bytes in prop::collection::vec(0u8..10, 0..600)) {
            if let Some(found) = component(&bytes) {
                prop_assert!(found.len <= bytes.len() && (!found.cut || found.len == MAX_INDEXED_VALUE_BYTES));
            }
        }
    }

    #[test]
    fn deep_made_up_bytes_do_not_exhaust_the_stack() {
        assert_eq!(whole_component(&vec![ARRAY; 1 << 20]), None);
    }

    #[test]
    fn missing_sorts_before_null_and_the_form_is_stable() {
        let mut bytes = Vec::new();
        encode(None, &mut bytes);
        encode(Some(&json!(null)), &mut bytes);
        encode(Some(&json!({"a": ["\u{1}x", 1, true]})), &mut bytes);
        let expected = [
            vec![0x01, 0x02, 0x08, 0x01, b'a', 0x00, 0x07, 0x06, 0x01, 0x02, b'x', 0x00],
            vec![0x05, 0xbf, 0xf0, 0, 0, 0, 0, 0, 0, 0, 0, 0x04, 0x00, 0x00],
        ];
        assert_eq!(bytes, expected.concat());
    }
}
