//! Where the server keeps scopes: the [`Store`] seam, its rows as plain data, and the SQLite backend.

mod accounts;
mod error;
mod figures;
mod rows;
mod seam;
mod sqlite;

pub use accounts::{ApiKeyRow, KeyChange, KeyHash, UsageRow, UserRow};
pub use error::StoreError;
pub use figures::{COMMIT_BUCKETS, Durations, StoreFigures};
pub(crate) use rows::canonical_text;
pub use rows::{
    AuditRow, ChangesQuery, CommitRow, DeviceRow, EpochRow, LogRow, NoteValues, PurgeRow, RecordRow, ScopeBatch,
    ScopeRow, Settled,
};
pub use seam::{Identity, ReadJob, ScopeKey, ScopeReads, ScopeTx, Store, Verdict, WriteJob, read, write};
pub use sqlite::{
    BackupReport, Chain, ChainEnd, Damage, DatabaseFile, Repair, Salvaged, SqliteOptions, SqliteStore, restore,
};
