//! Where the server keeps scopes: the [`Store`] seam, its rows as plain data, and the SQLite backend.

mod error;
mod rows;
mod seam;
mod sqlite;

pub use error::StoreError;
pub use rows::{
    AuditRow, ChangesQuery, CommitRow, DeviceRow, EpochRow, LogRow, PurgeRow, RecordRow, ScopeBatch, ScopeRow, Settled,
};
pub use seam::{ReadJob, ScopeKey, ScopeReads, ScopeTx, Store, Verdict, WriteJob, read, write};
pub use sqlite::{SqliteOptions, SqliteStore};
