//! Rows: what is persisted, as JSON. Every type here is part of the file format: fields are only ever added, with defaults,
//! and a snapshot test holds each form.

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::model::{Author, Revision, Value};
use crate::storage::StorageError;

/// A record: what the server has acknowledged, and what the app sees.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordRow {
    /// The confirmed revision; 0 if the server has never told of the record.
    #[serde(rename = "r", default)]
    pub revision: Revision,
    /// The confirmed document; absent if the record is unknown or deleted. A deleted record with pending events keeps the
    /// last one in `ghost`.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub doc: Option<Value>,
    /// The confirmed state's stamp and author.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub by: Option<(Stamp, Author)>,
    /// The confirmed state's share of the digest, as 32 hex digits; absent for tombstones.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The document before a delete by another writer, on which pending updates go on being shown.
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    pub ghost: Option<Value>,
    /// Present while events are pending: the view, `null` for a pending delete.
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none", with = "nullable")]
    pub overlay: Option<Option<Value>>,
    /// Positions of the unsettled events on this record, in queue order.
    #[serde(rename = "p", default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<u64>,
}

impl RecordRow {
    /// Reads a row's value.
    ///
    /// # Errors
    /// `Corrupt` if it is not a record row.
    pub fn decode(value: &[u8]) -> Result<Self, StorageError> {
        serde_json::from_slice(value).map_err(|error| StorageError::Corrupt(format!("a record's row: {error}")))
    }

    /// What the app sees: confirmed state plus unsettled events; `None` if there is no such record.
    #[must_use]
    pub fn view(&self) -> Option<&Value> {
        match &self.overlay {
            Some(view) => view.as_ref(),
            None => self.doc.as_ref(),
        }
    }
}

/// Tells "absent" from "null" in JSON.
mod nullable {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::model::Value;

    #[expect(clippy::ref_option, reason = "serde's `with` passes a reference to the field")]
    pub fn serialize<S: Serializer>(overlay: &Option<Option<Value>>, serializer: S) -> Result<S::Ok, S::Error> {
        overlay.as_ref().and_then(Option::as_ref).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Value>>, D::Error> {
        Option::deserialize(deserializer).map(Some)
    }
}
