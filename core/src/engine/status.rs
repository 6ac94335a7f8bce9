//! What the engine says of itself.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::cloud_sync::Withheld;
use crate::model::Scope;

/// The state of a scope's sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[serde(tag = "name", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SyncState {
    /// Switched off on this device, or paused.
    Disabled,
    /// Nothing is under way. With background sync, nothing is to do until the next interval or write.
    Idle,
    /// At work.
    Syncing,
    /// The server cannot be reached or refuses for now.
    Offline {
        /// Until the next try; `None` while the app says that there is no network.
        #[serde(rename = "next_try_ms", serialize_with = "milliseconds")]
        #[cfg_attr(feature = "wasm", tsify(type = "number | null"))]
        next_try: Option<Duration>,
    },
    /// A token is missing or was refused; the queue waits.
    AuthRequired,
    /// Membership ended; the scope's queue is sealed.
    ScopeLost,
    /// Something is wrong that waiting may not mend.
    Stalled {
        /// What.
        reason: String,
    },
}

impl SyncState {
    /// The stable name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Idle => "idle",
            Self::Syncing => "syncing",
            Self::Offline { .. } => "offline",
            Self::AuthRequired => "auth_required",
            Self::ScopeLost => "scope_lost",
            Self::Stalled { .. } => "stalled",
        }
    }
}

/// One scope's part of a [`Status`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify), tsify(missing_as_null))]
pub struct ScopeStatus {
    /// What it is doing.
    pub state: SyncState,
    /// The first sync is complete.
    pub complete: bool,
    /// The replica holds a state that the server had, whole groups included.
    pub consistent: bool,
    /// The pull's progress.
    pub progress: Progress,
    /// The last error, as `code: message`.
    pub last_error: Option<String>,
}

/// How far a pull has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify), tsify(missing_as_null))]
pub struct Progress {
    /// Changes pulled since the sync began.
    pub pulled: u64,
    /// Live records on the server, where known.
    pub total: Option<u64>,
}

/// The client's state at one moment. Reading it never touches disk or network.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify), tsify(missing_as_null))]
pub struct Status {
    /// The state of the scope that needs attention most; `idle` if none does.
    pub state: SyncState,
    /// Whether background sync was started. Without it, a scope that is `idle` stays as it is until the app syncs.
    pub started: bool,
    /// Why the user's settings hold back all but the settings themselves; `None` if they do not.
    pub withheld: Option<Withheld>,
    /// Unsettled events, parked ones not counted.
    pub pending: u64,
    /// Parked events.
    pub parked: u64,
    /// Bytes of all unsettled events.
    pub queued_bytes: u64,
    /// Server time minus device time, in milliseconds, once measured.
    pub clock_offset_ms: Option<i64>,
    /// Each scope.
    #[cfg_attr(feature = "wasm", tsify(type = "{ [scope: string]: ScopeStatus }"))]
    pub scopes: BTreeMap<Scope, ScopeStatus>,
}

#[expect(clippy::ref_option, reason = "serde's serialize_with passes a reference")]
fn milliseconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)).serialize(serializer)
}
