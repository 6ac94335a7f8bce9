//! Unisono: embeddable, offline-first sync.
//!
//! An app writes to a local replica and goes on working with no network; every device and the server end in unison.
#![deny(missing_docs)]

pub mod client;
pub mod clock;
mod collections;
#[cfg(not(feature = "testing"))]
mod concurrency;
#[cfg(feature = "testing")]
pub mod concurrency;
pub mod engine;
pub mod environment;
pub mod error;
pub mod events;
#[cfg(feature = "uniffi")]
mod foreign;
pub mod limits;
pub mod merge;
pub mod model;
#[cfg(feature = "openapi")]
mod openapi;
pub mod platform;
pub mod protocol;
pub mod query;
pub mod queue;
mod reading;
pub mod recovery;
pub mod replica;
pub mod settings;
pub mod storage;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod transport;

pub use client::{Client, ClientBuilder, Collection};
pub use environment::Environment;
pub use error::{Error, ErrorKind, Result};
#[cfg(feature = "uniffi")]
pub use foreign::{UniFfiTag, UnisonoError};
#[cfg(feature = "native")]
pub use platform::TokioEnvironment;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub use platform::WebEnvironment;
pub use settings::SettingsClient;
