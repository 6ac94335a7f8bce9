//! Unisono for Swift, Kotlin and Python.
//!
//! The crate holds the objects that the other languages call and the callbacks that they implement. It has no sync logic, and
//! no data types but its own options: those are the core's (feature `uniffi` of `unisono`), so that each is written once.
//!
//! # Promises
//! - **No caller's thread waits for a disk or a network.** Every `async` call runs on one runtime of this crate
//!   (`executor.rs`); the caller's executor only takes the result. Plain calls touch memory alone.
//! - **Dropping a call cancels it.** What it had committed stays committed; a cancelled write was made entirely or not.
//! - **The app's code is called on a thread of its own**, never inside one of the app's calls and never under a lock: a
//!   callback may call the client, fail, or take its time.
//! - **Errors are one type** with a code, a kind and whether to retry; a panic ends in `internal`, in no other language.
//! - **After a fork the child's copies of a client are closed.** The child may open clients of its own.

mod api_keys;
mod callback;
mod client;
mod collection;
mod edit;
mod environment;
mod events;
mod executor;
mod gate;
mod options;
mod recovery;
mod settings;
mod stream;
mod tokens;
mod watch;

pub use api_keys::{ApiKeys, IssuedApiKey, Secret};
pub use callback::CallbackError;
pub use client::{Client, Workspace};
pub use collection::{Collection, Document};
pub use edit::Edit;
pub use events::{EventListener, EventStream, Subscription};
pub use executor::shut_down;
pub use options::{ClientOptions, IndexOptions};
pub use recovery::recover;
pub use settings::{Settings, SettingsClient, SettingsWatch};
pub use tokens::{TokenRequest, TokenSource};
pub use watch::Watch;

use unisono::UnisonoError;
use unisono::model::Value;

/// What the calls of this crate return.
pub type Result<T, E = UnisonoError> = std::result::Result<T, E>;

uniffi::setup_scaffolding!();
uniffi::use_remote_type!(unisono::Value);
