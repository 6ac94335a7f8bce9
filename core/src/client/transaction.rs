//! Transactions: writes that are applied entirely or not at all, here and on the server.

use super::collection::Collection;
use super::edit::Edit;
use super::handle::Client;
use super::target::Target;
use crate::error::{Error, InvalidCode, Result};
use crate::model::{EventId, OpKind, Pointer, Scope, Value};
use crate::queue::{Draft, Mutation};

/// A group of writes in one scope.
#[derive(Debug)]
#[must_use = "a transaction does nothing before `commit`"]
pub struct Transaction {
    client: Client,
    drafts: Result<Vec<(Scope, Draft)>>,
}

impl Transaction {
    pub(super) fn new(client: Client) -> Self {
        Self { client, drafts: Ok(Vec::new()) }
    }

    fn push(mut self, draft: Result<(Scope, Draft)>) -> Self {
        if let Ok(drafts) = &mut self.drafts {
            match draft {
                Ok(draft) => drafts.push(draft),
                Err(error) => self.drafts = Err(error),
            }
        }
        self
    }

    /// Makes a record.
    pub fn create(self, collection: &Collection, id: impl AsRef<str>, doc: Value) -> Self {
        let draft = collection.draft(id.as_ref().into(), Mutation::Create(doc));
        self.push(draft)
    }

    /// Makes a record, or changes the one that is there to exactly this.
    pub fn put(self, collection: &Collection, target: impl Into<Target>, doc: Value) -> Self {
        let draft = collection.draft(target.into(), Mutation::Put(doc));
        self.push(draft)
    }

    /// Applies an RFC 7396 merge patch.
    pub fn update(self, collection: &Collection, target: impl Into<Target>, patch: Value) -> Self {
        let draft = collection.draft(target.into(), Mutation::Update(patch));
        self.push(draft)
    }

    /// Applies field operations: `transaction.edit(&samples, "kick-01", |edit| edit.increment("/plays", 1))`.
    pub fn edit(self, collection: &Collection, target: impl Into<Target>, edit: impl FnOnce(Edit) -> Edit) -> Self {
        let draft = edit(collection.edit(target)).into_draft();
        self.push(draft)
    }

    /// Deletes a record.
    pub fn delete(self, collection: &Collection, target: impl Into<Target>) -> Self {
        let draft = collection.draft(target.into(), Mutation::Delete);
        self.push(draft)
    }

    /// Marks a conflict note as resolved.
    pub fn resolve(self, scope: &Scope, note: impl AsRef<str>) -> Self {
        let draft =
            Collection::reserved(self.client.clone(), scope.clone(), crate::merge::CONFLICTS).and_then(|notes| {
                let set = (Pointer::top("resolved"), OpKind::Set { value: Value::Bool(true) });
                notes.draft(note.as_ref().into(), Mutation::Edit(vec![set]))
            });
        self.push(draft)
    }

    /// Writes everything, durable when this returns; one event id per write, in order, or `None` for a write that changes
    /// nothing.
    ///
    /// # Errors
    /// `invalid_transaction` if it is empty, too large or mixes scopes; those of its writes, and then none is made.
    pub async fn commit(self) -> Result<Vec<Option<EventId>>> {
        let drafts = self.drafts?;
        let Some((scope, _)) = drafts.first().cloned() else {
            return Err(Error::invalid(InvalidCode::Transaction, "the transaction is empty"));
        };
        if drafts.iter().any(|(other, _)| *other != scope) {
            return Err(Error::invalid(InvalidCode::Transaction, "a transaction stays within one scope"));
        }
        self.client.write(&scope, drafts.into_iter().map(|(_, draft)| draft).collect()).await
    }
}
