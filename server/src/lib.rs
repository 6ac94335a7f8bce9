//! The companion server of Unisono.
//!
//! [`app`] makes an axum router of a [`sync::SyncService`] and an [`auth::Authenticator`]; [`net::serve`] serves it with
//! bounded connections and a graceful end. The `unisono-server` program is a thin command line over both.
#![deny(missing_docs)]

mod app;
pub mod auth;
mod body;
pub mod limits;
pub mod net;
mod problem;
mod routes;
pub mod sync;
pub mod telemetry;
#[cfg(test)]
mod testing;

pub use app::{AppOptions, app};
