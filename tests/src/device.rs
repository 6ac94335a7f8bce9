//! A device of a world: the real client, what survives its restarts, and its scripted network.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use unisono::engine::SyncReport;
use unisono::model::{EventId, RecordKey, Scope, value};
use unisono::replica::keys;
use unisono::replica::rows::RecordRow;
use unisono::storage::{MemoryStorage, Scan, Table};
use unisono::testing::{CallKind, Fault, ScriptedTransport, TestEnvironment};
use unisono::{Client, ClientBuilder, Collection, Error};

use super::server::Link;
use super::world::World;

/// A transport to the world's server, whose faults are scripted.
pub type Network = Arc<ScriptedTransport<Link>>;

/// What a test changes about how its devices are opened; asked again at each restart.
pub type Customize = Arc<dyn Fn(ClientBuilder) -> ClientBuilder + Send + Sync>;

/// A device: a client, its storage and its network.
pub struct Device {
    /// The client.
    pub client: Client,
    /// What survives a restart.
    pub storage: MemoryStorage,
    /// The way to the server.
    pub network: Network,
    /// The device's own clock and randomness.
    pub env: TestEnvironment,
    /// What the test calls it; unique in its world.
    pub name: String,
    /// Whose it is.
    pub account: String,
    customize: Customize,
}

impl Device {
    /// Opens a client on `storage`.
    ///
    /// # Errors
    /// Those of opening a client.
    pub fn open(
        world: &World,
        (account, name): (&str, String),
        storage: MemoryStorage,
        offset_ms: i64,
        customize: Customize,
    ) -> Result<Self, Error> {
        let env = world.env.device(offset_ms);
        let network = world.network();
        let client = world.run(builder(&env, &storage, &network, account, &customize).build())?;
        Ok(Self { client, storage, network, env, name, account: account.to_owned(), customize })
    }

    /// The account's own samples.
    #[must_use]
    pub fn samples(&self) -> Collection {
        self.client.collection("samples")
    }

    /// The process ends without a word and starts again on what is stored.
    pub fn restart(&mut self, world: &World) {
        self.env.abort_tasks();
        let storage = self.storage.reopen();
        let built = builder(&self.env, &storage, &self.network, &self.account, &self.customize).build();
        self.client = world.run(built).expect("the client opens again");
        self.storage = storage;
    }

    /// A record as this device sees it.
    #[must_use]
    pub fn get(&self, world: &World, id: &str) -> Option<Value> {
        world.run(self.samples().get(id)).expect("a read")
    }

    /// One sync of all scopes.
    ///
    /// # Errors
    /// What stopped it.
    pub fn sync(&self, world: &World) -> Result<SyncReport, Error> {
        world.run(self.client.sync_now())
    }

    /// One sync that nothing stops.
    pub fn synced(&self, world: &World) -> SyncReport {
        self.sync(world).unwrap_or_else(|error| panic!("{} syncs: {error}", self.name))
    }

    /// The next pushes meet `faults`, in this order.
    pub fn push_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.network.script(CallKind::Push, faults);
    }

    /// The ids of what is parked, in queue order.
    #[must_use]
    pub fn parked(&self, world: &World) -> Vec<EventId> {
        world.run(self.client.parked()).expect("a list").into_iter().map(|event| event.id).collect()
    }

    /// The codes of the doctor's findings, the worst first.
    #[must_use]
    pub fn findings(&self, world: &World) -> Vec<String> {
        world.run(self.client.doctor()).expect("an examination").into_iter().map(|finding| finding.code).collect()
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("name", &self.name).field("account", &self.account).finish_non_exhaustive()
    }
}

fn builder(
    env: &TestEnvironment,
    storage: &MemoryStorage,
    network: &Network,
    account: &str,
    customize: &Customize,
) -> ClientBuilder {
    let builder = Client::builder()
        .storage(storage.clone())
        .transport(network.clone())
        .environment(env.clone())
        .account(account)
        .token(account);
    customize(builder)
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
