//! The data directory as the operator's commands use it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use unisono::TokioEnvironment;
use unisono::environment::SharedEnvironment;
use unisono_server::store::{DatabaseFile, SqliteOptions, SqliteStore, Store, StoreError};

use super::CliError;

/// The database's file in the data directory.
pub(super) const DATABASE: &str = "unisono.db";

#[derive(Debug, Args)]
pub(super) struct DataArgs {
    /// The data directory of the server.
    #[arg(long, value_name = "DIR", env = "UNISONO_DATA")]
    pub(super) data: PathBuf,
}

impl DataArgs {
    pub(super) fn database(&self) -> PathBuf {
        self.data.join(DATABASE)
    }

    /// The database, to be read; a server may be running on it.
    pub(super) fn read(&self) -> Result<DatabaseFile, CliError> {
        DatabaseFile::open(&self.database()).map_err(|error| self.failed(error))
    }

    /// The database, to be written: no server may be running on it.
    pub(super) async fn write(&self) -> Result<(SqliteStore, SharedEnvironment), CliError> {
        drop(self.read()?);
        let environment: SharedEnvironment = Arc::new(TokioEnvironment);
        let open = || SqliteStore::open(self.database(), &SqliteOptions::default());
        let store = open().map_err(|error| self.failed(error))?;
        store.attach(Arc::clone(&environment)).await.map_err(|error| self.failed(error))?;
        Ok((store, environment))
    }

    pub(super) fn failed(&self, error: StoreError) -> CliError {
        CliError::open(self.data.clone(), error)
    }
}

/// A runtime for commands that need one.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Setup(format!("the runtime cannot be started: {error}")))?
        .block_on(work)
}

/// Writes a line to standard output.
pub(super) fn say(line: impl std::fmt::Display) -> Result<(), CliError> {
    writeln!(io::stdout(), "{line}").map_err(|error| CliError::Setup(format!("the output cannot be written: {error}")))
}

/// A file for this user alone, or standard output.
pub(super) fn output(path: Option<&Path>) -> Result<Box<dyn Write>, CliError> {
    let Some(path) = path else { return Ok(Box::new(io::stdout().lock())) };
    let mut options = std::fs::OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(|error| CliError::Output(path.to_owned(), error))?;
    Ok(Box::new(io::BufWriter::new(file)))
}
