//! The real service as the server of a simulation (feature `testing`).
//!
//! [`ServerHosting`] is what [`unisono::testing::sim`] runs its devices against: the sync service on SQLite in memory, whose
//! content outlives the process that is killed around it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use unisono::merge::LoggedWrite;
use unisono::model::{Revision, Scope};
use unisono::platform::BoxFuture;
use unisono::protocol::Cursor;
use unisono::testing::sim::{Access, Backup, Caller, Host, Hosting, Site};
use unisono::transport::Transport;

use crate::loopback::LoopbackTransport;
use crate::store::{ScopeReads, SqliteStore, StoreError, read};
use crate::sync::{Principal, ServiceOptions, SyncService, forged_cursor};

/// Opens servers for a simulation.
#[derive(Clone, Debug, Default)]
pub struct ServerHosting {
    /// How their services are opened, but for the age of backups, which each simulation decides.
    pub options: ServiceOptions,
}

impl Hosting for ServerHosting {
    fn open(&self, site: Site) -> BoxFuture<'_, Result<Arc<dyn Host>, String>> {
        Box::pin(async move {
            let store = SqliteStore::in_memory().map_err(in_words)?;
            let options = ServiceOptions { backup_age: site.backup_age, ..self.options.clone() };
            let process = Process::start(store, &site, &options).await?;
            let host = ServerHost { site, options, process: Mutex::new(process) };
            Ok(Arc::new(host) as Arc<dyn Host>)
        })
    }
}

/// A server of a simulation.
struct ServerHost {
    site: Site,
    options: ServiceOptions,
    process: Mutex<Process>,
}

/// What dies when the server is killed.
#[derive(Clone)]
struct Process {
    store: SqliteStore,
    service: SyncService,
}

impl Process {
    async fn start(store: SqliteStore, site: &Site, options: &ServiceOptions) -> Result<Self, String> {
        let service = SyncService::open(store.clone(), site.environment.shared(), options.clone()).await;
        Ok(Self { store, service: service.map_err(in_words)? })
    }
}

impl ServerHost {
    fn lock(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn process(&self) -> Process {
        self.lock().clone()
    }

    /// Ends the process without a word and starts another one on `image`.
    async fn replace(&self, image: &[u8]) -> Result<(), String> {
        self.site.environment.abort_tasks();
        let store = SqliteStore::from_image(image).map_err(in_words)?;
        let process = Process::start(store, &self.site, &self.options).await?;
        *self.lock() = process;
        Ok(())
    }

    fn image(&self) -> Result<Vec<u8>, String> {
        self.process().store.image().map_err(in_words)
    }

    async fn read<T: Send + 'static>(
        &self,
        account: &str,
        scope: &Scope,
        job: impl FnOnce(&mut dyn ScopeReads) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, String> {
        let principal = principal(self.site.access.caller(account));
        let key = principal.scope_key(scope).map_err(|problem| problem.title)?;
        read(&self.process().store, key, job).await.map_err(in_words)
    }
}

fn principal(caller: Caller) -> Principal {
    Principal { workspaces: caller.workspaces, ..Principal::new(&caller.account) }
}

fn in_words(error: StoreError) -> String {
    error.to_string()
}

impl Host for ServerHost {
    fn transport(&self) -> Arc<dyn Transport> {
        let access: Access = self.site.access.clone();
        let resolver = move |context: &_| access.judge(context).map(principal);
        Arc::new(LoopbackTransport::with_resolver(self.process().service, resolver))
    }

    fn restart(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move { self.replace(&self.image()?).await })
    }

    fn backup(&self) -> BoxFuture<'_, Result<Backup, String>> {
        Box::pin(async move { Ok(Backup(self.image()?.into())) })
    }

    fn restore<'a>(&'a self, backup: &'a Backup) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(self.replace(&backup.0))
    }

    fn collect_garbage(&self) -> BoxFuture<'_, Result<u64, String>> {
        Box::pin(async move {
            let options = ServiceOptions { tombstone_horizon: Duration::ZERO, ..self.options.clone() };
            let impatient = Process::start(self.process().store, &self.site, &options).await?;
            let report = impatient.service.collect_garbage().await.map_err(|problem| problem.title)?;
            Ok(report.tombstones)
        })
    }

    fn log<'a>(
        &'a self,
        account: &'a str,
        scope: &'a Scope,
        after: Revision,
    ) -> BoxFuture<'a, Result<Vec<LoggedWrite>, String>> {
        Box::pin(self.read(account, scope, move |reads| reads.log_after(after, usize::MAX)))
    }

    fn forged_cursor(&self, account: &str, scope: &Scope, epoch: &str, revision: Revision) -> Option<Cursor> {
        let key = principal(self.site.access.caller(account)).scope_key(scope).ok()?;
        Some(forged_cursor(epoch.to_owned(), revision, &key))
    }

    fn replay_differences<'a>(
        &'a self,
        account: &'a str,
        scope: &'a Scope,
    ) -> BoxFuture<'a, Result<Vec<String>, String>> {
        Box::pin(async move {
            let principal = principal(self.site.access.caller(account));
            self.process().service.verify(&principal, scope.clone()).await.map_err(|problem| problem.title)
        })
    }
}

impl fmt::Debug for ServerHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHost").field("site", &self.site).finish_non_exhaustive()
    }
}
