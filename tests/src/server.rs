//! The server of a world: the real service, which can be restarted, backed up and restored while devices hold on to it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::ExposeSecret;
use tempfile::TempDir;
use unisono::model::{EventId, Receipt, Scope};
use unisono::platform::BoxFuture;
use unisono::protocol::{ChangesRequest, Problem, ProblemCode, PushRequest, PushResponse};
use unisono::testing::TestEnvironment;
use unisono::transport::{ChangeReader, LiveReader, Method, RequestContext, Response, Transport, TransportError};
use unisono_server::store::{ScopeKey, read};
use unisono_server::{LoopbackTransport, Principal, ServiceOptions, SqliteOptions, SqliteStore, Store, SyncService};

/// The workspace that every account is a member of, until it is expelled.
pub(crate) const WORKSPACE: &str = "band";

/// Who may do what; a test changes it while the world runs.
#[derive(Clone, Debug, Default)]
pub struct Access {
    rules: Arc<Mutex<Rules>>,
}

#[derive(Debug, Default)]
struct Rules {
    refused: BTreeSet<String>,
    expelled: BTreeSet<String>,
    without_workspace: BTreeSet<String>,
    proxy_limit: Option<usize>,
}

impl Access {
    /// From now on a proxy before the server refuses pushes of more than `bytes`, in its own words.
    pub fn limit_pushes(&self, bytes: Option<usize>) {
        lock(&self.rules).proxy_limit = bytes;
    }

    fn pass_proxy(&self, request: &PushRequest) -> Result<(), TransportError> {
        let bytes = serde_json::to_vec(request).expect("a push serializes").len();
        match lock(&self.rules).proxy_limit {
            Some(limit) if bytes > limit => {
                Err(TransportError::problem(Problem::new(413, "http_413", "Content Too Large")))
            }
            _ => Ok(()),
        }
    }

    /// From now on `token` is answered with 401.
    pub fn refuse(&self, token: &str) {
        lock(&self.rules).refused.insert(token.to_owned());
    }

    /// `account` is no member of the workspace any more.
    pub fn expel(&self, account: &str) {
        lock(&self.rules).expelled.insert(account.to_owned());
    }

    /// `account` is a member of the workspace again.
    pub fn readmit(&self, account: &str) {
        lock(&self.rules).expelled.remove(account);
    }

    /// `token` does not name the workspace, whoever's it is: it is from before the invitation, or lacks the claim by mistake.
    pub fn omit_workspace(&self, token: &str) {
        lock(&self.rules).without_workspace.insert(token.to_owned());
    }

    /// The holder of a token: `anna`, `anna.2` and so on are anna's.
    fn principal(&self, context: &RequestContext) -> Result<Principal, Problem> {
        let unauthorized = || Problem::of(ProblemCode::AuthRequired, "the token is missing or was refused");
        let token = context.token.as_ref().map(|token| token.expose_secret().to_owned()).ok_or_else(unauthorized)?;
        let rules = lock(&self.rules);
        if rules.refused.contains(&token) {
            return Err(unauthorized());
        }
        let subject = token.split('.').next().unwrap_or_default().to_owned();
        let expelled = rules.expelled.contains(&subject) || rules.without_workspace.contains(&token);
        let workspaces = if expelled { Vec::new() } else { vec![WORKSPACE.to_owned()] };
        Ok(Principal { workspaces, ..Principal::new(&subject) })
    }
}

/// The way to whichever service runs now: a device does not notice that the server was restarted.
#[derive(Clone, Debug)]
pub struct Link {
    service: Arc<Mutex<SyncService>>,
    access: Access,
}

impl Link {
    fn loopback(&self) -> LoopbackTransport {
        let access = self.access.clone();
        LoopbackTransport::with_resolver(lock(&self.service).clone(), move |context| access.principal(context))
    }
}

impl Transport for Link {
    fn push<'a>(
        &'a self,
        context: &'a RequestContext,
        request: &'a PushRequest,
    ) -> BoxFuture<'a, Result<PushResponse, TransportError>> {
        Box::pin(async move {
            self.access.pass_proxy(request)?;
            self.loopback().push(context, request).await
        })
    }

    fn changes<'a>(
        &'a self,
        context: &'a RequestContext,
        request: &'a ChangesRequest,
    ) -> BoxFuture<'a, Result<Box<dyn ChangeReader>, TransportError>> {
        Box::pin(async move { self.loopback().changes(context, request).await })
    }

    fn request<'a>(
        &'a self,
        context: &'a RequestContext,
        method: Method,
        path: &'a str,
        body: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Response, TransportError>> {
        Box::pin(async move { self.loopback().request(context, method, path, body).await })
    }

    fn live<'a>(
        &'a self,
        context: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Option<Box<dyn LiveReader>>, TransportError>> {
        Box::pin(async move { self.loopback().live(context).await })
    }
}

/// A copy of the server's database, as an operator would keep one.
#[derive(Clone, Debug)]
pub struct Backup(Vec<u8>);

/// A service in its store.
#[derive(Debug)]
pub struct Server {
    env: TestEnvironment,
    options: ServiceOptions,
    store: SqliteStore,
    current: Arc<Mutex<SyncService>>,
    access: Access,
    /// Where the database lies, if not in memory.
    home: Option<TempDir>,
}

