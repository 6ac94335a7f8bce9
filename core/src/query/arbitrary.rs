//! Random documents and filters for the property tests: few fields and few values, so that conditions often meet.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::filter::{Filter, and, contains, eq, exists, ge, gt, is_in, le, lt, ne, not, or, prefix};

/// The fields that occur in documents and filters.
pub(super) const FIELDS: [&str; 4] = ["/a", "/b", "/c/d", "/c"];

/// A value that is likely to occur twice.
pub(super) fn small_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (-2i64..4).prop_map(Value::from),
        2 => prop_oneof![Just(json!(0.5)), Just(json!(u64::MAX)), Just(json!(1e300))],
        4 => "[ab]{0,3}".prop_map(Value::from),
        // Agree in all that an index keeps of them.
        2 => "[ab]{1}".prop_map(|end| Value::from("x".repeat(300) + &end)),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => prop::collection::vec((0i64..3).prop_map(Value::from), 0..3).prop_map(Value::from),
        1 => Just(json!({"d": 1})),
    ]
}

/// A document.
pub(super) fn document() -> impl Strategy<Value = Value> {
    let field = || prop::option::weighted(0.8, small_value());
    (field(), field(), field()).prop_map(|(a, b, d)| {
        let mut doc = Map::new();
        let mut put = |key: &str, value: Option<Value>| value.map(|value| doc.insert(key.to_owned(), value));
        put("a", a);
        put("b", b);
        put("c", d.map(|d| json!({ "d": d })));
        Value::Object(doc)
    })
}

/// A filter that can be used.
pub(super) fn filter() -> impl Strategy<Value = Filter> {
    let path = || prop::sample::select(&FIELDS[..]);
    let on = |make: fn(&'static str, Value) -> Filter| {
        (path(), small_value()).prop_map(move |(path, value)| make(path, value))
    };
    let condition = prop_oneof![
        5 => on(eq),
        1 => on(ne),
        2 => on(lt),
        2 => on(le),
        2 => on(gt),
        2 => on(ge),
        1 => on(contains),
        3 => (path(), prop::collection::vec(small_value(), 0..4)).prop_map(|(path, values)| is_in(path, values)),
        2 => (path(), prop_oneof!["[ab]{0,2}", Just("x".repeat(299))]).prop_map(|(path, text)| prefix(path, text)),
        1 => path().prop_map(exists),
    ];
    condition.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            4 => prop::collection::vec(inner.clone(), 0..4).prop_map(and),
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(or),
            1 => inner.prop_map(not),
        ]
    })
}
