//! A sync service in memory, in a world of its own.

use serde_json::value::RawValue;
use unisono::environment::SharedEnvironment;
use unisono::model::{Change, DigestSum, Scope, digest_of};
use unisono::platform::BoxFuture;
use unisono::protocol::{ChangesRequest, Problem, PushRequest, PushResponse, Trailer};
use unisono::testing::TestEnvironment;
use unisono::transport::Chunk;
use unisono_server::store::{ApiKeyRow, AuditRow, Damage, Identity, ReadJob, ScopeKey, StoreFigures, WriteJob};
use unisono_server::{Principal, ServiceOptions, SqliteStore, Store, StoreError, SyncService};

/// The workspace of which every account is a member.
pub const WORKSPACE: &str = "band";

/// The key under which the server signs cursors. No client knows a real one.
pub const CURSOR_KEY: [u8; 32] = [0x5a; 32];

#[derive(Debug)]
pub struct Server {
    pub env: TestEnvironment,
    pub service: SyncService,
}

pub fn principal(account: &str) -> Principal {
    Principal { workspaces: vec![WORKSPACE.to_owned()], ..Principal::new(account) }
}

impl Server {
    pub fn new() -> Self {
        let env = TestEnvironment::new(7);
        let store = SignedByUs(SqliteStore::in_memory().expect("a store in memory opens"));
        let opened = SyncService::open(store, env.shared(), ServiceOptions::default());
        let service = env.block_on(opened).expect("the service opens");
        Self { env, service }
    }

    pub fn push(&self, account: &str, request: PushRequest<Box<RawValue>>) -> Result<PushResponse, Problem> {
        self.env.block_on(self.service.push(&principal(account), request))
    }

    /// One feed, to its end.
    pub fn pull(&self, account: &str, request: ChangesRequest) -> Result<Vec<Chunk>, Problem> {
        self.env.block_on(async {
            let mut feed = self.service.changes(&principal(account), request).await?;
            let mut chunks = Vec::new();
            while let Some(chunk) = feed.next().await? {
                chunks.push(chunk);
            }
            Ok(chunks)
        })
    }

    /// All of a scope, and the trailer.
    ///
    /// # Panics
    /// If the feed from the start does not come, or its digest is not that of its changes.
    pub fn records(&self, account: &str, scope: &Scope) -> (Vec<Change>, Trailer) {
        let chunks = self.pull(account, ChangesRequest::from_start(scope.clone())).expect("a feed from the start");
        let trailer = chunks.last().and_then(|chunk| chunk.trailer.clone()).expect("a feed has a trailer");
        let changes: Vec<_> = chunks.into_iter().flat_map(|chunk| chunk.changes).collect();
        let mut sum = DigestSum::default();
        for change in &changes {
            if let Some(doc) = &change.doc {
                sum.add(digest_of(&change.key(), change.revision, doc));
            }
        }
        assert_eq!(trailer.digest, Some(sum.to_string()), "the digest is that of what was sent");
        (changes, trailer)
    }

    /// What a replay of a scope's log finds different from what is stored.
    pub fn differences(&self, account: &str, scope: &Scope) -> Vec<String> {
        self.env.block_on(self.service.verify(&principal(account), scope.clone())).expect("the log is replayed")
    }
}

/// A store whose server signs its cursors with [`CURSOR_KEY`], so that a target can sign what it made up.
#[derive(Debug)]
struct SignedByUs(SqliteStore);

impl Store for SignedByUs {
    fn attach(&self, environment: SharedEnvironment) -> BoxFuture<'_, Result<Identity, StoreError>> {
        Box::pin(async { Ok(Identity { cursor_key: CURSOR_KEY, ..self.0.attach(environment).await? }) })
    }

    fn keep_clock(&self, ms: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        self.0.keep_clock(ms)
    }

    fn read(&self, scope: ScopeKey, job: ReadJob) -> BoxFuture<'_, Result<(), StoreError>> {
        self.0.read(scope, job)
    }

    fn write(&self, scope: ScopeKey, job: WriteJob) -> BoxFuture<'_, Result<(), StoreError>> {
        self.0.write(scope, job)
    }

    fn api_key(&self, key_id: String) -> BoxFuture<'_, Result<Option<ApiKeyRow>, StoreError>> {
        self.0.api_key(key_id)
    }

    fn scopes(&self, after: Option<ScopeKey>, limit: usize) -> BoxFuture<'_, Result<Vec<ScopeKey>, StoreError>> {
        self.0.scopes(after, limit)
    }

    fn audit(&self, rows: Vec<AuditRow>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.0.audit(rows)
    }

    fn prune_audit(&self, before_ms: u64, limit: usize) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.0.prune_audit(before_ms, limit)
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.0.ready()
    }

    fn check(&self) -> BoxFuture<'_, Result<Damage, StoreError>> {
        self.0.check()
    }

    fn figures(&self) -> StoreFigures {
        self.0.figures()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.0.close()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Tasks hold the service, and the service the environment that holds the tasks.
        self.env.abort_all_tasks();
    }
}