impl Server {
    /// A fresh server, in memory or, if it is to be restarted, `on_disk`.
    ///
    /// # Panics
    /// If it does not open.
    #[must_use]
    pub fn open(env: TestEnvironment, options: ServiceOptions, on_disk: bool) -> Self {
        let home = on_disk.then(|| tempfile::tempdir().expect("a folder for the server"));
        let store = match &home {
            Some(home) => open_file(&home.path().join("server.db")),
            None => SqliteStore::in_memory().expect("a store in memory opens"),
        };
        let service = start(&env, &store, &options);
        Self { env, options, store, current: Arc::new(Mutex::new(service)), access: Access::default(), home }
    }

    /// The service that runs now.
    #[must_use]
    pub fn service(&self) -> SyncService {
        lock(&self.current).clone()
    }

    /// Who may do what.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// A way to the server, whichever service runs.
    #[must_use]
    pub fn link(&self) -> Link {
        Link { service: Arc::clone(&self.current), access: self.access.clone() }
    }

    fn file(&self) -> PathBuf {
        self.home.as_ref().expect("a server in memory cannot be stopped").path().join("server.db")
    }

    /// Stops the service, does `work` on its file, and starts it again.
    fn stopped<T>(&mut self, work: impl FnOnce(&PathBuf) -> T) -> T {
        let file = self.file();
        self.env.block_on(self.service().close());
        let result = work(&file);
        self.store = open_file(&file);
        *lock(&self.current) = start(&self.env, &self.store, &self.options);
        result
    }

    /// Stops the server and starts it again on its file.
    pub fn restart(&mut self) {
        self.stopped(|_| ());
    }

    /// Kills the server, as a crash of its process would, and starts it on what it has written.
    ///
    /// # Panics
    /// If the server is in memory, or its files cannot be copied.
    pub fn kill(&mut self) {
        let written = self.file();
        let home = tempfile::tempdir().expect("a folder for the server");
        let file = home.path().join("server.db");
        for suffix in ["", "-wal"] {
            let beside = |file: &PathBuf| {
                let mut beside = file.clone().into_os_string();
                beside.push(suffix);
                PathBuf::from(beside)
            };
            std::fs::copy(beside(&written), beside(&file)).expect("a server that runs has a database and a log");
        }
        self.store = open_file(&file);
        *lock(&self.current) = start(&self.env, &self.store, &self.options);
        self.home = Some(home);
    }

    /// A copy of the database.
    ///
    /// # Panics
    /// If the server is in memory, or its file cannot be read.
    pub fn backup(&mut self) -> Backup {
        self.stopped(|file| Backup(std::fs::read(file).expect("a closed database is one file")))
    }

    /// Puts the database of `backup` in the place of the present one.
    ///
    /// # Panics
    /// If the server is in memory, or its file cannot be written.
    pub fn restore(&mut self, backup: &Backup) {
        self.stopped(|file| {
            for suffix in ["-wal", "-shm"] {
                let mut beside = file.clone().into_os_string();
                beside.push(suffix);
                assert!(!PathBuf::from(beside).exists(), "a closed database is one file");
            }
            std::fs::write(file, &backup.0).expect("the backup is put back");
        });
    }

    /// The receipts of `ids` in the server's log, for those that it has settled in any of its scopes.
    ///
    /// # Panics
    /// If the store fails.
    #[must_use]
    pub fn settled(&self, ids: &[EventId]) -> Vec<Option<Receipt>> {
        self.env.block_on(async {
            let mut found: Vec<Option<Receipt>> = vec![None; ids.len()];
            for scope in self.store.scopes(None, usize::MAX >> 1).await.expect("the store lists its scopes") {
                for (slot, receipt) in found.iter_mut().zip(self.receipts(scope, ids).await) {
                    *slot = slot.take().or(receipt);
                }
            }
            found
        })
    }

    async fn receipts(&self, scope: ScopeKey, ids: &[EventId]) -> Vec<Option<Receipt>> {
        let ids = ids.to_vec();
        let settled = read(&self.store, scope, move |reads| reads.settled(&ids)).await.expect("the log is read");
        settled.into_iter().map(|settled| settled.map(|settled| settled.receipt)).collect()
    }

    /// What a replay of a scope's log finds different from the stored state.
    ///
    /// # Panics
    /// If the store fails.
    #[must_use]
    pub fn verify(&self, account: &str, scope: &Scope) -> Vec<String> {
        let service = self.service();
        self.env.block_on(service.verify(&principal(account), scope.clone())).expect("the log is replayed")
    }
}

/// An account with all that it may have.
pub(crate) fn principal(account: &str) -> Principal {
    Principal { workspaces: vec![WORKSPACE.to_owned()], ..Principal::new(account) }
}

fn open_file(path: &PathBuf) -> SqliteStore {
    // Only a power loss would tell the difference, and there is none here.
    SqliteStore::open(path, &SqliteOptions { survive_power_loss: false }).expect("the database opens")
}

fn start(env: &TestEnvironment, store: &SqliteStore, options: &ServiceOptions) -> SyncService {
    env.block_on(SyncService::open(store.clone(), env.shared(), options.clone())).expect("the service opens")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
