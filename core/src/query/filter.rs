//! Filters: which records a query wants.
//!
//! A filter looks at one document and says yes or no, the same everywhere:
//!
//! - Fields are named by JSON Pointer (`/meta/artist`) or, at the top level, by plain name (`category`).
//! - `eq` compares by value ([`super::compare`]): `1` equals `1.0`. `ne` is its exact opposite.
//! - A missing field equals nothing, not even null; `eq(…, null)` finds fields that *are* null. [`exists`] tells the two
//!   apart. Hence `ne` holds for a missing field.
//! - `lt`, `le`, `gt`, `ge` compare within one class (null, booleans, numbers, strings, arrays, objects): no number is less
//!   than a string.
//! - `contains` finds an equal element in an array, or a part in a string.
//! - `not` is the exact opposite of what it holds.

use std::cmp::Ordering;

use super::order::{Class, compare};
use crate::error::{Error, InvalidCode};
use crate::limits::{MAX_DEPTH, MAX_FILTER_CONDITIONS, MAX_FILTER_DEPTH, MAX_FILTER_VALUES};
use crate::model::{Pointer, Value};

/// Which records a query wants. Made by the functions of this module, or from JSON by [`Filter::from_json`].
///
/// Making one never fails; a filter with a malformed field name or beyond the limits says so when it is used
/// ([`check`](Self::check)).
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    root: Node,
    /// The first thing that is wrong with it.
    defect: Option<String>,
}

/// A filter's expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Field(Pointer, Condition),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
}

/// What is asked of one field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    Exists,
    Eq(Value),
    Ne(Value),
    Lt(Value),
    Le(Value),
    Gt(Value),
    Ge(Value),
    /// Sorted, without repetitions.
    In(Vec<Value>),
    Contains(Value),
    Prefix(String),
}

/// Records whose field `path` equals `value`.
pub fn eq(path: impl AsRef<str>, value: impl Into<Value>) -> Filter {
    Filter::field(path.as_ref(), Condition::Eq(value.into()))
}

/// Records whose field `path` does not equal `value`, or is missing.
pub fn ne(path: impl AsRef<str>, value: impl Into<Value>) -> Filter {
    Filter::field(path.as_ref(), Condition::Ne(value.into()))
}

/// Records whose field `path` is of the class of `value` and less.
pub fn lt(path: impl AsRef<str>, value: impl Into<Value>) -> Filter {
    Filter::field(path.as_ref(), Condition::Lt(value.into()))
}

/// Records whose field `path` is of the class of `value` and not greater.
pub fn le(path: impl AsRef<str>, value: impl Into<Value>) -> Filter {
    Filter::field(path.as_ref(), Condition::Le(value.into()))
}

/// Records whose field `path` is of the class of `value` and greater.
pub fn gt(path: impl AsRef<str>, value: impl Into<Value>) -> Filter {
    Filter::field(path.as_ref(), Condition::Gt(value.into()))
}

/// Records whose field `path` is of the class of `value` and not less.
pub fn ge(path: impl AsRef<str>, value: impl Into<Value>) -> Filter {
    Filter::field(path.as_ref(), Condition::Ge(value.into()))
}

/// Records whose field `path` equals one of `values`.
pub fn is_in<V: Into<Value>>(path: impl AsRef<str>, values: impl IntoIterator<Item = V>) -> Filter {
    let mut values: Vec<Value> = values.into_iter().map(Into::into).collect();
    values.sort_by(compare);
    values.dedup_by(|a, b| compare(a, b) == Ordering::Equal);
    Filter::field(path.as_ref(), Condition::In(values))
}

/// Records whose field `path` is an array with an element that equals `value`, or a string of which `value` is a part.
pub fn contains(path: impl AsRef<str>, value: impl Into<Value>) -> Filter {
    Filter::field(path.as_ref(), Condition::Contains(value.into()))
}

/// Records whose field `path` is a string that begins with `prefix`.
pub fn prefix(path: impl AsRef<str>, prefix: impl Into<String>) -> Filter {
    Filter::field(path.as_ref(), Condition::Prefix(prefix.into()))
}

/// Records that have a field `path`, be it null.
pub fn exists(path: impl AsRef<str>) -> Filter {
    Filter::field(path.as_ref(), Condition::Exists)
}

/// Records that every one of `filters` wants; all records if there is none.
pub fn and(filters: impl IntoIterator<Item = Filter>) -> Filter {
    Filter::join(filters, Node::And)
}

/// Records that one of `filters` wants; no record if there is none.
pub fn or(filters: impl IntoIterator<Item = Filter>) -> Filter {
    Filter::join(filters, Node::Or)
}

/// Records that `filter` does not want.
#[must_use]
pub fn not(filter: Filter) -> Filter {
    Filter { root: Node::Not(Box::new(filter.root)), defect: filter.defect }
}

