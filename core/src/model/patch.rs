//! RFC 7396 merge patches, and documents, as field operations.

use serde_json::Map;

use super::{Op, OpKind, Pointer, Value};
use crate::error::{Error, InvalidCode};

/// Turns a merge patch (RFC 7396) into operations on leaves of `current`: null unsets, an object merges recursively, anything
/// else is set. What `current` holds already makes no operation, so that an assertion is no edit.
///
/// # Errors
/// `invalid_patch` if the patch is not an object.
pub fn ops_of_patch(patch: Value, current: &Value) -> Result<Vec<Op>, Error> {
    let Value::Object(fields) = patch else {
        let found = super::value::kind_of(&patch);
        return Err(Error::invalid(
            InvalidCode::Patch,
            format!("a merge patch is a JSON object of the fields to change, not {found}"),
        ));
    };
    let mut ops = Vec::new();
    for (key, value) in fields {
        merge(Pointer::top(&key), value, current.get(&key), &mut ops);
    }
    Ok(ops)
}

/// The part of a patch at `path`, where `current` stands.
fn merge(path: Pointer, patch: Value, current: Option<&Value>, ops: &mut Vec<Op>) {
    match (patch, current) {
        (Value::Null, None) => {}
        (Value::Null, Some(_)) => push(ops, path, OpKind::Unset),
        (Value::Object(fields), Some(Value::Object(within))) => {
            for (key, value) in fields {
                merge(path.child(&key), value, within.get(&key), ops);
            }
        }
        (patch, current) => assign(path, without_nulls(patch), current, ops),
    }
}

/// What a patch makes where there is no object to merge it into: of objects, all but the members that it removes.
pub(crate) fn without_nulls(patch: Value) -> Value {
    match patch {
        Value::Object(fields) => {
            let mut kept = Map::new();
            for (key, value) in fields.into_iter().filter(|(_, value)| !value.is_null()) {
                kept.insert(key, without_nulls(value));
            }
            Value::Object(kept)
        }
        other => other,
    }
}

/// The operations that make `new` of `old`, both whole documents: only what differs.
#[must_use]
pub fn ops_between(old: &Value, new: Value) -> Vec<Op> {
    let mut ops = Vec::new();
    if let (Value::Object(old), Value::Object(new)) = (old, new) {
        differ(None, old, new, &mut ops);
    }
    ops
}

fn differ(above: Option<&Pointer>, old: &Map<String, Value>, new: Map<String, Value>, ops: &mut Vec<Op>) {
    let place = |key: &str| above.map_or_else(|| Pointer::top(key), |above| above.child(key));
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        push(ops, place(key), OpKind::Unset);
    }
    for (key, value) in new {
        match (old.get(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => differ(Some(&place(&key)), old, new, ops),
            (current, value) => assign(place(&key), value, current, ops),
        }
    }
}

/// Makes `value` of what is no object: leaf by leaf, so that concurrent writers of other leaves keep theirs. Only an array has to
/// make room as a whole first, since nothing leads into one.
fn assign(path: Pointer, value: Value, current: Option<&Value>, ops: &mut Vec<Op>) {
    if current == Some(&value) {
        return;
    }
    if current.is_some_and(Value::is_array) {
        push(ops, path, OpKind::Set { value });
    } else {
        collect(path, value, &mut |path, value| push(ops, path, OpKind::Set { value }));
    }
}

fn push(ops: &mut Vec<Op>, path: Pointer, kind: OpKind) {
    ops.push(Op { path, kind, base: None, stamp: None });
}

/// The leaves of a document: every value that is not a non-empty object, with its place. Arrays and `{}` are leaves.
#[must_use]
pub fn leaves_of(doc: &Value) -> Vec<(Pointer, Value)> {
    let mut leaves = Vec::new();
    if let Value::Object(fields) = doc {
        for (key, value) in fields {
            collect(Pointer::top(key), value.clone(), &mut |path, value| leaves.push((path, value)));
        }
    }
    leaves
}

