//! A collection: the calls that an app makes most.

use js_sys::Promise;
use serde::Serialize;
use unisono::client::{RecordState, Target};
use unisono::error::InvalidCode;
use unisono::model::{EventId, OpKind, Seen, Value};
use unisono::query::Record;
use wasm_bindgen::prelude::*;

use crate::error::{Result, invalid, thrown};
use crate::promise::promise;
use crate::stream::Iteration;
use crate::value::{from_json, text, to_js};

#[wasm_bindgen(typescript_custom_section)]
const QUERY: &str = r#"
/** A filter: `{category: "bd", bpm: {$ge: 120}, $or: […]}`; see the core's documentation of filters. */
export type Filter = { [field: string]: Value };
/** A field's name or JSON Pointer, or one to order by from the greatest down. */
export type Order = string | { field: string; desc?: boolean };
/** What a query wants. */
export interface QueryOptions {
  where?: Filter | null;
  order_by?: Order | Order[] | null;
  limit?: number | null;
  after?: Continuation | null;
}
"#;

/// A collection of records in one scope.
#[wasm_bindgen]
pub struct Collection(unisono::Collection);

impl Collection {
    pub(crate) fn new(collection: unisono::Collection) -> Self {
        Self(collection)
    }
}

#[wasm_bindgen]
impl Collection {
    /// Makes a record.
    #[wasm_bindgen(unchecked_return_type = "Promise<string>")]
    pub fn create(&self, id: JsValue, doc: String) -> Promise {
        let collection = self.0.clone();
        promise(async move { accepted(collection.create(record_id(&id)?, from_json(&doc)?).await) })
    }

    /// Makes a record, or changes the one that is there to exactly this. `null` if nothing differs.
    #[wasm_bindgen(unchecked_return_type = "Promise<string | null>")]
    pub fn put(&self, id: JsValue, seen: Option<String>, doc: String) -> Promise {
        let collection = self.0.clone();
        promise(async move { accepted(collection.put(target(&id, seen)?, from_json(&doc)?).await) })
    }

    /// The same for many records: documents by id. What is told of each, by id, too.
    #[wasm_bindgen(js_name = putMany, unchecked_return_type = "Promise<{ [id: string]: string | null }>")]
    pub fn put_many(&self, docs: String) -> Promise {
        let collection = self.0.clone();
        promise(async move {
            let Value::Object(docs) = from_json(&docs)? else {
                return Err(invalid(InvalidCode::NotAnObject, "putMany takes documents by id"));
            };
            let ids: Vec<_> = docs.keys().cloned().collect();
            let written = collection.put_many(docs).await.map_err(thrown)?;
            let events = written.into_iter().map(|event| event.map_or(Value::Null, |id| id.as_str().into()));
            to_js(&ids.into_iter().zip(events).collect::<Value>())
        })
    }

    /// Applies an RFC 7396 merge patch: null removes a field. `null` if that changes nothing.
    #[wasm_bindgen(unchecked_return_type = "Promise<string | null>")]
    pub fn update(&self, id: JsValue, seen: Option<String>, patch: String) -> Promise {
        let collection = self.0.clone();
        promise(async move { accepted(collection.update(target(&id, seen)?, from_json(&patch)?).await) })
    }

    /// Writes what differs between `old`, the document that was `seen`, and `new`. `null` if nothing does.
    #[wasm_bindgen(unchecked_return_type = "Promise<string | null>")]
    pub fn save(&self, seen: String, old: String, new: String) -> Promise {
        let collection = self.0.clone();
        promise(async move {
            let Seen { id, basis } = read(&seen)?;
            // Of the read, no more than this is asked.
            let old = Record { id, basis, doc: from_json(&old)?, revision: 0, state: RecordState::Synced };
            accepted(collection.save(&old, from_json(&new)?).await)
        })
    }

