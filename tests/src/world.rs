//! One server, any number of devices, virtual time.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use unisono::engine::EngineOptions;
use unisono::model::{RecordKey, Scope, value};
use unisono::replica::keys;
use unisono::replica::rows::RecordRow;
use unisono::storage::{MemoryStorage, Scan, Table};
use unisono::testing::{ScriptedTransport, TestEnvironment};
use unisono::transport::ChangeReader;
use unisono::transport::{RequestContext, Transport};
use unisono::{Client, ClientBuilder, Collection};
use unisono_server::{LoopbackTransport, Principal, ServiceOptions, SqliteStore, SyncService};

/// A server and its world.
#[derive(Debug)]
pub struct World {
    /// Time, chance and tasks.
    pub env: TestEnvironment,
    /// The real service.
    pub service: SyncService,
    /// How it was opened.
    options: ServiceOptions,
}

/// A transport to the world's server, whose faults are scripted.
pub type Network = Arc<ScriptedTransport<LoopbackTransport>>;

/// A device: a client, its storage and its network.
#[derive(Debug)]
pub struct Device {
    /// The client.
    pub client: Client,
    /// What survives a restart.
    pub storage: MemoryStorage,
    /// The way to the server.
    pub network: Network,
    /// The device's own clock and randomness.
    pub env: TestEnvironment,
    account: String,
}

impl World {
    /// A fresh server in memory.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with(seed, ServiceOptions::default())
    }

    /// A fresh server in memory, with options.
    #[must_use]
    pub fn with(seed: u64, options: ServiceOptions) -> Self {
        let env = TestEnvironment::new(seed);
        let store = SqliteStore::in_memory().expect("a store in memory opens");
        let service = env.block_on(SyncService::open(store, env.shared(), options.clone())).expect("the service opens");
        Self { env, service, options }
    }

    /// The server is stopped and opened again on `store`: a restart, or a restored copy.
    pub fn restart_on(&mut self, store: SqliteStore) {
        self.env.block_on(self.service.close());
        self.service = self
            .env
            .block_on(SyncService::open(store, self.env.shared(), self.options.clone()))
            .expect("the service opens");
    }

    /// A transport to this world's server.
    #[must_use]
    pub fn network(&self, account: &str) -> Network {
        let principal = Principal { subject: account.to_owned(), workspaces: vec!["band".to_owned()] };
        let loopback = LoopbackTransport::new(self.service.clone(), principal);
        Arc::new(ScriptedTransport::new(loopback, self.env.shared()))
    }

    /// A new device of `account`.
    #[must_use]
    pub fn device(&self, account: &str) -> Device {
        self.device_on(account, MemoryStorage::new(), 0)
    }

    /// A device on `storage` whose clock is `offset_ms` off.
    #[must_use]
    pub fn device_on(&self, account: &str, storage: MemoryStorage, offset_ms: i64) -> Device {
        let env = self.env.device(offset_ms);
        let network = self.network(account);
        let client = self.env.block_on(builder(&env, &storage, &network, account).build()).expect("the client opens");
        Device { client, storage, network, env, account: account.to_owned() }
    }

    /// Runs `future` in this world.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.env.block_on(future)
    }

    /// All of a scope's live records as a new replica would get them.
    #[must_use]
    pub fn server_state(&self, account: &str, scope: &Scope) -> BTreeMap<RecordKey, Vec<u8>> {
        let network = self.network(account);
        let request = serde_json::from_value(json!({"scope": scope})).expect("a request");
        self.run(async {
            let context = RequestContext::default();
            let mut feed: Box<dyn ChangeReader> = network.changes(&context, &request).await.expect("the feed opens");
            let mut state = BTreeMap::new();
            while let Some(chunk) = feed.next().await.expect("the feed goes on") {
                for change in chunk.changes {
                    let bytes = change.doc.as_ref().map(value::canonical).unwrap_or_default();
                    state.insert(change.key(), bytes);
                }
            }
            state
        })
    }

    /// Asserts I4: all `devices` have nothing pending and hold, byte for byte, what the server holds.
    pub fn assert_converged(&self, devices: &[&Device]) {
        let account = &devices[0].account;
        let server = self.server_state(account, &Scope::User);
        for device in devices {
            let status = device.client.status();
            assert_eq!((status.pending, status.parked), (0, 0), "nothing is left in the queue");
            assert_eq!(self.run(canonical_state(&device.client, &Scope::User)), server);
        }
    }
}

fn builder(env: &TestEnvironment, storage: &MemoryStorage, network: &Network, account: &str) -> ClientBuilder {
    Client::builder()
        .storage(storage.clone())
        .transport(network.clone())
        .environment(env.clone())
        .account(account)
        .token("a token")
        .engine_options(EngineOptions::default())
}

impl Device {
    /// The account's own samples.
    #[must_use]
    pub fn samples(&self) -> Collection {
        self.client.collection("samples")
    }

    /// The process ends without a word and starts again on what is stored.
    pub fn restart(&mut self, world: &World) {
        self.env.abort_tasks();
        let storage = self.storage.reopen();
        let built = builder(&self.env, &storage, &self.network, &self.account).build();
        self.client = world.run(built).expect("the client opens again");
        self.storage = storage;
    }

    /// The server was restarted: the device reaches the new one.
    pub fn reconnect(&mut self, world: &World) {
        self.network = world.network(&self.account);
        self.restart(world);
    }

    /// A record as this device sees it.
    #[must_use]
    pub fn get(&self, world: &World, id: &str) -> Option<Value> {
        world.run(self.samples().get(id)).expect("a read")
    }
}

/// All of a scope's live records in a replica's confirmed state, in canonical bytes.
pub async fn canonical_state(client: &Client, scope: &Scope) -> BTreeMap<RecordKey, Vec<u8>> {
    let replica = client.replica();
    let generation = replica.generation(scope).await.expect("a generation");
    let prefix = keys::generation_prefix(scope, generation);
    let rows = replica.storage().scan(Scan::prefix(Table::Record, &prefix)).await.expect("a scan");
    rows.iter()
        .filter_map(|row| {
            let record: RecordRow = serde_json::from_slice(&row.value).expect("a record row");
            let key = keys::record_key_of(&row.key, &prefix).expect("a record's key");
            record.doc.map(|doc| (key, value::canonical(&doc)))
        })
        .collect()
}
