//! Collections.

use std::sync::Arc;

use unisono::client::RecordState;
use unisono::model::{EventId, Value};
use unisono::query::{QueryPage, Record};

use crate::Result;
use crate::edit::Edit;
use crate::executor::On;
use crate::watch::Watch;

/// A collection of records in one scope.
#[derive(Debug, uniffi::Object)]
pub struct Collection(On<unisono::Collection>);

impl Collection {
    pub(crate) fn new(collection: On<unisono::Collection>) -> Self {
        Self(collection)
    }
}

#[uniffi::export]
impl Collection {
    /// Makes a record. Durable when this returns the event's id.
    pub async fn create(&self, id: String, doc: Value) -> Result<EventId> {
        self.0.call(|inner| async move { inner.create(id, doc).await }).await
    }

    /// Applies an RFC 7396 merge patch: null removes a field. Durable when this returns the event's id.
    pub async fn update(&self, id: String, patch: Value) -> Result<EventId> {
        self.0.call(|inner| async move { inner.update(id, patch).await }).await
    }

    /// Begins an edit of single fields: counters, sets, texts.
    pub fn edit(&self, id: String) -> Arc<Edit> {
        Arc::new(Edit::new(self.0.with(()), self.0.inner.edit(id)))
    }

    /// Deletes a record. Durable when this returns the event's id.
    pub async fn delete(&self, id: String) -> Result<EventId> {
        self.0.call(|inner| async move { inner.delete(id).await }).await
    }

    /// The record as the app sees it: confirmed state plus its own unsettled writes.
    pub async fn get(&self, id: String) -> Result<Option<Value>> {
        self.0.call(|inner| async move { inner.get(id).await }).await
    }

    /// The state of a record's sync; none if there is neither a record nor an event on it.
    pub async fn state(&self, id: String) -> Result<Option<RecordState>> {
        self.0.call(|inner| async move { inner.state(id).await }).await
    }

    /// The records that the options want: `{"where": …, "order_by": …, "limit": …, "after": …}`.
    pub async fn query(&self, options: Value) -> Result<Vec<Record>> {
        Ok(self.page(options).await?.records)
    }

    /// The same, and where the next page begins.
    pub async fn page(&self, options: Value) -> Result<QueryPage> {
        self.0.call(|inner| async move { inner.query_from_json(options)?.page().await }).await
    }

    /// Follows a query.
    pub fn watch(&self, options: Value) -> Result<Arc<Watch>> {
        let watch = self.0.inner.query_from_json(options)?.watch()?;
        Ok(Arc::new(Watch::new(self.0.with(()), watch)))
    }
}
