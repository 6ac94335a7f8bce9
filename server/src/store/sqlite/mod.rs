//! The store on SQLite: one file, one writer that shares its commits, readers on snapshots of their own.

mod accounts;
mod audit;
mod check;
mod connection;
mod files;
mod health;
#[cfg(feature = "testing")]
mod image;
mod operator;
mod queue;
mod reads;
mod salvage;
mod schema;
mod store;
mod table;
mod writer;
mod writes;

#[cfg(test)]
mod tests;

pub use audit::{Chain, ChainEnd};
pub use check::Damage;
pub use operator::{BackupReport, DatabaseFile, restore};
pub use salvage::{Repair, Salvaged};
pub use store::{SqliteOptions, SqliteStore};
