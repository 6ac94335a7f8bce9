//! SQLite: a replica in one file.

pub mod checksum;
pub mod durable;
mod error;
mod frames;
mod inspect;
mod lock;
mod log;
mod mark;
mod options;
mod process;
mod quarantine;
mod read;
mod salvage;
mod schema;
mod session;
mod sql;
mod store;
#[cfg(test)]
mod tests;
mod write;

pub use options::SqliteOptions;
pub use store::SqliteStorage;

pub(crate) use quarantine::Quarantine;
pub(crate) use salvage::salvage;
pub(crate) use store::take;
