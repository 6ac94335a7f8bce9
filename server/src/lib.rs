//! The companion server of Unisono.
//!
//! [`app`] makes an axum router of a [`sync::SyncService`] and an [`auth::Authenticator`]; [`net::serve`] serves it with
//! bounded connections and a graceful end. The `unisono-server` program is a thin command line over both. The service keeps
//! its scopes in a [`store::Store`]; [`loopback::LoopbackTransport`] reaches it from the same process, without HTTP.
#![deny(missing_docs)]

mod api_keys;
mod app;
pub mod auth;
mod body;
mod head;
pub mod limits;
pub mod loopback;
pub mod net;
mod problem;
pub mod rate;
mod routes;
#[cfg(feature = "testing")]
pub mod simulation;
pub mod store;
pub mod sync;
pub mod telemetry;
#[cfg(test)]
mod testing;

pub use app::{AppOptions, Apps, app, apps};
pub use loopback::LoopbackTransport;
pub use store::{SqliteOptions, SqliteStore, Store, StoreError};
pub use sync::{
    Feed, GarbageReport, Principal, ServiceOptions, SettingsEdit, SettingsState, SettingsWrite, Storage, SyncService,
};
