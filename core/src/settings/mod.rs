//! Settings: records of the reserved collection `$settings`, with defaults in code.
//!
//! What is stored is what a user has chosen, and nothing else: a default is never written, and so never synced. A field is
//! looked for from the narrowest [`Level`] to the broadest (device, user, workspace), and where none has it, the default holds.
//! Fields that this version does not know are kept as they are. Client and server judge by the same table ([`Field`]).

mod api_keys;
mod check;
mod client;
mod document;
mod fields;
mod layer_reader;
mod layers;
mod names;
mod room;
#[cfg(test)]
mod tests;
mod watch;

pub use api_keys::{ApiKeys, IssuedApiKey};
pub(crate) use check::describe;
pub use check::{FieldError, FieldRule, Refusal, check_event, check_values};
pub use client::SettingsClient;
pub use document::Settings;
pub use fields::{Field, Form, Kind, PREFERENCES, PROFILE};
pub(crate) use layer_reader::preference;
pub use layers::{Level, defaults, merged, overrides};
pub use names::{DEVICE, Document, GROUP, SETTINGS};
pub use room::StorageUse;
pub use watch::SettingsWatch;
