//! A collection: the calls that an app makes most.

use serde::Deserialize;
use unisono::error::InvalidCode;
use unisono::model::{EventId, OpKind};
use wasm_bindgen::prelude::*;

use crate::error::{Result, invalid, thrown};
use crate::stream::Watch;
use crate::value::{from_js, optional_to_js, text, to_js};

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

/// A field operation as JavaScript hands it over: the core's own form.
#[derive(Deserialize)]
struct EditOp {
    path: String,
    #[serde(flatten)]
    kind: OpKind,
}

#[wasm_bindgen]
impl Collection {
    /// Makes a record.
    pub async fn create(&self, id: JsValue, doc: JsValue) -> Result<String> {
        accepted(self.0.create(record_id(&id)?, from_js(&doc)?).await)
    }

    /// Applies an RFC 7396 merge patch: null removes a field.
    pub async fn update(&self, id: JsValue, patch: JsValue) -> Result<String> {
        accepted(self.0.update(record_id(&id)?, from_js(&patch)?).await)
    }

    /// Applies field operations.
    pub async fn edit(&self, id: JsValue, ops: JsValue) -> Result<String> {
        let ops: Vec<EditOp> = serde_json::from_value(from_js(&ops)?)
            .map_err(|error| invalid(InvalidCode::EventShape, format!("not an edit: {error}")))?;
        let edit = ops.into_iter().fold(self.0.edit(record_id(&id)?), |edit, op| edit.op(op.path, op.kind));
        accepted(edit.commit().await)
    }

    /// Deletes a record.
    pub async fn delete(&self, id: JsValue) -> Result<String> {
        accepted(self.0.delete(record_id(&id)?).await)
    }

    /// The record as the app sees it; `null` if there is none.
    #[wasm_bindgen(unchecked_return_type = "Value")]
    pub async fn get(&self, id: JsValue) -> Result<JsValue> {
        optional_to_js(self.0.get(record_id(&id)?).await.map_err(thrown)?.as_ref())
    }

    /// The state of a record's sync; `null` if there is neither a record nor an event on it.
    #[wasm_bindgen(unchecked_return_type = "RecordState | null")]
    pub async fn state(&self, id: JsValue) -> Result<JsValue> {
        optional_to_js(self.0.state(record_id(&id)?).await.map_err(thrown)?.as_ref())
    }

    /// A page of records.
    #[wasm_bindgen(unchecked_return_type = "QueryPage")]
    pub async fn query(
        &self,
        #[wasm_bindgen(unchecked_param_type = "QueryOptions")] options: JsValue,
    ) -> Result<JsValue> {
        let reading = self.0.query_from_json(from_js(&options)?).map_err(thrown)?;
        to_js(&reading.page().await.map_err(thrown)?)
    }

    /// Follows a query's answer.
    pub fn watch(&self, #[wasm_bindgen(unchecked_param_type = "QueryOptions")] options: JsValue) -> Result<Watch> {
        let reading = self.0.query_from_json(from_js(&options)?).map_err(thrown)?;
        Ok(Watch::new(reading.watch().map_err(thrown)?))
    }
}

fn record_id(id: &JsValue) -> Result<String> {
    text(id, "a record's id")
}

fn accepted(result: unisono::Result<EventId>) -> Result<String> {
    result.map(|id| id.to_string()).map_err(thrown)
}
