//! Changes: what the feed says of a record.

use serde::Serialize;

use super::{CollectionName, DeviceId, GroupId, RecordId, RecordKey, Revision, Value};
use crate::clock::Stamp;
use crate::reading;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is alive, with this document.
    Put,
    /// It was deleted.
    Delete,
    /// It left the caller's view, without being deleted.
    Gone,
}

/// Who made a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Author {
    /// The account.
    pub user: String,
    /// The device.
    pub device: DeviceId,
}

/// A record's state at its latest revision.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record), uniffi(name = "RecordChange"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Change {
    /// What became of it.
    pub kind: ChangeKind,
    /// The collection.
    pub collection: CollectionName,
    /// The record.
    pub record: RecordId,
    /// The revision that made this state.
    pub revision: Revision,
    /// The document; `put` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc: Option<Value>,
    /// The stamp of the event that made this state.
    pub stamp: Stamp,
    /// Its author.
    pub by: Author,
    /// Version of the app's data that wrote it.
    #[serde(default = "one")]
    pub schema: u32,
    /// The transaction it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
}

fn one() -> u32 {
    1
}

reading::names!(ChangeKind { Put "put", Delete "delete", Gone "gone" });
reading::fields!(Author { user, device });
reading::fields!(Change {
    kind, collection, record, revision, doc = None, stamp, by, schema = one(), group = None,
});

impl Change {
    /// The record's name.
    #[must_use]
    pub fn key(&self) -> RecordKey {
        RecordKey { collection: self.collection.clone(), record: self.record.clone() }
    }
}
