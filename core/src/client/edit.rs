//! Edits of single fields.

use super::collection::Collection;
use crate::error::{Error, Result};
use crate::model::{EventId, OpKind, Pointer, TextEdit, Value};
use crate::queue::Mutation;

/// Field operations on one record, committed together as one event.
#[derive(Clone, Debug)]
#[must_use = "an edit does nothing before `commit`"]
pub struct Edit {
    collection: Collection,
    id: String,
    ops: Vec<(String, OpKind)>,
}

impl Edit {
    pub(super) fn new(collection: Collection, id: String) -> Self {
        Self { collection, id, ops: Vec::new() }
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

    pub(super) fn into_mutation(self) -> Result<Mutation> {
        let ops = self.ops.into_iter().map(|(path, kind)| Ok((Pointer::parse(&path)?, kind)));
        Ok(Mutation::Edit(ops.collect::<Result<_, Error>>()?))
    }

    /// Writes the edit. Durable when this returns.
    ///
    /// # Errors
    /// `not_found`; `invalid_pointer`, `type_mismatch`, `pointer_into_array` and those of content; `queue_full`; the
    /// storage's.
    pub async fn commit(self) -> Result<EventId> {
        let (collection, id) = (self.collection.clone(), self.id.clone());
        collection.commit(&id, self.into_mutation()?).await
    }
}
