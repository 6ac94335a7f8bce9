//! What a conflict note only refers to.

use super::handle::Client;
use crate::error::{Error, Result};
use crate::merge::{CONFLICTS, referred};
use crate::model::{RecordId, RecordKey, Value};
use crate::protocol::ValueRequest;

impl Client {
    /// The value behind a reference of a conflict note: `note` is its record id, `sha256` what stands in a side's
    /// `value_ref`, or in `base_ref`. The device that wrote the value mostly keeps it, and reads it offline; others fetch it
    /// once, and keep it as long as the note refers to it.
    ///
    /// # Errors
    /// `not_found` if no note refers to it; those of a request if it is not kept here (`value_not_found` if the note has
    /// changed on the server); the storage's.
    pub async fn conflict_value(&self, note: impl AsRef<str>, sha256: impl AsRef<str>) -> Result<Value> {
        self.check_open()?;
        let (note, sha256) = (RecordId::new(note.as_ref())?, sha256.as_ref());
        let key = RecordKey { collection: CONFLICTS.parse()?, record: note };
        for scope in self.reader().scopes().await? {
            let row = self.reader().record(&scope, &key).await?;
            let held = row.as_ref().and_then(|row| row.doc.as_ref());
            if held.is_some_and(|note| referred(note).iter().any(|known| known.sha256 == sha256)) {
                let request = ValueRequest { scope, note: key.record, sha256: sha256.to_owned() };
                return self.inner.engine.lost_value(&request).await;
            }
        }
        Err(Error::NotFound(format!("a note {} that refers to {sha256}", key.record)))
    }
}
