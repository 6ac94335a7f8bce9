//! Filters as JSON, for the bindings and for whoever stores a query.
//!
//! ```json
//! {"category": "bd"}                              a field equals a value
//! {"category": "bd", "bpm": {"$ge": 120, "$lt": 130}}   every condition holds
//! {"/meta/artist": {"$prefix": "An"}}             a field by JSON Pointer
//! {"$or": [{"tags": {"$contains": "808"}}, {"$not": {"note": {"$exists": true}}}]}
//! ```
//!
//! The operators of a field are `$eq $ne $lt $le $gt $ge $in $contains $prefix $exists`; of whole filters `$and $or $not`.
//! An object without operators is a value to be equal to (keys that begin with `$` are reserved in records, so the two
//! cannot be mistaken for each other). `{}` wants all records.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Map;

use super::filter::{Condition, Filter, Node, field_pointer, invalid, is_in};
use crate::error::Error;
use crate::limits::MAX_FILTER_DEPTH;
use crate::model::value::kind_of;
use crate::model::{Pointer, Value};

impl Filter {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// `invalid_query` if it is not that form or is beyond a limit ([`Filter::check`]).
    pub fn from_json(json: Value) -> Result<Self, Error> {
        let filter = Self::of_node(parse(json, 0)?);
        filter.check()?;
        Ok(filter)
    }

