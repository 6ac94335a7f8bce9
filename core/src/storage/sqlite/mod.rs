//! SQLite: a replica in one file.

mod commit_queue;
mod error;
mod folder;
mod inspect;
mod lock;
mod options;
mod process;
mod read;
mod schema;
mod session;
mod sql;
mod store;
#[cfg(test)]
mod tests;
mod write;

pub use options::SqliteOptions;
pub use store::SqliteStorage;
