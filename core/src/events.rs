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
    /// Events were lost, because the app did not keep up or began to listen while they happened; what interests it must be
    /// read anew.
    Lagged,
}

impl ClientEvent {
    /// What a notice tells the app; `None` for a revision that moved under a view that stayed.
    pub(crate) fn of(notice: &Notice) -> Option<Self> {
        Some(match notice {
            Notice::Revised { .. } => return None,
            Notice::Record { scope, key, .. } => Self::Changed { scope: scope.clone(), key: key.clone() },
            Notice::Reset { scope } => Self::Reset { scope: scope.clone() },
            Notice::Event { scope, id, key, outcome } => {
                Self::Event { scope: scope.clone(), id: id.clone(), key: key.clone(), outcome: outcome.clone() }
            }
            Notice::Repaired { scope, bucket } => Self::Repaired { scope: scope.clone(), bucket: *bucket },
            Notice::Missed => Self::Lagged,
            Notice::Closed => Self::Closed,
        })
    }
}
