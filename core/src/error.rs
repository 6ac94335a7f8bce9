//! Errors: rich inside, small outside.
//!
//! [`Error`] tells the core everything; an app reads [`code`](Error::code) (stable, for programs), [`kind`](Error::kind)
//! (for broad handling), [`retryable`](Error::retryable) and the message. Codes never change their meaning. Messages hold
//! no secrets: tokens are never formatted into one.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::model::EventId;
use crate::storage::StorageError;
use crate::transport::TransportError;

/// The result of most calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in the SDK.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller's input was refused; nothing was written.
    #[error("{message}")]
    Invalid {
        /// Which rule it broke.
        code: InvalidCode,
        /// The rule in words.
        message: String,
    },
    /// Values of settings that do not fit their fields; nothing was written.
    #[error("{}", crate::settings::describe(.0))]
    Settings(Vec<crate::settings::FieldError>),
    /// There is no such live record.
    #[error("there is no record {0}")]
    NotFound(String),
    /// A record of this name is already alive.
    #[error("the record {0} exists already")]
    AlreadyExists(String),
    /// There is no such event in this replica, or it is not in a state that allows the call.
    #[error("event {id}: {why}")]
    Event {
        /// The event.
        id: EventId,
        /// Why the call is not possible.
        why: &'static str,
    },
    /// The queue's limit of events or bytes is reached; nothing was dropped, this write was not made.
    #[error("the offline queue is full ({events} events, {bytes} bytes)")]
    QueueFull {
        /// Unsettled events.
        events: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// The replica belongs to another account or server.
    #[error("the replica belongs to {expected}, not to {found}")]
    IdentityMismatch {
        /// Whose it is.
        expected: String,
        /// Who asked.
        found: String,
    },
    /// The replica was sealed by sign-out; it opens again with a token of the same account.
    #[error("the replica is sealed since its account signed out: open it with a token of that account")]
    Sealed,
    /// The scope was lost (membership ended); its queue is sealed.
    #[error(
        "the scope {0} is lost: the server says that this account is no member. What is unsent is kept; give a new token, or \
         subscribe to it, once the account is let in again"
    )]
    ScopeLost(String),
    /// Sync is switched off on this device.
    #[error("sync is disabled")]
    Disabled,
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
    /// Credentials are missing, expired or refused.
    #[error("authentication is required: {0}")]
    Auth(String),
    /// The source of tokens gave none.
    #[error("authentication is required: {0}")]
    NoToken(String),
    /// The deadline of the call passed.
    #[error("the deadline of {} s passed", .0.as_secs_f64())]
    Deadline(Duration),
    /// Only a server can answer the call, and none can be reached. Calls that wait for no network never end so.
    #[error("this needs the network: {0}")]
    Offline(String),
    /// The local store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The network or the server failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The server broke the protocol.
    #[error("the server's answer breaks the protocol: {0}")]
    Protocol(String),
    /// A defect in the SDK.
    #[error("internal error: {0}")]
    Internal(String),
}

/// Broad classes of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The server cannot be reached or is overloaded.
    Offline,
    /// Credentials or permissions.
    Auth,
    /// The server refused an event or a request for good.
    Rejected,
    /// The present state forbids it.
    Conflict,
    /// The local store.
    Storage,
    /// The caller's input.
    Invalid,
    /// The client or the replica is closed.
    Closed,
    /// A defect.
    Internal,
}

impl ErrorKind {
    /// The stable name (`offline`, `auth`, …).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Auth => "auth",
            Self::Rejected => "rejected",
            Self::Conflict => "conflict",
            Self::Storage => "storage",
            Self::Invalid => "invalid",
            Self::Closed => "closed",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The rule that refused input broke. The variant's code is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidCode {
    /// A name is empty, too long or contains U+0000.
    Id,
    /// A name or key is reserved for Unisono.
    ReservedName,
    /// Not a JSON Pointer to a field.
    Pointer,
    /// A pointer leads into an array.
    PointerIntoArray,
    /// An object key is too long.
    Key,
    /// Not JSON.
    Json,
    /// A number that no backend can hold: NaN, infinite, or an integer beyond 64 bits.
    Number,
    /// A lone surrogate in a string.
    LoneSurrogate,
    /// U+0000 in a string.
    NulCharacter,
    /// Nested too deeply.
    NestingTooDeep,
    /// Larger than a document may be.
    DocumentTooLarge,
    /// Larger, as an event, than a push may be.
    PushTooLarge,
    /// A record that is not a JSON object.
    NotAnObject,
    /// Not a merge patch.
    Patch,
    /// A malformed text edit.
    TextEdit,
    /// The operation does not fit the value's type, or overflows.
    TypeMismatch,
    /// An event whose parts do not fit its action.
    EventShape,
    /// A stamp that cannot be read.
    Stamp,
    /// The read that a write names is one of another record.
    Seen,
    /// A transaction that is empty, too large, or mixes scopes.
    Transaction,
    /// A query that cannot be run.
    Query,
    /// Options that do not fit together.
    Config,
}

