//! `GET /sync/changes`: the change feed, streamed as lines or taken as one page.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::model::{Author, Change, ChangeKind, CollectionName, DeviceId, GroupId, RecordId, Revision, Scope, Value};
use crate::reading;

/// An opaque position in a scope's change feed. Only the server looks inside.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a client asks of the feed; becomes the query string.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct ChangesRequest {
    /// The scope.
    pub scope: Scope,
    /// The server history that the replica follows; absent before the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// Where to go on; absent for the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// Evidence of a newer commit than the cursor, as in a push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Cursor>,
    /// Most changes in the answer; the server's maximum if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 10_000))]
    pub limit: Option<u32>,
    /// The asking device, whose `included` the answer tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// Only records of this digest bucket, from the start: the repair of a replica. Tombstones are not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(maximum = 255))]
    pub bucket: Option<u8>,
    /// Only records of this collection, tombstones included: a part of the feed, for a device that wants no more of it. What it
    /// brings does not move the pull's cursor, and it has no digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<CollectionName>,
    /// Conflict notes come as they are stored: with references to the values that they do not hold, each to be had by itself
    /// from `GET /sync/values`. A reader that does not ask for it gets notes that hold everything, and no digest where that
    /// makes them other than they are stored.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub references: bool,
}

impl ChangesRequest {
    /// All of a scope, as a replica asks for it: notes by reference.
    #[must_use]
    pub fn from_start(scope: Scope) -> Self {
        Self {
            scope,
            epoch: None,
            cursor: None,
            seen: None,
            limit: None,
            device: None,
            bucket: None,
            collection: None,
            references: true,
        }
    }
}

/// `GET /sync/values`: asks for a value to which a conflict note refers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct ValueRequest {
    /// The scope.
    pub scope: Scope,
    /// The note: a record of the collection `$conflicts`.
    pub note: RecordId,
    /// SHA-256 over the value's canonical form, as the note says it.
    pub sha256: String,
}

/// The answer to a [`ValueRequest`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ValueResponse {
    /// The value, whole.
    pub value: Value,
}

reading::fields!(ValueResponse { value });

/// A position between two changes; everything before it may be committed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CursorLine {
    /// The position.
    pub cursor: Cursor,
    /// The asking device's highest push_seq whose effects the records sent since the previous cursor line contain: every
    /// push that the server had committed when it read them. A record that is not among them may still lack a push's
    /// effect.
    pub included: u64,
}

/// The last line of the feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Trailer {
    /// Where the next pull goes on.
    pub cursor: Cursor,
    /// Whether more changes were there when this was read.
    pub more: bool,
    /// The server history.
    pub epoch: String,
    /// The revision that `cursor` stands for: with `more` false, everything up to it has been sent, and a record that is not
    /// there was not alive then.
    pub revision: Revision,
    /// As in [`CursorLine`].
    pub included: u64,
    /// The scope's highest stamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hlc: Option<Stamp>,
    /// What the operator's backups are sure to hold: settled events up to here need not be kept.
    pub backup_revision: Revision,
    /// The server's clock, in milliseconds.
    pub server_now: u64,
    /// The server's identity.
    pub server_id: String,
    /// Live records in the scope, for progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Digest over all live records at `cursor`, as 32 hex digits; only where `more` is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// The feed as one JSON document (`Accept: application/json`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page {
    /// The changes, by ascending revision.
    pub changes: Vec<Change>,
    /// Where they end.
    #[serde(flatten)]
    pub trailer: Trailer,
}

/// One line of the streamed feed.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedLine {
    /// A record's state.
    Change(Change),
    /// A position.
    Cursor(CursorLine),
    /// The end.
    Trailer(Trailer),
    /// A kind that this build does not know; to be ignored.
    Unknown,
}

