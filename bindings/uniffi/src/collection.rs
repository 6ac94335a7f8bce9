//! Collections.

use std::sync::Arc;

use unisono::client::{RecordState, Target};
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

/// A record's id and its document.
#[derive(Clone, Debug, uniffi::Record)]
pub struct Document {
    /// Its id.
    pub id: String,
    /// Its document.
    pub doc: Value,
}

fn target(id: String, seen: Option<Record>) -> Target {
    Target::new(id, seen.map(|record| record.seen()))
}

#[uniffi::export]
impl Collection {
    /// Makes a record. Durable when this returns the event's id.
    pub async fn create(&self, id: String, doc: Value) -> Result<EventId> {
        self.0.call(|inner| async move { inner.create(id, doc).await }).await
    }

    /// Makes a record, or changes the one that is there to exactly this: only what differs is written. Durable when this returns
    /// the event's id; none if nothing differs. With `seen` the change is judged by what that read showed.
    #[uniffi::method(default(seen = None))]
    pub async fn put(&self, id: String, doc: Value, seen: Option<Record>) -> Result<Option<EventId>> {
        self.0.call(|inner| async move { inner.put(target(id, seen), doc).await }).await
    }

    /// The same for many records, with few commits: an id each, in order, or none for one that is so already. Each is a write of
    /// its own. If it fails half-way, to call it again does the rest.
    pub async fn put_many(&self, docs: Vec<Document>) -> Result<Vec<Option<EventId>>> {
        let docs = docs.into_iter().map(|Document { id, doc }| (id, doc));
        self.0.call(|inner| async move { inner.put_many(docs).await }).await
    }

    /// Applies an RFC 7396 merge patch: null removes a field. Durable when this returns the event's id; none if the patch changes
    /// nothing. With `seen` it is concurrent with whatever came after that read.
    #[uniffi::method(default(seen = None))]
    pub async fn update(&self, id: String, patch: Value, seen: Option<Record>) -> Result<Option<EventId>> {
        self.0.call(|inner| async move { inner.update(target(id, seen), patch).await }).await
    }

    /// Writes what differs between `old`, a read of a record, and `new`, in sight of that read. Durable when this returns the
    /// event's id; none if nothing differs.
    pub async fn save(&self, old: Record, new: Value) -> Result<Option<EventId>> {
        self.0.call(|inner| async move { inner.save(&old, new).await }).await
    }

    /// Begins an edit of single fields: counters, sets, texts. With `seen` it is concurrent with whatever came after that read.
    #[uniffi::method(default(seen = None))]
    pub fn edit(&self, id: String, seen: Option<Record>) -> Arc<Edit> {
        Arc::new(Edit::new(self.0.with(()), self.0.inner.edit(target(id, seen))))
    }

    /// Deletes a record. Durable when this returns the event's id. With `seen` it is concurrent with whatever came after that
    /// read.
    #[uniffi::method(default(seen = None))]
    pub async fn delete(&self, id: String, seen: Option<Record>) -> Result<EventId> {
        self.0.call(|inner| async move { inner.delete(target(id, seen)).await }).await
    }

    /// The same collection, whose writes apply only if nothing that they touch was changed meanwhile by another device.
    pub fn strict(&self) -> Arc<Self> {
        Arc::new(Self(self.0.with(self.0.inner.strict())))
    }

    /// The record's document as the app sees it: confirmed state plus its own unsettled writes.
    pub async fn get(&self, id: String) -> Result<Option<Value>> {
        self.0.call(|inner| async move { inner.get(id).await }).await
    }

    /// The record as the app sees it, with its revision and state. A write can name it as what its writer has seen.
    pub async fn record(&self, id: String) -> Result<Option<Record>> {
        self.0.call(|inner| async move { inner.record(id).await }).await
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