impl Default for Filter {
    /// All records.
    fn default() -> Self {
        and([])
    }
}

impl Filter {
    /// Records that both want.
    #[must_use]
    pub fn and(self, other: Filter) -> Self {
        let defect = self.defect.or(other.defect);
        let mut nodes = match self.root {
            Node::And(nodes) => nodes,
            node => vec![node],
        };
        match other.root {
            Node::And(more) => nodes.extend(more),
            node => nodes.push(node),
        }
        Self { root: Node::And(nodes), defect }
    }

    /// Records that one of the two wants.
    #[must_use]
    pub fn or(self, other: Filter) -> Self {
        or([self, other])
    }

    /// Whether a record with this document is wanted. A filter with a defect wants none.
    #[must_use]
    pub fn matches(&self, doc: &Value) -> bool {
        self.defect.is_none() && self.root.matches(doc)
    }

    /// Whether the filter can be used.
    ///
    /// # Errors
    /// `invalid_query` if a field's name is malformed, or the filter is beyond [`MAX_FILTER_CONDITIONS`],
    /// [`MAX_FILTER_DEPTH`] or [`MAX_FILTER_VALUES`], or compares with a value nested more deeply than any record is.
    pub fn check(&self) -> Result<(), Error> {
        let mut conditions = 0;
        let defect = self.defect.clone().or_else(|| self.root.defect(0, &mut conditions));
        defect.map_or(Ok(()), |defect| Err(invalid(defect)))
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }

    pub(super) fn of_node(root: Node) -> Self {
        Self { root, defect: None }
    }

    fn field(path: &str, condition: Condition) -> Self {
        match field_pointer(path) {
            Ok(pointer) => Self::of_node(Node::Field(pointer, condition)),
            Err(error) => Self { root: Node::Or(Vec::new()), defect: Some(error.to_string()) },
        }
    }

    fn join(filters: impl IntoIterator<Item = Filter>, node: fn(Vec<Node>) -> Node) -> Self {
        let mut defect = None;
        let mut nodes = Vec::new();
        for filter in filters {
            defect = defect.or(filter.defect);
            nodes.push(filter.root);
        }
        Self { root: node(nodes), defect }
    }
}

impl Node {
    fn matches(&self, doc: &Value) -> bool {
        match self {
            Self::Field(pointer, condition) => condition.matches(pointer.find(doc)),
            Self::And(nodes) => nodes.iter().all(|node| node.matches(doc)),
            Self::Or(nodes) => nodes.iter().any(|node| node.matches(doc)),
            Self::Not(node) => !node.matches(doc),
        }
    }

    fn defect(&self, depth: usize, conditions: &mut usize) -> Option<String> {
        *conditions += 1;
        if depth > MAX_FILTER_DEPTH {
            return Some(format!("the filter is nested more deeply than {MAX_FILTER_DEPTH} levels"));
        }
        if *conditions > MAX_FILTER_CONDITIONS {
            return Some(format!("the filter has more than {MAX_FILTER_CONDITIONS} conditions"));
        }
        match self {
            Self::Field(_, condition) => condition.defect(),
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().find_map(|node| node.defect(depth + 1, conditions)),
            Self::Not(node) => node.defect(depth + 1, conditions),
        }
    }
}

