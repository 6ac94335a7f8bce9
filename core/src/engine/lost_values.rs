//! Lost values on demand: what a conflict note only refers to is read here if it is kept here, else fetched, and kept.

use super::runtime::Engine;
use crate::error::Result;
use crate::merge::{CONFLICTS, referred};
use crate::model::{RecordKey, Value, value};
use crate::protocol::{ValueRequest, ValueResponse};
use crate::replica::keys;
use crate::transport::{TransportError, wire};

impl Engine {
    /// The value to which a note refers.
    ///
    /// # Errors
    /// Those of a request, if the value is not kept here; the storage's.
    pub async fn lost_value(&self, request: &ValueRequest) -> Result<Value> {
        let name = keys::lost_value(&request.scope, &request.note, &request.sha256);
        let kept = self.reader().storage().get(vec![name.clone()]).await?.pop().flatten();
        let malformed = |what: String| TransportError::Malformed(format!("a lost value: {what}"));
        if let Some(kept) = kept {
            return Ok(crate::replica::decode(&kept.value)?);
        }
        let body = self.fetch(&wire::value_path(request)).await?;
        let ValueResponse { mut value } =
            serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))?;
        value::normalize(&mut value);
        if value::hash_hex(&value) != request.sha256 {
            return Err(malformed("it is another one than was asked for".into()).into());
        }
        let (asked, text) = (request.clone(), value::canonical(&value));
        self.writer()
            .run(move |txn| {
                let generation = txn.scope(&asked.scope)?.generation;
                let note = RecordKey { collection: CONFLICTS.parse()?, record: asked.note.clone() };
                let held = txn.record(&asked.scope, generation, &note)?.doc.as_ref();
                // The note may have gone meanwhile; then nothing would ever take the value away.
                if held.is_some_and(|note| referred(note).iter().any(|known| known.sha256 == asked.sha256)) {
                    txn.set_raw(name.clone(), Some(text.clone()));
                }
                Ok(())
            })
            .await?;
        Ok(value)
    }
}
