//! A collection: the calls that an app makes most.

use js_sys::Promise;
use unisono::error::InvalidCode;
use unisono::model::{EventId, OpKind, Value};
use wasm_bindgen::prelude::*;

use crate::error::{Result, invalid, thrown};
use crate::promise::promise;
use crate::stream::Watch;
use crate::value::{from_json, optional_to_js, text, to_js};

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

    /// Applies an RFC 7396 merge patch: null removes a field. `null` if that changes nothing.
    #[wasm_bindgen(unchecked_return_type = "Promise<string | null>")]
    pub fn update(&self, id: JsValue, patch: String) -> Promise {
        let collection = self.0.clone();
        promise(async move { accepted(collection.update(record_id(&id)?, from_json(&patch)?).await) })
    }

    /// Applies field operations. `null` if they change nothing.
    #[wasm_bindgen(unchecked_return_type = "Promise<string | null>")]
    pub fn edit(&self, id: JsValue, ops: String) -> Promise {
        let collection = self.0.clone();
        promise(async move {
            let mut edit = collection.edit(record_id(&id)?);
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
    pub fn delete(&self, id: JsValue) -> Promise {
        let collection = self.0.clone();
        promise(async move { accepted(collection.delete(record_id(&id)?).await) })
    }

    /// The record as the app sees it; `null` if there is none.
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
    pub fn watch(&self, options: &str) -> Result<Watch> {
        let reading = self.0.query_from_json(from_json(options)?).map_err(thrown)?;
        Ok(Watch::new(reading.watch().map_err(thrown)?))
    }
}

fn record_id(id: &JsValue) -> Result<String> {
    text(id, "a record's id")
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
