//! How the core's data types cross to Swift, Kotlin and Python (feature `uniffi`).
//!
//! Records and enums derive their crossing where they are declared. Here is what a derive cannot say: which types are text on
//! the other side, and the one small [`UnisonoError`]. Objects and callbacks are the binding crate's.
//!
//! Names, pointers and stamps cross as their text, a [`Value`] as its canonical JSON text. The other side parses that with
//! its own means, so that integers stay exact wherever its integers are; and what comes in passes [`parse_value`], so that
//! what some backend cannot hold ends in a typed error instead of being rounded.

use std::collections::{BTreeMap, BTreeSet, HashMap};
#[cfg(feature = "sqlite")]
use std::path::PathBuf;

use crate::clock::Stamp;
use crate::engine::ScopeStatus;
use crate::error::{Error, ErrorKind};
use crate::model::{
    CollectionName, DeviceId, EventId, GroupId, Pointer, RecordId, Revision, Scope, TextComponent, TextEdit, Value,
    parse_value, value,
};
use crate::query::Continuation;
use crate::settings::FieldError;

uniffi::setup_scaffolding!();

/// What the other languages raise or throw: all of [`Error`] that an app can act on.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum UnisonoError {
    /// A call failed.
    #[error("{detail} ({code})")]
    Failed {
        /// Which error it is: a stable code, for programs.
        code: String,
        /// The broad class.
        kind: ErrorKind,
        /// Whether the same call may succeed later without anyone changing anything; false unless known.
        retryable: bool,
        /// What happened, in words, without secrets.
        detail: String,
        /// Which fields do not fit, and what they may be, where a change of settings was refused (`settings_invalid`).
        fields: Vec<FieldError>,
    },
}

impl From<Error> for UnisonoError {
    fn from(error: Error) -> Self {
        Self::Failed {
            code: error.code().to_owned(),
            kind: error.kind(),
            retryable: error.retryable(),
            detail: error.to_string(),
            fields: error.fields().to_vec(),
        }
    }
}

/// Declares types that cross as their text.
macro_rules! text {
    ($($name:ident),+ $(,)?) => {
        $(uniffi::custom_type!($name, String, {
            try_lift: |text| Ok(text.parse::<$name>().map_err(UnisonoError::from)?),
            lower: |name| name.to_string(),
        });)+
    };
}

/// JNA, through which Kotlin calls, has a `Pointer` of its own.
type JsonPointer = Pointer;

text!(CollectionName, RecordId, DeviceId, EventId, GroupId, Scope, JsonPointer, Stamp);

uniffi::custom_type!(Continuation, String, {
    try_lift: |text| Ok(Continuation::from(text)),
    lower: |continuation| continuation.to_string(),
});

uniffi::custom_type!(Value, String, {
    remote,
    try_lift: |text| Ok(parse_value(&text).map_err(UnisonoError::from)?),
    lower: |value| json(&value),
});

/// The canonical text of a value.
fn json(value: &Value) -> String {
    // JSON is UTF-8; nothing is lost.
    String::from_utf8_lossy(&value::canonical(value)).into_owned()
}

uniffi::custom_newtype!(TextEdit, Vec<TextComponent>);

#[cfg(feature = "sqlite")]
uniffi::custom_type!(PathBuf, String, {
    remote,
    try_lift: |text| Ok(PathBuf::from(text)),
    lower: |path| path.to_string_lossy().into_owned(),
});

// UniFFI has neither `usize` nor ordered maps and sets. An alias gives the crossing its name.

type ListIndex = usize;
type ScopeStatuses = BTreeMap<Scope, ScopeStatus>;
type ValuesByPath = BTreeMap<Pointer, Value>;
type EditsByPath = BTreeMap<Pointer, TextEdit>;
type RevisionsByPath = BTreeMap<Pointer, Revision>;
type Paths = BTreeSet<Pointer>;

uniffi::custom_type!(ListIndex, u64, {
    remote,
    try_lift: |index| Ok(usize::try_from(index)?),
    lower: |index| index as u64,
});
uniffi::custom_type!(ScopeStatuses, HashMap<Scope, ScopeStatus>, {
    remote,
    try_lift: |map| Ok(map.into_iter().collect()),
    lower: |map| map.into_iter().collect(),
});
uniffi::custom_type!(ValuesByPath, HashMap<Pointer, Value>, {
    remote,
    try_lift: |map| Ok(map.into_iter().collect()),
    lower: |map| map.into_iter().collect(),
});
uniffi::custom_type!(EditsByPath, HashMap<Pointer, TextEdit>, {
    remote,
    try_lift: |map| Ok(map.into_iter().collect()),
    lower: |map| map.into_iter().collect(),
});
uniffi::custom_type!(RevisionsByPath, HashMap<Pointer, Revision>, {
    remote,
    try_lift: |map| Ok(map.into_iter().collect()),
    lower: |map| map.into_iter().collect(),
});
uniffi::custom_type!(Paths, Vec<Pointer>, {
    remote,
    try_lift: |paths| Ok(paths.into_iter().collect()),
    lower: |paths| paths.into_iter().collect(),
});
