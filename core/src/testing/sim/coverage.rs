//! What runs have met: every kind of fault, and every error that an app can see. A gate that runs many seeds requires all of
//! them, so that a fault which is never injected, or an error that nobody can provoke any more, does not go unnoticed.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Error, InvalidCode};
use crate::storage::StorageError;
use crate::transport::TransportError;

/// How often each thing was met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    counts: BTreeMap<String, u64>,
}

impl Coverage {
    /// Counts one.
    pub fn hit(&mut self, name: impl Into<String>) {
        *self.counts.entry(name.into()).or_default() += 1;
    }

    /// Counts an error that an app's call returned.
    pub fn error(&mut self, error: &Error) {
        self.hit(format!("error/{}", variant(error)));
    }

    /// Adds what another run has met.
    pub fn add(&mut self, other: &Self) {
        for (name, count) in &other.counts {
            *self.counts.entry(name.clone()).or_default() += count;
        }
    }

    /// What was met, by name.
    #[must_use]
    pub fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }

    /// A refusal or a verdict that no sound replica and server meet.
    #[must_use]
    pub fn unexpected(&self) -> Option<&str> {
        let expected = required();
        let of_servers = |name: &&String| name.starts_with("parked/") || name.starts_with("answer/");
        self.counts.keys().filter(of_servers).find(|name| !expected.contains(name)).map(String::as_str)
    }

    /// What has to be met, and was not.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        required().into_iter().filter(|name| !self.counts.contains_key(name)).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts.iter().try_for_each(|(name, count)| writeln!(f, "{count:>9}  {name}"))
    }
}

/// Every kind of fault, and every error, refusal and verdict but the [`UNREACHABLE`] ones.
#[must_use]
pub fn required() -> Vec<String> {
    const FAULTS: [&str; 55] = [
        "network/drop_request",
        "network/drop_response",
        "network/duplicate",
        "network/late",
        "network/delay",
        "network/garble",
        "network/cut",
        "network/truncate",
        "network/hang",
        "network/status_500",
        "network/status_503",
        "network/status_400",
        "network/status_401",
        "network/status_403",
        "network/status_404",
        "network/status_409",
        "network/status_413",
        "network/status_422",
        "network/status_after_acting",
        "network/too_many_requests",
        "network/kill_server",
        "device/crash",
        "device/crash_before_write",
        "device/crash_after_write",
        "device/power_loss",
        "device/power_loss_of_writes",
        "device/suspend",
        "device/resume",
        "device/jump_clock",
        "device/freeze_clock",
        "device/thaw_clock",
        "device/fill_disk",
        "device/empty_disk",
        "device/fail_disk",
        "device/lose_store",
        "device/copy_store",
        "device/restore_copy",
        "device/go_offline",
        "device/go_online",
        "device/tell_network",
        "device/expire_tokens",
        "device/close_wallet",
        "device/switch_account",
        "device/set_enabled",
        "device/intrude",
        "device/expel",
        "device/admit",
        "device/damage",
        "device/damage_repaired",
        "device/reopen",
        "server/kill",
        "server/backup",
        "server/restore",
        "server/collect_garbage",
        "server/attack",
    ];
    let invalid = INVALID.iter().map(|code| code.as_str());
    let faults = FAULTS.iter().map(|name| (*name).to_owned());
    let errors = ERRORS.iter().copied().chain(invalid).map(|code| format!("error/{code}"));
    let parked = PARKED.iter().map(|code| format!("parked/{code}"));
    let answers = ANSWERS.iter().map(|code| format!("answer/{code}"));
    faults.chain(errors).chain(parked).chain(answers).collect()
}

/// Why events are parked.
const PARKED: [&str; 5] = ["conflict", "type_mismatch", "http_413", "uncertain", "skipped"];

/// What the server says of a request as a whole.
const ANSWERS: [&str; 5] = ["auth_required", "epoch_changed", "cursor_expired", "device_forked", "scope_not_found"];