    /// Applies field operations. `null` if they change nothing.
    #[wasm_bindgen(unchecked_return_type = "Promise<string | null>")]
    pub fn edit(&self, id: JsValue, seen: Option<String>, ops: String) -> Promise {
        let collection = self.0.clone();
        promise(async move {
            let mut edit = collection.edit(target(&id, seen)?);
            let ops = from_json(&ops)?;
            for op in ops.as_array().ok_or_else(|| not_an_edit("it is no array"))? {
                let path = op.get("path").and_then(Value::as_str);
                let path = path.ok_or_else(|| not_an_edit("an operation has no path"))?;
                edit = edit.op(path, operation(op).map_err(|error| not_an_edit(&error.to_string()))?);
            }
            accepted(edit.commit().await)
        })
    }

    /// Deletes a record.
    #[wasm_bindgen(unchecked_return_type = "Promise<string>")]
    pub fn delete(&self, id: JsValue, seen: Option<String>) -> Promise {
        let collection = self.0.clone();
        promise(async move { accepted(collection.delete(target(&id, seen)?).await) })
    }

    /// The same collection, whose writes apply only if nothing that they touch was changed meanwhile by another device.
    pub fn strict(&self) -> Self {
        Self(self.0.strict())
    }

    /// The record with its revision and state; `null` if there is none.
    #[wasm_bindgen(unchecked_return_type = "Promise<Record | null>")]
    pub fn record(&self, id: JsValue) -> Promise {
        let collection = self.0.clone();
        promise(async move { optional_to_js(collection.record(record_id(&id)?).await.map_err(thrown)?.as_ref()) })
    }

    /// The record's document as the app sees it; `null` if there is none.
    #[wasm_bindgen(unchecked_return_type = "Promise<Value>")]
    pub fn get(&self, id: JsValue) -> Promise {
        let collection = self.0.clone();
        promise(async move { optional_to_js(collection.get(record_id(&id)?).await.map_err(thrown)?.as_ref()) })
    }

    /// The state of a record's sync; `null` if there is neither a record nor an event on it.
    #[wasm_bindgen(unchecked_return_type = "Promise<RecordState | null>")]
    pub fn state(&self, id: JsValue) -> Promise {
        let collection = self.0.clone();
        promise(async move { optional_to_js(collection.state(record_id(&id)?).await.map_err(thrown)?.as_ref()) })
    }

    /// A page of records.
    #[wasm_bindgen(unchecked_return_type = "Promise<QueryPage>")]
    pub fn query(&self, options: String) -> Promise {
        let collection = self.0.clone();
        promise(async move {
            let reading = collection.query_from_json(from_json(&options)?).map_err(thrown)?;
            to_js(&reading.page().await.map_err(thrown)?)
        })
    }

    /// Follows a query's answer.
    pub fn watch(&self, options: &str) -> Result<Iteration> {
        let reading = self.0.query_from_json(from_json(options)?).map_err(thrown)?;
        Ok(Iteration::new(reading.watch().map_err(thrown)?))
    }
}

/// A value or `null`.
fn optional_to_js<T: Serialize>(value: Option<&T>) -> Result<JsValue> {
    value.map_or(Ok(JsValue::NULL), to_js)
}

fn record_id(id: &JsValue) -> Result<String> {
    text(id, "a record's id")
}

/// The record that a write is to; `seen` is the JSON text of a read of it.
fn target(id: &JsValue, seen: Option<String>) -> Result<Target> {
    Ok(Target::new(record_id(id)?, seen.map(|seen| read(&seen)).transpose()?))
}

fn read(seen: &str) -> Result<Seen> {
    let seen = serde_json::from_slice(seen.as_bytes());
    seen.map_err(|error| invalid(InvalidCode::Seen, format!("`seen` is no read of a record: {error}")))
}

/// A field operation in the core's own form, read from text as everything else is: one reader for all is downloaded once.
fn operation(op: &Value) -> serde_json::Result<OpKind> {
    serde_json::from_slice(&serde_json::to_vec(op)?)
}

fn not_an_edit(why: &str) -> JsValue {
    invalid(InvalidCode::EventShape, format!("not an edit: {why}"))
}

/// The event's id; `null` where nothing changes.
pub(crate) fn accepted(result: unisono::Result<impl Into<Option<EventId>>>) -> Result<JsValue> {
    let id = result.map_err(thrown)?.into();
    Ok(id.map_or(JsValue::NULL, |id: EventId| id.as_str().into()))
}
