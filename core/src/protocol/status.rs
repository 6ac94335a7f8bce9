//! The small requests: status, digest, statistics, switches.

use serde::{Deserialize, Serialize};

use super::Cursor;
use crate::model::Revision;
use crate::reading;

/// `GET /sync/status?scope`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatusResponse {
    /// The server's clock, in milliseconds.
    pub server_now: u64,
    /// The server's identity.
    pub server_id: String,
    /// The credential's subject.
    pub account: String,
    /// Oldest and newest protocol version that the server speaks.
    pub protocol: (u32, u32),
    /// The scope's history; absent while nothing was ever written to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// The scope's newest revision.
    pub revision: Revision,
    /// Whether the account has sync switched on.
    pub enabled: bool,
}

reading::fields!(StatusResponse { server_now, server_id, account, protocol, epoch = None, revision, enabled });

/// `GET /sync/digest?scope`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DigestResponse {
    /// The history.
    pub epoch: String,
    /// The position that the digest describes.
    pub cursor: Cursor,
    /// The revision that the digest describes.
    pub revision: Revision,
    /// Digest over all live records, 32 hex digits.
    pub total: String,
    /// The same per bucket: [`crate::limits::DIGEST_BUCKETS`] entries.
    pub buckets: Vec<String>,
}

reading::fields!(DigestResponse { epoch, cursor, revision, total, buckets });

/// `GET /sync/stats?scope`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatsResponse {
    /// Live records.
    pub records: u64,
    /// Kept tombstones.
    pub tombstones: u64,
    /// Canonical bytes of the live records.
    pub bytes: u64,
    /// Events in the log.
    pub events: u64,
    /// Open conflict notes.
    pub conflicts: u64,
    /// Devices that have pushed.
    pub devices: u64,
    /// The newest revision.
    pub revision: Revision,
}

/// Answer to `POST /sync/enable`, `/sync/disable` and `/sync/now`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SyncSwitch {
    /// Whether the account has sync switched on.
    pub enabled: bool,
    /// Connected devices that were told.
    pub notified: u64,
}
