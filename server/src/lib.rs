//! Unisono's companion server.

pub mod store;
pub mod sync;

pub use store::{SqliteOptions, SqliteStore, Store, StoreError};
pub use sync::{Feed, GarbageReport, Principal, ServiceOptions, SyncService};