/// What no run meets, and why. A run that meets such a refusal or verdict fails.
pub const UNREACHABLE: [(&str, &str); 16] = [
    ("error/internal", "a defect: it fails the run"),
    ("error/storage_stale", "the core reads again and retries; it never reaches an app"),
    ("error/offline", "no app of a simulation asks for API keys, which only a server has"),
    ("error/invalid_event", "of the wire: no call of an app makes such an event"),
    ("error/invalid_stamp", "of the wire: no call of an app takes a stamp"),
    ("error/answer_too_long", "the simulated server's answers are short"),
    ("parked/id_reused", "no sound replica sends other content under an id"),
    ("parked/invalid_base", "no sound replica names a revision that the server never gave out"),
    ("parked/invalid_event", "as error/invalid_event"),
    ("parked/reserved_name", "the call is refused before"),
    ("parked/unsupported", "the core writes nothing that its own server does not take"),
    ("answer/identity_mismatch", "a client compares whose its token is before it sends anything"),
    ("answer/push_too_large", "pushes are cut below the server's limit; the network's 413 stands for a proxy's"),
    ("answer/malformed_event", "of the wire"),
    ("answer/invalid_request", "of the wire"),
    ("answer/invalid_cursor", "cursors are the server's own, and survive its restarts"),
];

/// The errors that a run can provoke, by [`variant`].
const ERRORS: [&str; 24] = [
    "not_found",
    "already_exists",
    "event_state",
    "queue_full",
    "identity_mismatch",
    "sealed",
    "scope_lost",
    "disabled",
    "closed",
    "auth_required",
    "deadline",
    "storage_full",
    "already_open",
    "newer_schema",
    "not_a_replica",
    "storage_corrupt",
    "storage_unavailable",
    "suspended",
    "storage_closed",
    "storage_io",
    "unreachable",
    "problem",
    "malformed_answer",
    "protocol",
];

/// The rules that an app's input can break.
const INVALID: [InvalidCode; 19] = [
    InvalidCode::Id,
    InvalidCode::ReservedName,
    InvalidCode::Pointer,
    InvalidCode::PointerIntoArray,
    InvalidCode::Key,
    InvalidCode::Json,
    InvalidCode::Number,
    InvalidCode::LoneSurrogate,
    InvalidCode::NulCharacter,
    InvalidCode::NestingTooDeep,
    InvalidCode::DocumentTooLarge,
    InvalidCode::PushTooLarge,
    InvalidCode::NotAnObject,
    InvalidCode::Patch,
    InvalidCode::TextEdit,
    InvalidCode::TypeMismatch,
    InvalidCode::Transaction,
    InvalidCode::Query,
    InvalidCode::Config,
];

/// The name of an error's variant. Written without a catch-all, so that a new variant does not compile until somebody says
/// how it is provoked.
fn variant(error: &Error) -> &'static str {
    match error {
        Error::Invalid { code, .. } => code.as_str(),
        Error::Settings(_) => "settings_invalid",
        Error::NotFound(_) => "not_found",
        Error::AlreadyExists(_) => "already_exists",
        Error::Event { .. } => "event_state",
        Error::QueueFull { .. } => "queue_full",
        Error::IdentityMismatch { .. } => "identity_mismatch",
        Error::Sealed => "sealed",
        Error::ScopeLost(_) => "scope_lost",
        Error::Disabled => "disabled",
        Error::Closed => "closed",
        Error::Auth(_) | Error::NoToken(_) => "auth_required",
        Error::Deadline(_) => "deadline",
        Error::Offline(_) => "offline",
        Error::Storage(error) => match error {
            StorageError::NotLoaded => "storage_not_loaded",
            StorageError::Full(_) => "storage_full",
            StorageError::AlreadyOpen(_) => "already_open",
            StorageError::NewerSchema { .. } => "newer_schema",
            StorageError::Foreign(_) => "not_a_replica",
            StorageError::Corrupt(_) => "storage_corrupt",
            StorageError::Unavailable(_) => "storage_unavailable",
            StorageError::Suspended => "suspended",
            StorageError::Closed(_) => "storage_closed",
            StorageError::Io(_) => "storage_io",
        },
        Error::Transport(error) => match error {
            TransportError::Unreachable(_) => "unreachable",
            TransportError::Problem(_) => "problem",
            TransportError::Malformed(_) => "malformed_answer",
            TransportError::TooLong { .. } => "answer_too_long",
        },
        Error::Protocol(_) => "protocol",
        Error::Internal(_) => "internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_be_met_and_what_cannot_be_are_apart_and_named_once() {
        let mut names = required();
        names.extend(UNREACHABLE.iter().map(|(name, _)| (*name).to_owned()));
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(UNREACHABLE.iter().all(|(_, why)| !why.is_empty()));
    }

    #[test]
    fn nothing_met_is_everything_missing_and_what_was_met_is_not() {
        let mut coverage = Coverage::default();
        assert_eq!(coverage.missing(), required());
        coverage.error(&Error::Disabled);
        let mut other = Coverage::default();
        other.hit("network/hang");
        coverage.add(&other);
        assert_eq!(coverage.missing().len(), required().len() - 2);
    }
}
