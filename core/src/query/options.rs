//! A query in the form in which the bindings hand it over: `query(where={"category": "bd"}, order_by="name", limit=50)`.
//!
//! The options, each of which may be absent or null: `where`, a filter in its JSON form; `order_by`, a field's name or
//! `{"field": name, "desc": true}`, or an array of these; `limit`, at least 1; `after`, a continuation.

use super::filter::{Filter, invalid};
use super::query::{Continuation, Query};
use crate::error::Error;
use crate::model::{CollectionName, Value};

impl Query {
    /// The query on `collection` that the options describe.
    ///
    /// # Errors
    /// `invalid_query` if one of them is malformed or unknown, or the query could not be run.
    pub fn from_json(collection: CollectionName, options: Value) -> Result<Self, Error> {
        let Value::Object(options) = options else { return Err(invalid("a query's options are a JSON object")) };
        let mut query = Self::new(collection);
        for (name, value) in options.into_iter().filter(|(_, value)| !value.is_null()) {
            query = match (name.as_str(), value) {
                ("where", filter) => query.filter(Filter::from_json(filter)?),
                ("order_by", Value::Array(fields)) => fields.into_iter().try_fold(query, Self::ordered_by)?,
                ("order_by", field) => query.ordered_by(field)?,
                ("limit", limit) => {
                    let limit = limit.as_u64().and_then(|limit| usize::try_from(limit).ok());
                    query.limit(limit.ok_or_else(|| invalid("limit takes a number of records, at least 1"))?)
                }
                ("after", Value::String(text)) => query.after(Continuation::from(text)),
                ("after", _) => return Err(invalid("after takes the text of a continuation")),
                (unknown, _) => return Err(invalid(format!("a query has no option {unknown:?}"))),
            };
        }
        query.check()?;
        Ok(query)
    }

    fn ordered_by(self, field: Value) -> Result<Self, Error> {
        const FORM: &str = r#"order_by takes a field's name or {"field": name, "desc": true}, or an array of these"#;
        const DESCENDING: &str = r#"order_by takes no "-" for "the greatest first": that is {"field": "FIELD", "desc": true}; a field of the name "-FIELD" is {"field": "-FIELD"}"#;
        let members = match field {
            Value::String(name) => match name.strip_prefix('-') {
                Some(field) => return Err(invalid(DESCENDING.replace("FIELD", field))),
                None => return Ok(self.order_by(name)),
            },
            Value::Object(members) => members,
            _ => return Err(invalid(FORM)),
        };
        let known = members.keys().all(|key| key == "field" || key == "desc");
        match (members.get("field"), members.get("desc")) {
            (Some(Value::String(name)), None | Some(Value::Bool(false))) if known => Ok(self.order_by(name)),
            (Some(Value::String(name)), Some(Value::Bool(true))) if known => Ok(self.order_by_desc(name)),
            _ => Err(invalid(FORM)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::filter::eq;
    use super::*;
    use serde_json::json;

    fn samples() -> CollectionName {
        CollectionName::new("samples").unwrap()
    }

    #[test]
    fn options_make_the_query_that_the_builder_makes() {
        let bd = || Query::new(samples()).filter(eq("category", "bd"));
        let cases = [
            (json!({}), Query::new(samples())),
            (json!({"where": {"category": "bd"}, "order_by": "name", "limit": 50}), bd().order_by("name").limit(50)),
            (
                json!({"where": {"category": "bd"}, "order_by": ["name", {"field": "/bpm", "desc": true}]}),
                bd().order_by("name").order_by_desc("bpm"),
            ),
            (json!({"where": null, "order_by": {"field": "-x"}, "after": null}), Query::new(samples()).order_by("-x")),
        ];
        for (options, expected) in cases {
            assert_eq!(Query::from_json(samples(), options.clone()).unwrap(), expected, "{options}");
        }
    }

    #[test]
    fn options_that_make_no_query_are_refused() {
        let refused = [
            json!([]),
            json!({"wheer": {}}),
            json!({"where": []}),
            json!({"order_by": 1}),
            json!({"order_by": [{"field": "a", "descending": true}]}),
            json!({"order_by": ["a", true]}),
            json!({"order_by": ""}),
            json!({"order_by": "-due"}),
            json!({"order_by": ["name", "-due"]}),
            json!({"limit": 0}),
            json!({"limit": -1}),
            json!({"limit": 1.5}),
            json!({"after": "nonsense"}),
        ];
        for options in refused {
            let error = Query::from_json(samples(), options.clone()).unwrap_err();
            assert_eq!(error.code(), "invalid_query", "{options}");
        }
        let error = Query::from_json(samples(), json!({"order_by": "-due"})).unwrap_err().to_string();
        assert!(error.contains(r#"{"field": "due", "desc": true}"#), "{error}");
    }
}
