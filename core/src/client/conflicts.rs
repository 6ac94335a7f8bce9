//! The conflict inbox: what lost, and the app's word that it has been dealt with.

use serde::Serialize;

use super::collection::Collection;
use super::handle::Client;
use crate::error::{Error, InvalidCode, Result};
use crate::merge::CONFLICTS;
use crate::model::{CollectionName, EventId, Pointer, RecordId, RecordKey, Revision, Scope, Value};
use crate::query::{Record, eq, not};

/// An open conflict note: a value, or several, that lost against a concurrent write.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[non_exhaustive]
pub struct Conflict {
    /// The note's id. Notes of two scopes may have the same one: scope and id name a note.
    pub id: RecordId,
    /// The scope of the record and of its note.
    pub scope: Scope,
    /// The record's collection.
    pub collection: CollectionName,
    /// The record.
    pub record: RecordId,
    /// The field; none if the record as a whole is concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Pointer>,
    /// The note's revision.
    pub revision: Revision,
    /// The note as the server keeps it: `winner`, `losers` and the rest, as docs/protocol.md lists them.
    pub doc: Value,
}

impl Conflict {
    fn of_note(scope: &Scope, note: Record) -> Result<Self> {
        let text = |name: &str| note.doc.get(name).and_then(Value::as_str);
        let name =
            |name| text(name).ok_or_else(|| Error::Protocol(format!("the conflict note {} has no {name}", note.id)));
        Ok(Self {
            scope: scope.clone(),
            collection: CollectionName::new(name("collection")?)?,
            record: RecordId::new(name("record")?)?,
            path: text("path").map(Pointer::parse).transpose()?,
            id: note.id,
            revision: note.revision,
            doc: note.doc,
        })
    }
}

impl Client {
    /// Open conflict notes of every scope.
    ///
    /// # Errors
    /// The storage's.
    pub async fn conflicts(&self) -> Result<Vec<Conflict>> {
        self.check_shown()?;
        let mut found = Vec::new();
        for scope in self.reader().scopes().await? {
            let notes = Collection::reserved(self.clone(), scope.clone(), CONFLICTS)?;
            for note in notes.query().filter(not(eq("/resolved", true))).all().await? {
                found.push(Conflict::of_note(&scope, note)?);
            }
        }
        Ok(found)
    }

    /// Marks a conflict note as resolved, on every device, whichever scope it is in; `None` if it is. To write a value as well, use the
    /// record's collection in a [`transaction`](Self::transaction) with [`Transaction::resolve`].
    ///
    /// # Errors
    /// `not_found` if there is no such note; `invalid_id` if several scopes have an open one of this id: then
    /// [`resolve_in`](Self::resolve_in) says which is meant.
    ///
    /// [`Transaction::resolve`]: super::Transaction::resolve
    pub async fn resolve(&self, note: &str) -> Result<Option<EventId>> {
        self.check_shown()?;
        let key = RecordKey { collection: CollectionName::new(CONFLICTS)?, record: RecordId::new(note)? };
        let (mut open, mut resolved) = (Vec::new(), None);
        for scope in self.reader().scopes().await? {
            let row = self.reader().record(&scope, &key).await?;
            match row.as_ref().and_then(|row| row.view()).map(|doc| doc.get("resolved") == Some(&Value::Bool(true))) {
                Some(false) => open.push(scope),
                Some(true) => resolved = Some(scope),
                None => {}
            }
        }
        if open.len() > 1 {
            return Err(Error::invalid(
                InvalidCode::Id,
                format!("{} scopes have an open conflict note {note}: say which is meant", open.len()),
            ));
        }
        let scope = open.pop().or(resolved).ok_or_else(|| Error::NotFound(key.to_string()))?;
        self.resolve_in(&scope, note).await
    }

    /// Marks a conflict note of `scope` as resolved, on every device; `None` if it is.
    ///
    /// # Errors
    /// `not_found` if there is no such note.
    pub async fn resolve_in(&self, scope: &Scope, note: &str) -> Result<Option<EventId>> {
        Ok(self.transaction().resolve(scope, note).commit().await?.pop().flatten())
    }
}
