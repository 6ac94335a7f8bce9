//! `POST /sync/events`.

use serde::{Deserialize, Serialize};

use super::Cursor;
use crate::model::{DeviceId, Receipt, Scope, SyncEvent};
use crate::reading;

/// A push. `E` is [`SyncEvent`] at the client; the server first reads raw JSON, so that one malformed event harms no other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushRequest<E = SyncEvent> {
    /// The scope that the events belong to.
    pub scope: Scope,
    /// Whose replica this is; must be the credential's subject.
    pub account: String,
    /// The server history that the replica follows; `null` before the first answer.
    pub epoch: Option<String>,
    /// The pushing device.
    pub device_id: DeviceId,
    /// Strictly increasing per (device, scope); repeated only with the same events.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub push_seq: u64,
    /// Where the replica's pull stands.
    pub cursor: Option<Cursor>,
    /// The latest commit of which this replica has evidence (a receipt may be newer than the cursor): proof that the server
    /// was restored from an older copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Cursor>,
    /// The device's corrected clock, in milliseconds.
    pub device_now: u64,
    /// The events, in queue order; the members of a group stand together.
    pub events: Vec<E>,
}

/// The answer to a push.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushResponse {
    /// The server's clock, in milliseconds.
    pub server_now: u64,
    /// The server's identity.
    pub server_id: String,
    /// The server history.
    pub epoch: String,
    /// Where the pull may go on; present only if every revision after the request's cursor was made by this push and all
    /// its records (notes included) are in the receipts or follow from them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// The scope's newest commit, as evidence for later requests' `seen`.
    pub head: Cursor,
    /// The push of this device that the history holds before this one; 0 if there is none, absent if the server does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_push_seq: Option<u64>,
    /// One receipt per event, in request order.
    pub receipts: Vec<Receipt>,
}

reading::fields!(PushResponse {
    server_now, server_id, epoch, cursor = None, head, previous_push_seq = None, receipts,
});