impl Condition {
    fn matches(&self, field: Option<&Value>) -> bool {
        let Some(field) = field else { return matches!(self, Self::Ne(_)) };
        let equal = |value| compare(field, value) == Ordering::Equal;
        let ordered =
            |value, wanted: fn(Ordering) -> bool| Class::of(field) == Class::of(value) && wanted(compare(field, value));
        match self {
            Self::Exists => true,
            Self::Eq(value) => equal(value),
            Self::Ne(value) => !equal(value),
            Self::Lt(value) => ordered(value, Ordering::is_lt),
            Self::Le(value) => ordered(value, Ordering::is_le),
            Self::Gt(value) => ordered(value, Ordering::is_gt),
            Self::Ge(value) => ordered(value, Ordering::is_ge),
            Self::In(values) => values.binary_search_by(|value| compare(value, field)).is_ok(),
            Self::Contains(value) => match (field, value) {
                (Value::Array(items), _) => items.iter().any(|item| compare(item, value) == Ordering::Equal),
                (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
                _ => false,
            },
            Self::Prefix(prefix) => field.as_str().is_some_and(|text| text.starts_with(prefix.as_str())),
        }
    }

    fn values(&self) -> &[Value] {
        match self {
            Self::Eq(value)
            | Self::Ne(value)
            | Self::Lt(value)
            | Self::Le(value)
            | Self::Gt(value)
            | Self::Ge(value)
            | Self::Contains(value) => std::slice::from_ref(value),
            Self::In(values) => values,
            Self::Exists | Self::Prefix(_) => &[],
        }
    }

    fn defect(&self) -> Option<String> {
        if self.values().len() > MAX_FILTER_VALUES {
            return Some(format!("an `in` condition has more than {MAX_FILTER_VALUES} values"));
        }
        let deep = self.values().iter().any(|value| is_deeper(value, MAX_DEPTH));
        deep.then(|| format!("a filter's value is nested more deeply than {MAX_DEPTH} levels"))
    }
}

fn is_deeper(value: &Value, than: usize) -> bool {
    let below = |value| than == 0 || is_deeper(value, than - 1);
    match value {
        Value::Array(items) => than == 0 || items.iter().any(below),
        Value::Object(fields) => than == 0 || fields.values().any(below),
        _ => false,
    }
}

/// The pointer that a query's field name means: itself if it begins with `/`, else a field at the top level.
///
/// # Errors
/// `invalid_query` if it is empty or no pointer that a record can have.
pub(super) fn field_pointer(path: &str) -> Result<Pointer, Error> {
    let pointer = match path {
        "" => return Err(invalid("a field's name is empty")),
        pointer if pointer.starts_with('/') => Pointer::parse(pointer),
        name => Pointer::parse(Pointer::top(name).as_str()),
    };
    pointer.map_err(|error| invalid(format!("{path:?}: {error}")))
}

pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::invalid(InvalidCode::Query, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_hold_as_documented() {
        let doc = json!({
            "category": "bd", "bpm": 120, "gain": -1.5, "note": null, "tags": ["808", "kick", 1, [2]],
            "meta": {"artist": "Ann", "a/b": true}, "active": false
        });
        let yes = [
            eq("category", "bd"),
            eq("/category", "bd"),
            eq("bpm", 120.0),
            eq("note", Value::Null),
            eq("/meta/a~1b", true),
            eq("tags", json!(["808", "kick", 1.0, [2]])),
            ne("category", "sn"),
            ne("missing", "sn"),
            ne("missing", Value::Null),
            lt("bpm", 120.5),
            le("bpm", 120),
            gt("gain", -2),
            ge("category", "bd"),
            lt("active", true),
            lt("tags", json!(["808", "l"])),
            is_in("bpm", [1, 120, 7]),
            contains("tags", "kick"),
            contains("tags", 1.0),
            contains("tags", json!([2])),
            contains("category", "d"),
            prefix("/meta/artist", "An"),
            prefix("category", ""),
            exists("note"),
            not(exists("missing")),
            not(gt("category", 5)),
            and([eq("bpm", 120), prefix("category", "b")]),
            or([eq("bpm", 1), prefix("category", "b")]),
            and([]),
            eq("bpm", 120).and(exists("note")).and(not(or([]))),
            eq("bpm", 1).or(eq("bpm", 120)),
        ];
        for filter in yes {
            filter.check().unwrap();
            assert!(filter.matches(&doc), "{filter:?}");
            assert!(!not(filter.clone()).matches(&doc), "{filter:?}");
        }
        let no = [
            eq("category", "BD"),
            eq("missing", Value::Null),
            eq("/tags/0", "808"),
            ne("note", Value::Null),
            lt("category", 5),
            gt("category", 5),
            ge("missing", Value::Null),
            le("note", 0),
            is_in("missing", [Value::Null]),
            is_in("bpm", Vec::<i64>::new()),
            contains("tags", "kic"),
            contains("bpm", 120),
            contains("meta", "artist"),
            prefix("bpm", "1"),
            prefix("tags", "8"),
            exists("/category/x"),
        ];
        for filter in no {
            filter.check().unwrap();
            assert!(!filter.matches(&doc), "{filter:?}");
        }
    }

    #[test]
    fn a_defect_is_reported_and_wants_no_record() {
        let deep_value = (0..=MAX_DEPTH).fold(json!(1), |value, _| json!([value]));
        let deep = (0..=MAX_FILTER_DEPTH).fold(eq("a", 1), |filter, _| not(filter));
        let defective = [
            eq("", 1),
            eq("/a~", 1),
            eq("$a", 1),
            not(eq("a\0", 1)),
            eq("ok", 1).and(or([prefix("/", ""), eq("/$x", 1)])),
            is_in("a", 0..=MAX_FILTER_VALUES as u64),
            and((0..MAX_FILTER_CONDITIONS).map(|i| eq("a", i))),
            eq("a", deep_value),
            deep,
        ];
        for filter in defective {
            assert_eq!(filter.check().unwrap_err().code(), "invalid_query", "{filter:?}");
        }
        assert!(!not(eq("a\0", 1)).matches(&json!({})));
    }
}
