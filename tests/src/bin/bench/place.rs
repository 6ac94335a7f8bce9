//! Where a run keeps its files, and the server that it runs against.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;
use unisono::Client;
use unisono::storage::{Durability, SqliteStorage};
use unisono::transport::HttpTransport;
use unisono_examples::server::{RunningServer, Server};

use crate::measure::Result;

/// A folder that is gone after the run.
pub struct Place {
    folder: TempDir,
    used: AtomicU32,
}

impl Place {
    /// Under `parent`, or beside this program: a system's temporary folder may be in memory, where a flush costs nothing.
    pub fn new(parent: Option<&Path>) -> Result<Self> {
        let beside = std::env::current_exe()?;
        let parent = parent.or(beside.parent()).unwrap_or(Path::new("."));
        Ok(Self { folder: tempfile::Builder::new().prefix("bench-").tempdir_in(parent)?, used: AtomicU32::new(0) })
    }

    /// A path that nothing has been put at.
    pub fn fresh(&self, what: &str) -> PathBuf {
        let number = self.used.fetch_add(1, Ordering::Relaxed);
        self.folder.path().join(format!("{what}-{number}"))
    }

    /// Starts a server with durability `full` on an empty database.
    pub async fn server(&self) -> Result<Backend> {
        let server = Server::new(Server::beside_this_program()?, self.fresh("server"))?;
        let running = server.start("127.0.0.1:0").await?;
        Ok(Backend { server, running })
    }
}

/// A server at work.
pub struct Backend {
    server: Server,
    running: RunningServer,
}

impl Backend {
    pub fn url(&self) -> &str {
        self.running.url()
    }

    pub async fn token(&self, account: &str) -> Result<String> {
        Ok(self.server.token(account).await?)
    }

    /// A client of `account` on a replica at `path`.
    pub async fn client(&self, account: &str, path: &Path) -> Result<Client> {
        let client = Client::builder()
            .storage(SqliteStorage::options().durability(Durability::Full).open(path)?)
            .transport(HttpTransport::new(self.url())?)
            .account(account)
            .token(self.token(account).await?)
            .build()
            .await?;
        Ok(client)
    }
}
