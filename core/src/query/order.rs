//! The order of values, the same on every platform and in every backend.
//!
//! missing < null < false < true < numbers by value < strings by UTF-8 bytes < arrays < objects. Numbers are compared
//! exactly, whatever their representation: 9007199254740993 is greater than 9007199254740992.0. Arrays are compared element
//! by element, objects field by field in the order of their keys (the key, then its value); of two that agree as far as the
//! shorter goes, the shorter is less.
//!
//! Two values are *equal* in queries if neither is less. For everything below 2^53 that is the same as having equal
//! canonical bytes; above, an integer equals the double of the same value.

use std::cmp::Ordering;

use crate::model::Value;

/// Values of different classes are never less or greater than each other in a range condition, though they are in an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl Class {
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::String,
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
        }
    }
}

/// Compares two values in the order of this module.
#[must_use]
pub fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => ExactNumber::of(a).cmp(&ExactNumber::of(b)),
        (Value::String(a), Value::String(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Array(a), Value::Array(b)) => lexicographic(a.iter(), b.iter(), compare),
        (Value::Object(a), Value::Object(b)) => lexicographic(a.iter(), b.iter(), |(a_key, a), (b_key, b)| {
            a_key.as_bytes().cmp(b_key.as_bytes()).then_with(|| compare(a, b))
        }),
        _ => Class::of(a).cmp(&Class::of(b)),
    }
}

fn lexicographic<T>(
    mut a: impl Iterator<Item = T>,
    mut b: impl Iterator<Item = T>,
    compare: impl Fn(T, T) -> Ordering,
) -> Ordering {
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => match compare(a, b) {
                Ordering::Equal => {}
                decided => return decided,
            },
        }
    }
}

/// A number as the greatest double that is not above it, and what it is above that double.
///
/// Doubles have no excess. An integer beyond 2^53 lies between two doubles that are at most 2048 apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ExactNumber {
    /// The double's bits, changed so that unsigned integers sort as the doubles do.
    pub(super) floor: u64,
    pub(super) excess: u16,
}

impl ExactNumber {
    pub(super) fn of(number: &serde_json::Number) -> Self {
        let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        match integer {
            Some(integer) => Self::of_integer(integer),
            // Every JSON number that is no integer of 64 bits is a double.
            None => Self { floor: sortable(number.as_f64().unwrap_or(0.0)), excess: 0 },
        }
    }

    /// For integers of at most 64 bits.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "corrected below")]
    fn of_integer(integer: i128) -> Self {
        let nearest = integer as f64;
        let floor = if nearest as i128 > integer { nearest.next_down() } else { nearest };
        // Below 2048 by the distance of doubles.
        let excess = u16::try_from(integer - floor as i128).unwrap_or(u16::MAX);
        Self { floor: sortable(floor), excess }
    }
}

fn sortable(double: f64) -> u64 {
    // Minus zero is zero.
    let bits = if double == 0.0 { 0 } else { double.to_bits() };
    // Positive: above all negative ones. Negative: the greater the magnitude, the less.
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_of_all_kinds_have_one_order() {
        let ascending = [
            json!(null),
            json!(false),
            json!(true),
            json!(f64::MIN),
            json!(i64::MIN),
            json!(-1.5),
            json!(-1),
            json!(-5e-324),
            json!(0),
            json!(5e-324),
            json!(0.1),
            json!(1),
            json!(9_007_199_254_740_992_u64),
            json!(9_007_199_254_740_993_u64),
            json!(9_007_199_254_740_994.0),
            json!(i64::MAX),
            json!(9_223_372_036_854_775_808.0),
            json!(9_223_372_036_854_775_809_u64),
            json!(u64::MAX - 1),
            json!(u64::MAX),
            json!(18_446_744_073_709_551_616.0),
            json!(f64::MAX),
            json!(""),
            json!("\u{1}"),
            json!("A"),
            json!("a"),
            json!("aa"),
            json!("b"),
            json!("é"),
            json!("\u{ffff}"),
            json!("😀"),
            json!([]),
            json!([null]),
            json!([1]),
            json!([1, 0]),
            json!([2]),
            json!(["a"]),
            json!([[]]),
            json!({}),
            json!({"a": 1}),
            json!({"a": 1, "b": 0}),
            json!({"a": 2}),
            json!({"b": 0}),
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} against {b}");
            }
        }
    }

    #[test]
    fn b30_numbers_are_equal_by_value_not_by_representation() {
        assert_eq!(compare(&json!(1), &json!(1.0)), Ordering::Equal);
        assert_eq!(compare(&json!(0), &json!(-0.0)), Ordering::Equal);
        assert_eq!(compare(&json!(u64::MAX), &json!(18_446_744_073_709_551_616.0)), Ordering::Less);
        assert_eq!(compare(&json!(i64::MIN), &json!(-9_223_372_036_854_775_808.0)), Ordering::Equal);
    }
}
