//! Receipts: the durable outcome of one event.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Change, EventId, Pointer, Revision, TextEdit};
use crate::clock::Stamp;
use crate::reading;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReceiptStatus {
    /// Took effect as it was.
    Applied,
    /// Took effect beside concurrent writes.
    Merged,
    /// Lost by stamp or by a delete; its values are in the conflict inbox.
    Superseded,
    /// Strict, and something that it touches was changed by another writer. Nothing was applied.
    Conflict,
    /// Cannot be applied, for the reason in `code`. Nothing was applied.
    Rejected,
    /// Not judged, because of the event in `because`. Nothing was applied.
    Skipped,
}

reading::names!(ReceiptStatus {
    Applied "applied",
    Merged "merged",
    Superseded "superseded",
    Conflict "conflict",
    Rejected "rejected",
    Skipped "skipped",
});

impl ReceiptStatus {
    /// Whether the event is done: the server has recorded it for the life of the scope.
    #[must_use]
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Applied | Self::Merged | Self::Superseded)
    }
}

/// The server's answer to one event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Receipt {
    /// The event.
    pub id: EventId,
    /// What became of it.
    pub status: ReceiptStatus,
    /// The record's revision after the event; settled events only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// The record's revision before the event; settled events only. Absent where the event alone does not tell what the record
    /// became and `record` is not here either: a later receipt of the same answer has it, or the next pull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Revision>,
    /// The record after the push. An answer tells each record once, with the last receipt that needs it: one of an event that
    /// met another writer's change. Beyond [`MAX_ANSWER_RECORD_BYTES`](crate::limits::MAX_ANSWER_RECORD_BYTES) it is pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "wasm", tsify(type = "Value"))]
    pub record: Option<Box<Change>>,
    /// The stamp under which the server recorded the event, if it had to change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<Stamp>,
    /// Per text path, the edit from the writer's text to the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "wasm", tsify(type = "{ [path: string]: TextEdit }"))]
    pub rebase: Option<BTreeMap<Pointer, TextEdit>>,
    /// Why it was rejected: a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why it was rejected, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The event on whose account this one was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<EventId>,
}

reading::fields!(Receipt {
    id, status, revision = None, previous = None, record = None, stamp = None, rebase = None, code = None, message = None,
    because = None,
});

impl Receipt {
    /// A receipt with nothing but its status.
    #[must_use]
    pub fn bare(id: EventId, status: ReceiptStatus) -> Self {
        Self {
            id,
            status,
            revision: None,
            previous: None,
            record: None,
            stamp: None,
            rebase: None,
            code: None,
            message: None,
            because: None,
        }
    }

    /// A `rejected` receipt.
    #[must_use]
    pub fn rejected(id: EventId, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: Some(code.into()), message: Some(message.into()), ..Self::bare(id, ReceiptStatus::Rejected) }
    }
}
