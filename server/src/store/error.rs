//! What can go wrong in a store, and what a client is told of it.

use unisono::protocol::{Problem, ProblemCode};
use unisono::storage::StorageError;

use crate::problem::overloaded;

/// Seconds after which a client may try again when the store is in trouble.
const RETRY_AFTER: u64 = 5;

/// A store's failure. Nothing of the job that met it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the database open.
    #[error("the database {0} is open in another process")]
    AlreadyOpen(String),
    /// The database was written by a newer server.
    #[error("the database has schema version {found}; this build knows up to {known}")]
    NewerSchema {
        /// The file's version.
        found: i64,
        /// This build's version.
        known: i64,
    },
    /// The medium is full.
    #[error("the database's medium is full: {0}")]
    Full(String),
    /// The content is damaged, or not what this build wrote.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// Reading or writing failed.
    #[error("the database failed: {0}")]
    Io(String),
    /// Too many jobs wait already.
    #[error("the database has too much to do")]
    Busy,
    /// The store was closed.
    #[error("the database is closed")]
    Closed,
    /// A defect in the server; the job was rolled back.
    #[error("a job on the database failed: {0}")]
    Internal(String),
}

impl StoreError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::AlreadyOpen(_) => "already_open",
            Self::NewerSchema { .. } => "newer_schema",
            Self::Full(_) => "storage_full",
            Self::Corrupt(_) => "storage_corrupt",
            Self::Io(_) => "storage_io",
            Self::Busy => "busy",
            Self::Closed => "closed",
            Self::Internal(_) => "internal",
        }
    }

    /// That the server is not ready, with the reason, which is for whoever can ask.
    pub(crate) fn unready(&self) -> Problem {
        Problem { status: 503, ..unavailable(self.told(), "the server cannot serve") }.detail(self.to_string())
    }

    /// What a client is told.
    fn told(&self) -> ProblemCode {
        match self {
            Self::Full(_) => ProblemCode::StorageFull,
            Self::Corrupt(_) => ProblemCode::StorageCorrupt,
            Self::Internal(_) => ProblemCode::Internal,
            Self::Busy => ProblemCode::Unavailable,
            Self::Closed => ProblemCode::ShuttingDown,
            Self::AlreadyOpen(_) | Self::NewerSchema { .. } | Self::Io(_) => ProblemCode::StorageIo,
        }
    }
}

impl From<StorageError> for StoreError {
    /// Of what the client's and the server's SQLite have in common.
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Full(text) => Self::Full(text),
            other => Self::Io(other.to_string()),
        }
    }
}

impl From<StoreError> for Problem {
    /// The operator reads the particulars in the log; the client learns only whether to come back.
    fn from(error: StoreError) -> Self {
        if !matches!(error, StoreError::Closed | StoreError::Busy) {
            tracing::error!(code = error.code(), cause = %error, "the database failed a request");
        }
        match error {
            StoreError::Corrupt(_) | StoreError::Internal(_) => Problem::of(error.told(), "the server failed"),
            StoreError::Busy => overloaded(),
            StoreError::Closed => unavailable(error.told(), "the server is shutting down"),
            _ => unavailable(error.told(), "the server's database is unavailable"),
        }
    }
}

fn unavailable(code: ProblemCode, title: &str) -> Problem {
    Problem { retry_after: Some(RETRY_AFTER), ..Problem::of(code, title) }
}
