//! The store on SQLite: one file, one writer that shares its commits, readers on snapshots of their own.

mod connection;
#[cfg(feature = "testing")]
mod image;
mod reads;
mod schema;
mod store;
mod writer;
mod writes;

#[cfg(test)]
mod tests;

pub use store::{SqliteOptions, SqliteStore};
