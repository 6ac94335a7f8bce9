//! What a client tells its app, beside the records themselves.

use serde::Serialize;

use crate::engine::{Progress, SyncReport, SyncState};
use crate::model::{EventId, RecordKey, Scope};
use crate::replica::Notice;
use crate::replica::rows::Outcome;

/// Something happened. Delivered when the app asks for the next one, never inside one of its calls.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClientEvent {
    /// A scope's sync state changed.
    State {
        /// The scope.
        scope: Scope,
        /// The new state.
        state: SyncState,
    },
    /// A pull moved on.
    Progress {
        /// The scope.
        scope: Scope,
        /// How far.
        progress: Progress,
    },
    /// A sync of a scope ended well.
    Synced {
        /// The scope.
        scope: Scope,
        /// What it did.
        report: SyncReport,
    },
    /// A record's view changed.
    Changed {
        /// The scope.
        scope: Scope,
        /// The record.
        key: RecordKey,
    },
    /// All records of a scope may have changed.
    Reset {
        /// The scope.
        scope: Scope,
    },
    /// An event was accepted, or its outcome changed.
    Event {
        /// The scope.
        scope: Scope,
        /// The event.
        id: EventId,
        /// Its record.
        key: RecordKey,
        /// What became of it.
        outcome: Outcome,
    },
    /// A part of the replica differed from the server and was repaired.
    Repaired {
        /// The scope.
        scope: Scope,
        /// The digest bucket.
        bucket: u8,
    },
    /// The client was closed; nothing follows.
    Closed,
    /// Events were lost because the app did not keep up; what interests it must be read anew.
    Lagged,
}

impl From<&Notice> for ClientEvent {
    fn from(notice: &Notice) -> Self {
        match notice.clone() {
            Notice::Record { scope, key, .. } => Self::Changed { scope, key },
            Notice::Reset { scope } => Self::Reset { scope },
            Notice::Event { scope, id, key, outcome } => Self::Event { scope, id, key, outcome },
            Notice::Repaired { scope, bucket } => Self::Repaired { scope, bucket },
            Notice::Closed => Self::Closed,
        }
    }
}
