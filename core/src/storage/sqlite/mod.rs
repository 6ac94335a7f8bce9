//! SQLite.

/// Keeps a replica in an SQLite file.
#[derive(Debug)]
pub struct SqliteStorage;
