//! Edits of single fields.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use unisono::model::{EventId, TextEdit, Value};

use crate::Result;
use crate::executor::On;

/// Field operations on one record, committed together as one event: `edit.increment("/plays", 1).add("/tags", ["808"])`.
///
/// Its methods return the edit itself. Fields are named by JSON Pointers; a bad one is reported by `commit`.
#[derive(Debug, uniffi::Object)]
pub struct Edit {
    place: On<()>,
    /// Absent only while it is being changed.
    edit: Mutex<Option<unisono::client::Edit>>,
}

impl Edit {
    pub(crate) fn new(place: On<()>, edit: unisono::client::Edit) -> Self {
        Self { place, edit: Mutex::new(Some(edit)) }
    }

    fn change(self: Arc<Self>, change: impl FnOnce(unisono::client::Edit) -> unisono::client::Edit) -> Arc<Self> {
        let mut edit = self.lock();
        *edit = edit.take().map(change);
        drop(edit);
        self
    }

    fn lock(&self) -> MutexGuard<'_, Option<unisono::client::Edit>> {
        self.edit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[uniffi::export]
impl Edit {
    /// Assigns a field; an object replaces all below it.
    pub fn set(self: Arc<Self>, path: String, value: Value) -> Result<Arc<Self>> {
        Ok(self.change(|edit| edit.set(path, value)))
    }

    /// Removes a field.
    pub fn unset(self: Arc<Self>, path: String) -> Arc<Self> {
        self.change(|edit| edit.unset(path))
    }

    /// Adds to a 64-bit integer; increments of several devices all count.
    pub fn increment(self: Arc<Self>, path: String, by: i64) -> Arc<Self> {
        self.change(|edit| edit.increment(path, by))
    }

    /// Adds elements to an array used as a set.
    pub fn add(self: Arc<Self>, path: String, values: Vec<Value>) -> Result<Arc<Self>> {
        Ok(self.change(|edit| edit.add(path, values)))
    }

    /// Removes elements from an array used as a set.
    pub fn remove(self: Arc<Self>, path: String, values: Vec<Value>) -> Result<Arc<Self>> {
        Ok(self.change(|edit| edit.remove(path, values)))
    }

    /// Edits a text, in Unicode code points.
    pub fn text(self: Arc<Self>, path: String, edit: TextEdit) -> Arc<Self> {
        self.change(|edits| edits.text(path, edit))
    }

    /// Writes the edit, durably, and returns the event's id; none if nothing changes. An edit may be committed again, as another
    /// event.
    pub async fn commit(&self) -> Result<Option<EventId>> {
        let edit = self.lock().clone();
        self.place
            .call(|()| async move {
                let edit = edit.ok_or_else(|| unisono::Error::Internal("an edit was interrupted".into()))?;
                edit.commit().await
            })
            .await
    }
}