impl InvalidCode {
    /// The stable code.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Id => "invalid_id",
            Self::ReservedName => "reserved_name",
            Self::Pointer => "invalid_pointer",
            Self::PointerIntoArray => "pointer_into_array",
            Self::Key => "invalid_key",
            Self::Json => "invalid_json",
            Self::Number => "invalid_number",
            Self::LoneSurrogate => "lone_surrogate",
            Self::NulCharacter => "nul_character",
            Self::NestingTooDeep => "nesting_too_deep",
            Self::DocumentTooLarge => "document_too_large",
            Self::PushTooLarge => "push_too_large",
            Self::NotAnObject => "not_an_object",
            Self::Patch => "invalid_patch",
            Self::TextEdit => "invalid_text_edit",
            Self::TypeMismatch => "type_mismatch",
            Self::EventShape => "invalid_event",
            Self::Stamp => "invalid_stamp",
            Self::Seen => "invalid_seen",
            Self::Transaction => "invalid_transaction",
            Self::Query => "invalid_query",
            Self::Config => "invalid_config",
        }
    }
}

impl Error {
    /// Refused input.
    pub fn invalid(code: InvalidCode, message: impl Into<String>) -> Self {
        Self::Invalid { code, message: message.into() }
    }

    /// The stable code, for programs.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Invalid { code, .. } => code.as_str(),
            Self::Settings(_) => "settings_invalid",
            Self::NotFound(_) => "not_found",
            Self::AlreadyExists(_) => "already_exists",
            Self::Event { .. } => "event_state",
            Self::QueueFull { .. } => "queue_full",
            Self::IdentityMismatch { .. } => "identity_mismatch",
            Self::Sealed => "sealed",
            Self::ScopeLost(_) => "scope_lost",
            Self::Disabled => "disabled",
            Self::Closed => "closed",
            Self::Auth(_) | Self::NoToken(_) => "auth_required",
            Self::Deadline(_) => "deadline",
            Self::Offline(_) => "offline",
            Self::Storage(error) => error.code(),
            Self::Transport(error) => error.code(),
            Self::Protocol(_) => "protocol",
            Self::Internal(_) => "internal",
        }
    }

    /// The broad class.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid { .. } | Self::Settings(_) => ErrorKind::Invalid,
            Self::NotFound(_) | Self::AlreadyExists(_) | Self::Event { .. } | Self::Disabled => ErrorKind::Conflict,
            Self::QueueFull { .. } => ErrorKind::Storage,
            Self::IdentityMismatch { .. } | Self::ScopeLost(_) | Self::Auth(_) | Self::NoToken(_) => ErrorKind::Auth,
            Self::Sealed | Self::Closed => ErrorKind::Closed,
            Self::Deadline(_) | Self::Offline(_) => ErrorKind::Offline,
            Self::Storage(_) => ErrorKind::Storage,
            Self::Transport(error) => error.kind(),
            Self::Protocol(_) | Self::Internal(_) => ErrorKind::Internal,
        }
    }

    /// Which fields do not fit, and what they may be; none but of a change of settings (`settings_invalid`).
    #[must_use]
    pub fn fields(&self) -> &[crate::settings::FieldError] {
        match self {
            Self::Settings(fields) => fields,
            _ => &[],
        }
    }

    /// Whether the same call may succeed later without anyone changing anything; `false` unless known.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Deadline(_) | Self::Offline(_) => true,
            Self::Storage(error) => error.retryable(),
            Self::Transport(error) => error.retryable(),
            _ => false,
        }
    }
}
