//! Edits of single fields.

use super::collection::Collection;
use super::target::Target;
use crate::error::Result;
use crate::model::{EventId, OpKind, Pointer, Scope, TextEdit, Value};
use crate::queue::{Draft, Mutation};

/// Field operations on one record, committed together as one event.
#[derive(Clone, Debug)]
#[must_use = "an edit does nothing before `commit`"]
pub struct Edit {
    collection: Collection,
    target: Target,
    ops: Vec<(String, OpKind)>,
}

impl Edit {
    pub(super) fn new(collection: Collection, target: Target) -> Self {
        Self { collection, target, ops: Vec::new() }
    }

    /// Any operation, as the bindings hand it over.
    pub fn op(mut self, path: impl Into<String>, kind: OpKind) -> Self {
        self.ops.push((path.into(), kind));
        self
    }

    /// Assigns a field; an object replaces all below it.
    pub fn set(self, path: impl Into<String>, value: impl Into<Value>) -> Self {
        self.op(path, OpKind::Set { value: value.into() })
    }

    /// Removes a field.
    pub fn unset(self, path: impl Into<String>) -> Self {
        self.op(path, OpKind::Unset)
    }

    /// Adds to a 64-bit integer; increments of several devices all count.
    pub fn increment(self, path: impl Into<String>, by: i64) -> Self {
        self.op(path, OpKind::Inc { by })
    }

    /// Adds elements to an array used as a set.
    pub fn add<V: Into<Value>>(self, path: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        self.op(path, OpKind::Add { values: values.into_iter().map(Into::into).collect() })
    }

    /// Removes elements from an array used as a set.
    pub fn remove<V: Into<Value>>(self, path: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        self.op(path, OpKind::Remove { values: values.into_iter().map(Into::into).collect() })
    }

    /// Edits a text, in Unicode code points.
    pub fn text(self, path: impl Into<String>, edit: TextEdit) -> Self {
        self.op(path, OpKind::Text { edit })
    }

    pub(super) fn into_draft(self) -> Result<(Scope, Draft)> {
        let ops = self.ops.into_iter().map(|(path, kind)| Ok((Pointer::parse(&path)?, kind)));
        let ops = ops.collect::<Result<_>>()?;
        self.collection.draft(self.target, Mutation::Edit(ops))
    }

    /// Writes the edit. What is there already is no edit: `None` if nothing changes. Durable when this returns.
    ///
    /// # Errors
    /// `not_found`; `invalid_pointer`, `type_mismatch`, `pointer_into_array` and those of content; `queue_full`; the
    /// storage's.
    pub async fn commit(self) -> Result<Option<EventId>> {
        let client = self.collection.client.clone();
        let (scope, draft) = self.into_draft()?;
        Ok(client.write(&scope, vec![draft]).await?.pop().flatten())
    }
}
