//! The sync service: what a push does, what a pull tells.

mod accounts;
mod age;
mod answer;
mod api_keys;
mod caller;
mod cursor_key;
mod draft;
mod effect;
mod feed;
mod garbage;
mod hints;
mod history;
mod inbox;
mod intake;
mod judge;
mod lost_values;
mod maintenance;
mod principal;
mod push;
mod refusals;
mod repair;
mod replay;
mod service;
mod settings;
mod token;
mod users;
mod verify;

pub(crate) use api_keys::KeyGrant;
pub use api_keys::{KeyDraft, KeyRights, KeyWithSecret, MAX_API_KEYS, MAX_OVERLAP};
pub use feed::Feed;
pub use garbage::GarbageReport;
pub use hints::HintReader;
pub use principal::Principal;
pub use repair::{Repaired, repair};
pub use replay::replay;
pub use service::{Counts, ServiceOptions, SyncService};
pub use settings::{SettingsEdit, SettingsState, SettingsWrite};
#[cfg(feature = "testing")]
pub(crate) use token::forged as forged_cursor;
pub use users::Storage;
pub use verify::verify;