fn collect(path: Pointer, value: Value, leaf: &mut dyn FnMut(Pointer, Value)) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                collect(path.child(&key), value, leaf);
            }
        }
        value => leaf(path, value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::merge::apply;

    fn shown(ops: &[Op]) -> Vec<Value> {
        ops.iter().map(|op| serde_json::to_value(op).unwrap()).collect()
    }

    /// RFC 7396, section 2.
    fn merge_patch(target: Value, patch: &Value) -> Value {
        let Value::Object(members) = patch else { return patch.clone() };
        let Value::Object(mut fields) = (if target.is_object() { target } else { json!({}) }) else { unreachable!() };
        for (name, value) in members {
            if value.is_null() {
                fields.remove(name);
            } else {
                let below = merge_patch(fields.remove(name).unwrap_or_default(), value);
                fields.insert(name.clone(), below);
            }
        }
        Value::Object(fields)
    }

    fn patched(doc: &Value, patch: &Value) -> Value {
        let ops = ops_of_patch(patch.clone(), doc).unwrap();
        let mut after = doc.clone();
        assert_eq!(apply(&mut after, &ops), [], "{doc} + {patch}: {ops:?}");
        after
    }

    #[test]
    fn a_patch_becomes_ops_on_the_leaves_that_differ() {
        let current = json!({"a": {"c": 1}, "f": {"kept": 1}, "same": [1], "scalar": 5});
        let patch = json!({"a": {"b": 1, "c": null}, "d": {}, "e": [null], "f": {}, "same": [1], "absent": null, "scalar": {"x": 1}});
        assert_eq!(
            shown(&ops_of_patch(patch, &current).unwrap()),
            [
                json!({"path": "/a/b", "op": "set", "value": 1}),
                json!({"path": "/a/c", "op": "unset"}),
                json!({"path": "/d", "op": "set", "value": {}}),
                json!({"path": "/e", "op": "set", "value": [null]}),
                json!({"path": "/scalar/x", "op": "set", "value": 1}),
            ]
        );
    }

    #[test]
    fn a_patch_that_says_what_is_there_makes_no_op() {
        let doc = json!({"a": {"b": [1, {"c": null}]}, "n": null, "e": {}});
        for patch in [json!({}), doc.clone(), json!({"a": {"x": null}}), json!({"n": null, "m": null, "e": {}})] {
            let ops = ops_of_patch(patch.clone(), &doc).unwrap();
            let removed = patch.get("n").is_some_and(Value::is_null);
            assert_eq!(ops.len(), usize::from(removed), "{patch}: null removes; all else is there: {ops:?}");
        }
        for patch in [json!([]), json!(null), json!(1)] {
            assert_eq!(ops_of_patch(patch, &json!({})).unwrap_err().code(), "invalid_patch");
        }
    }

    /// The fifteen test cases of RFC 7396's appendix A, each below a field since a record is an object, and at the top where
    /// it can stand there.
    #[test]
    fn the_appendix_of_rfc_7396_holds() {
        for (target, patch, result) in rfc_7396_appendix() {
            assert_eq!(merge_patch(target.clone(), &patch), result, "the reference itself");
            let doc = json!({"x": target, "beside": 1});
            assert_eq!(patched(&doc, &json!({"x": patch})), merge_patch(doc.clone(), &json!({"x": patch})));
            if target.is_object() && patch.is_object() {
                assert_eq!(patched(&target, &patch), result);
            }
        }
    }

    fn rfc_7396_appendix() -> Vec<(Value, Value, Value)> {
        let rows = [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, r"{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"a":"foo"}"#, "null", "null"),
            (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ];
        let read = |text: &str| serde_json::from_str(text).unwrap();
        rows.map(|(target, patch, result)| (read(target), read(patch), read(result))).into()
    }

    #[test]
    fn a_document_stores_null_as_a_leaf() {
        assert_eq!(
            leaves_of(&json!({"a": null, "b": {"c": {}}})),
            [(Pointer::top("a"), json!(null)), (Pointer::top("b").child("c"), json!({}))]
        );
    }

    /// Documents in which everything meets everything: few keys, every kind of value.
    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(json!(null)), Just(json!(1)), Just(json!("t")), Just(json!([1])), Just(json!({}))];
        let value = leaf.prop_recursive(3, 12, 3, |inner| {
            prop::collection::btree_map("[abc]", inner, 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect()))
        });
        prop::collection::btree_map("[abc]", value, 0..3).prop_map(|fields| Value::Object(fields.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn a_patch_does_what_the_rfc_says_and_nothing_the_second_time(doc in document(), patch in document()) {
            let after = patched(&doc, &patch);
            prop_assert_eq!(&after, &merge_patch(doc, &patch));
            prop_assert_eq!(ops_of_patch(patch, &after).unwrap(), []);
        }

        #[test]
        fn the_ops_between_two_documents_lead_from_one_to_the_other(old in document(), new in document()) {
            let ops = ops_between(&old, new.clone());
            let mut doc = old.clone();
            prop_assert_eq!(apply(&mut doc, &ops), []);
            prop_assert_eq!(&doc, &new);
            prop_assert_eq!(ops.is_empty(), old == new);
        }
    }
}