impl FeedLine {
    /// Reads one line.
    ///
    /// # Errors
    /// What serde says of malformed JSON or a missing field.
    pub fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        let line: Line = serde_json::from_slice(line)?;
        line.into_feed_line().map_err(serde::de::Error::missing_field)
    }

    /// Appends the line, with its line feed, to `out`.
    ///
    /// # Panics
    /// Never: the parts serialize.
    pub fn write(&self, out: &mut Vec<u8>) {
        #[derive(Serialize)]
        struct Tagged<'a, T> {
            kind: &'a str,
            #[serde(flatten)]
            body: &'a T,
        }
        let written = match self {
            Self::Change(change) => serde_json::to_writer(&mut *out, change),
            Self::Cursor(body) => serde_json::to_writer(&mut *out, &Tagged { kind: "cursor", body }),
            Self::Trailer(body) => serde_json::to_writer(&mut *out, &Tagged { kind: "trailer", body }),
            Self::Unknown => return,
        };
        written.expect("feed lines serialize");
        out.push(b'\n');
    }
}

#[derive(Clone, Copy)]
enum LineKind {
    Put,
    Delete,
    Gone,
    Cursor,
    Trailer,
    Unknown,
}

reading::names!(LineKind {
    Put "put",
    Delete "delete",
    Gone "gone",
    Cursor "cursor",
    Trailer "trailer",
} else Unknown);

/// All kinds in one flat struct: one pass over the bytes, no buffering of untyped content.
struct Line {
    kind: LineKind,
    collection: Option<CollectionName>,
    record: Option<RecordId>,
    revision: Option<Revision>,
    doc: Option<Value>,
    stamp: Option<Stamp>,
    by: Option<Author>,
    schema: Option<u32>,
    group: Option<GroupId>,
    cursor: Option<Cursor>,
    included: Option<u64>,
    more: Option<bool>,
    epoch: Option<String>,
    hlc: Option<Stamp>,
    backup_revision: Option<Revision>,
    server_now: Option<u64>,
    server_id: Option<String>,
    total: Option<u64>,
    digest: Option<String>,
}

reading::fields!(Line {
    kind, collection = None, record = None, revision = None, doc = None, stamp = None, by = None, schema = None,
    group = None, cursor = None, included = None, more = None, epoch = None, hlc = None, backup_revision = None,
    server_now = None, server_id = None, total = None, digest = None,
});

impl Line {
    fn into_feed_line(self) -> Result<FeedLine, &'static str> {
        let kind = match self.kind {
            LineKind::Unknown => return Ok(FeedLine::Unknown),
            LineKind::Cursor => {
                return Ok(FeedLine::Cursor(CursorLine {
                    cursor: self.cursor.ok_or("cursor")?,
                    included: self.included.unwrap_or(0),
                }));
            }
            LineKind::Trailer => {
                return Ok(FeedLine::Trailer(Trailer {
                    cursor: self.cursor.ok_or("cursor")?,
                    more: self.more.ok_or("more")?,
                    epoch: self.epoch.ok_or("epoch")?,
                    revision: self.revision.ok_or("revision")?,
                    included: self.included.unwrap_or(0),
                    hlc: self.hlc,
                    backup_revision: self.backup_revision.unwrap_or(0),
                    server_now: self.server_now.ok_or("server_now")?,
                    server_id: self.server_id.ok_or("server_id")?,
                    total: self.total,
                    digest: self.digest,
                }));
            }
            LineKind::Put if self.doc.is_none() => return Err("doc"),
            LineKind::Put => ChangeKind::Put,
            LineKind::Delete => ChangeKind::Delete,
            LineKind::Gone => ChangeKind::Gone,
        };
        Ok(FeedLine::Change(Change {
            kind,
            collection: self.collection.ok_or("collection")?,
            record: self.record.ok_or("record")?,
            revision: self.revision.ok_or("revision")?,
            doc: self.doc,
            stamp: self.stamp.ok_or("stamp")?,
            by: self.by.ok_or("by")?,
            schema: self.schema.unwrap_or(1),
            group: self.group,
        }))
    }
}
