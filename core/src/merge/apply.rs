//! The client's half: applying operations to a document, without clocks.

use crate::model::{Op, Pointer, SyncEvent, Value};

/// An operation that did not fit the document and had no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its place.
    pub path: Pointer,
    /// The code under which the server would refuse it.
    pub code: &'static str,
}

/// Applies `ops` to `doc` in order. Total: an operation that does not fit (an increment of a text, an overflow) has no effect
/// and is reported.
pub fn apply(doc: &mut Value, ops: &[Op]) -> Vec<Skipped> {
    let _ = (doc, ops);
    Vec::new()
}

/// The document after `event`, if the record lives then. An update of an absent record stays absent.
#[must_use]
pub fn apply_event(doc: Option<Value>, event: &SyncEvent) -> Option<Value> {
    let _ = event;
    doc
}
