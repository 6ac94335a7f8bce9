//! RFC 7396 merge patches and documents as field operations.

use super::{Op, OpKind, Pointer, Value};
use crate::error::{Error, InvalidCode};

/// Turns a merge patch (RFC 7396) into operations on leaves of `current`: null unsets, an object merges recursively,
/// anything else is set. An empty object merges nothing into an object, and replaces anything else.
///
/// # Errors
/// `invalid_patch` if the patch is not an object or has no effect (`{}`).
pub fn ops_of_patch(patch: Value, current: &Value) -> Result<Vec<Op>, Error> {
    let Value::Object(fields) = patch else {
        return Err(Error::invalid(InvalidCode::Patch, "a merge patch is a JSON object"));
    };
    let mut ops = Vec::new();
    for (key, value) in fields {
        collect(Pointer::top(&key), value, &mut ops, &|value| match value {
            Value::Null => OpKind::Unset,
            value => OpKind::Set { value },
        });
    }
    ops.retain(|op| match &op.kind {
        OpKind::Set { value: Value::Object(fields) } if fields.is_empty() => {
            !op.path.find(current).is_some_and(Value::is_object)
        }
        _ => true,
    });
    if ops.is_empty() {
        return Err(Error::invalid(InvalidCode::Patch, "the merge patch is empty"));
    }
    Ok(ops)
}

/// The leaves of a document: every value that is not a non-empty object, with its place. Arrays and `{}` are leaves.
#[must_use]
pub fn leaves_of(doc: &Value) -> Vec<(Pointer, Value)> {
    let mut ops = Vec::new();
    if let Value::Object(fields) = doc {
        for (key, value) in fields {
            collect(Pointer::top(key), value.clone(), &mut ops, &|value| OpKind::Set { value });
        }
    }
    ops.into_iter()
        .filter_map(|op| match op.kind {
            OpKind::Set { value } => Some((op.path, value)),
            _ => None,
        })
        .collect()
}

fn collect(path: Pointer, value: Value, ops: &mut Vec<Op>, leaf: &dyn Fn(Value) -> OpKind) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                collect(path.child(&key), value, ops, leaf);
            }
        }
        value => ops.push(Op { path, kind: leaf(value), base: None, stamp: None }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_becomes_ops_on_leaves() {
        let ops =
            ops_of_patch(json!({"a": {"b": 1, "c": null}, "d": {}, "e": [null], "f": {}}), &json!({"f": {"kept": 1}}))
                .unwrap();
        let shown: Vec<_> = ops.iter().map(|op| serde_json::to_value(op).unwrap()).collect();
        assert_eq!(
            shown,
            [
                json!({"path": "/a/b", "op": "set", "value": 1}),
                json!({"path": "/a/c", "op": "unset"}),
                json!({"path": "/d", "op": "set", "value": {}}),
                json!({"path": "/e", "op": "set", "value": [null]}),
            ]
        );
    }

    #[test]
    fn refuses_a_patch_without_effect() {
        for patch in [json!({}), json!([]), json!(null), json!(1)] {
            assert_eq!(ops_of_patch(patch, &json!({})).unwrap_err().code(), "invalid_patch");
        }
    }

    #[test]
    fn a_document_stores_null_as_a_leaf() {
        assert_eq!(
            leaves_of(&json!({"a": null, "b": {"c": {}}})),
            [(Pointer::top("a"), json!(null)), (Pointer::top("b").child("c"), json!({}))]
        );
    }
}