    /// Writes the JSON form, from which [`from_json`](Self::from_json) makes an equal filter.
    ///
    /// # Errors
    /// `invalid_query` if the filter cannot be used.
    pub fn to_json(&self) -> Result<Value, Error> {
        self.check()?;
        Ok(write(self.root()))
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The operators of a field.
const OF_A_FIELD: [&str; 10] = ["$eq", "$ne", "$lt", "$le", "$gt", "$ge", "$in", "$contains", "$prefix", "$exists"];
/// The operators of whole filters.
const WHOLE: [&str; 3] = ["$and", "$or", "$not"];

/// Says which operators there are, and which one was probably meant.
fn unknown(operator: &str, of: &str, known: &[&str]) -> Error {
    let meant = match operator {
        "$gte" => "$ge",
        "$lte" => "$le",
        "$neq" => "$ne",
        "$startsWith" => "$prefix",
        "$nin" => "$not around $in",
        "$nor" => "$not around $or",
        // One of the others has come to the wrong place.
        other if WHOLE.contains(&other) => "a filter around the field",
        other if OF_A_FIELD.contains(&other) => "an operator of a field: {\"field\": {…}}",
        _ => "",
    };
    let hint = if meant.is_empty() { String::new() } else { format!(" (did you mean {meant}?)") };
    invalid(format!("{operator} is no operator of {of}{hint}; there are {}", known.join(", ")))
}

fn parse(json: Value, depth: usize) -> Result<Node, Error> {
    if depth > MAX_FILTER_DEPTH {
        return Err(invalid(format!("the filter is nested more deeply than {MAX_FILTER_DEPTH} levels")));
    }
    let members = match json {
        Value::Object(members) => members,
        other => {
            let found = kind_of(&other);
            return Err(invalid(format!(r#"a filter is a JSON object, like {{"category": "bd"}}, not {found}"#)));
        }
    };
    let mut nodes = Vec::with_capacity(members.len());
    for (key, value) in members {
        match key.as_str() {
            "$and" => nodes.push(Node::And(parse_list(&key, value, depth)?)),
            "$or" => nodes.push(Node::Or(parse_list(&key, value, depth)?)),
            "$not" => nodes.push(Node::Not(Box::new(parse(value, depth + 1)?))),
            operator if operator.starts_with('$') => {
                return Err(unknown(operator, "filters", &WHOLE));
            }
            field => parse_field(&field_pointer(field)?, value, &mut nodes)?,
        }
    }
    Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::And(nodes) })
}

fn parse_list(operator: &str, json: Value, depth: usize) -> Result<Vec<Node>, Error> {
    let Value::Array(filters) = json else { return Err(invalid(format!("{operator} takes an array of filters"))) };
    filters.into_iter().map(|filter| parse(filter, depth + 1)).collect()
}

fn parse_field(pointer: &Pointer, json: Value, nodes: &mut Vec<Node>) -> Result<(), Error> {
    let operators = match json {
        Value::Object(members) if members.keys().any(|key| key.starts_with('$')) => members,
        value => {
            nodes.push(Node::Field(pointer.clone(), Condition::Eq(value)));
            return Ok(());
        }
    };
    for (operator, operand) in operators {
        nodes.push(parse_condition(pointer, &operator, operand)?);
    }
    Ok(())
}

fn parse_condition(pointer: &Pointer, operator: &str, operand: Value) -> Result<Node, Error> {
    let condition = match (operator, operand) {
        ("$eq", value) => Condition::Eq(value),
        ("$ne", value) => Condition::Ne(value),
        ("$lt", value) => Condition::Lt(value),
        ("$le", value) => Condition::Le(value),
        ("$gt", value) => Condition::Gt(value),
        ("$ge", value) => Condition::Ge(value),
        ("$contains", value) => Condition::Contains(value),
        ("$in", Value::Array(values)) => return Ok(is_in(pointer.as_str(), values).root().clone()),
        ("$in", _) => return Err(invalid("$in takes an array of values")),
        ("$prefix", Value::String(prefix)) => Condition::Prefix(prefix),
        ("$prefix", _) => return Err(invalid("$prefix takes a string")),
        ("$exists", Value::Bool(true)) => Condition::Exists,
        ("$exists", Value::Bool(false)) => {
            return Ok(Node::Not(Box::new(Node::Field(pointer.clone(), Condition::Exists))));
        }
        ("$exists", _) => return Err(invalid("$exists takes true or false")),
        (other, _) if other.starts_with('$') => return Err(unknown(other, "a field", &OF_A_FIELD)),
        (other, _) => {
            return Err(invalid(format!(
                "{other:?} stands beside an operator of {pointer}: give it a condition of its own"
            )));
        }
    };
    Ok(Node::Field(pointer.clone(), condition))
}

fn write(node: &Node) -> Value {
    let single = |key: &str, value| Value::Object(Map::from_iter([(key.to_owned(), value)]));
    match node {
        Node::And(nodes) => single("$and", nodes.iter().map(write).collect()),
        Node::Or(nodes) => single("$or", nodes.iter().map(write).collect()),
        Node::Not(node) => single("$not", write(node)),
        Node::Field(pointer, condition) => {
            let (operator, operand) = match condition {
                Condition::Exists => ("$exists", Value::Bool(true)),
                Condition::Eq(value) => ("$eq", value.clone()),
                Condition::Ne(value) => ("$ne", value.clone()),
                Condition::Lt(value) => ("$lt", value.clone()),
                Condition::Le(value) => ("$le", value.clone()),
                Condition::Gt(value) => ("$gt", value.clone()),
                Condition::Ge(value) => ("$ge", value.clone()),
                Condition::In(values) => ("$in", Value::Array(values.clone())),
                Condition::Contains(value) => ("$contains", value.clone()),
                Condition::Prefix(prefix) => ("$prefix", Value::String(prefix.clone())),
            };
            single(pointer.as_str(), single(operator, operand))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::filter::{and, contains, eq, exists, ge, lt, not, or, prefix};
    use super::*;
    use crate::query::arbitrary;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_json_form_means_what_is_documented() {
        let cases = [
            (json!({}), and([])),
            (json!({"category": "bd"}), eq("category", "bd")),
            (json!({"/meta/artist": {"$prefix": "An"}}), prefix("/meta/artist", "An")),
            (
                json!({"bpm": {"$ge": 120, "$lt": 130}, "category": "bd"}),
                and([ge("bpm", 120), lt("bpm", 130), eq("category", "bd")]),
            ),
            (
                json!({"$or": [{"tags": {"$contains": "808"}}, {"$not": {"note": {"$exists": true}}}]}),
                or([contains("tags", "808"), not(exists("note"))]),
            ),
            (json!({"note": {"$exists": false}}), not(exists("note"))),
            (json!({"note": null}), eq("note", Value::Null)),
            (json!({"meta": {"a": 1}}), eq("meta", json!({"a": 1}))),
            (json!({"meta": {}}), eq("meta", json!({}))),
            (json!({"a/b": {"$in": [3, 1, 1.0]}}), is_in("/a~1b", [1, 3])),
        ];
        for (json, filter) in cases {
            assert_eq!(Filter::from_json(json.clone()).unwrap(), filter, "{json}");
        }
    }

    #[test]
    fn an_unknown_operator_is_told_with_those_that_there_are() {
        let words = |filter: Value| Filter::from_json(filter).unwrap_err().to_string();
        let all = "$eq, $ne, $lt, $le, $gt, $ge, $in, $contains, $prefix, $exists";
        assert_eq!(
            words(json!({"bpm": {"$gte": 120}})),
            format!("$gte is no operator of a field (did you mean $ge?); there are {all}")
        );
        assert_eq!(
            words(json!({"bpm": {"$regex": "x"}})),
            format!("$regex is no operator of a field; there are {all}")
        );
        assert_eq!(words(json!({"$xor": []})), "$xor is no operator of filters; there are $and, $or, $not");
        for (filter, hint) in [
            (json!({"$nor": []}), "$not around $or"),
            (json!({"$ge": 1}), "an operator of a field"),
            (json!({"bpm": {"$not": {"$ge": 1}}}), "a filter around the field"),
            (json!({"bpm": {"$ge": 1, "lt": 2}}), r#""lt" stands beside an operator of /bpm"#),
        ] {
            assert!(words(filter.clone()).contains(hint), "{}", words(filter));
        }
    }

    #[test]
    fn what_is_not_the_json_form_is_an_invalid_query() {
        let deep = (0..=MAX_FILTER_DEPTH).fold(json!({"a": 1}), |filter, _| json!({"$not": filter}));
        let refused = [
            json!(null),
            json!([]),
            json!("category"),
            json!({"": 1}),
            json!({"/a~": 1}),
            json!({"$nor": []}),
            json!({"$and": {}}),
            json!({"$or": [1]}),
            json!({"$not": []}),
            json!({"a": {"$regex": "x"}}),
            json!({"a": {"$gt": 1, "b": 2}}),
            json!({"a": {"$in": 1}}),
            json!({"a": {"$prefix": 1}}),
            json!({"a": {"$exists": 1}}),
            deep,
        ];
        for json in refused {
            assert_eq!(Filter::from_json(json.clone()).unwrap_err().code(), "invalid_query", "{json}");
            assert!(serde_json::from_value::<Filter>(json).is_err());
        }
        assert!(serde_json::to_value(eq("", 1)).is_err());
    }

    proptest! {
        #[test]
        fn a_filter_survives_its_json_form(filter in arbitrary::filter()) {
            prop_assert_eq!(Filter::from_json(filter.to_json().unwrap()).unwrap(), filter);
        }
    }
}
