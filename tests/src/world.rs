//! One server, any number of devices, virtual time.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use unisono::model::{RecordKey, Scope, value};
use unisono::protocol::ChangesRequest;
use unisono::storage::MemoryStorage;
use unisono::testing::{ScriptedTransport, TestEnvironment};
use unisono::{ClientBuilder, Error};
use unisono_server::{ServiceOptions, SyncService};

use super::device::{Customize, Device, Network, canonical_state};
use super::server::{Server, principal};

/// A server and its world.
#[derive(Debug)]
pub struct World {
    /// Time, chance and tasks.
    pub env: TestEnvironment,
    /// The server.
    pub server: Server,
    /// Devices so far: each gets a name of its own.
    devices: Cell<u32>,
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
        Self::opened(seed, options, false)
    }

    /// A fresh server on disk: it can be restarted, backed up and restored.
    #[must_use]
    pub fn on_disk(seed: u64) -> Self {
        Self::on_disk_with(seed, ServiceOptions::default())
    }

    /// A fresh server on disk, with options.
    #[must_use]
    pub fn on_disk_with(seed: u64, options: ServiceOptions) -> Self {
        Self::opened(seed, options, true)
    }

    fn opened(seed: u64, options: ServiceOptions, on_disk: bool) -> Self {
        let env = TestEnvironment::new(seed);
        Self { server: Server::open(env.clone(), options, on_disk), env, devices: Cell::new(0) }
    }

    /// The service that runs now.
    #[must_use]
    pub fn service(&self) -> SyncService {
        self.server.service()
    }

    /// A transport to this world's server.
    #[must_use]
    pub fn network(&self) -> Network {
        Arc::new(ScriptedTransport::new(self.server.link(), self.env.shared()))
    }

    /// A new device of `account`.
    #[must_use]
    pub fn device(&self, account: &str) -> Device {
        self.device_on(account, MemoryStorage::new(), 0)
    }

    /// A device on `storage` whose clock is `offset_ms` off.
    #[must_use]
    pub fn device_on(&self, account: &str, storage: MemoryStorage, offset_ms: i64) -> Device {
        self.open(account, storage, offset_ms, |builder| builder).expect("the client opens")
    }

    /// A new device of `account`, opened as `customize` says.
    #[must_use]
    pub fn device_with(
        &self,
        account: &str,
        customize: impl Fn(ClientBuilder) -> ClientBuilder + Send + Sync + 'static,
    ) -> Device {
        self.open(account, MemoryStorage::new(), 0, customize).expect("the client opens")
    }

    /// A device with everything said.
    ///
    /// # Errors
    /// Those of opening a client.
    pub fn open(
        &self,
        account: &str,
        storage: MemoryStorage,
        offset_ms: i64,
        customize: impl Fn(ClientBuilder) -> ClientBuilder + Send + Sync + 'static,
    ) -> Result<Device, Error> {
        let number = self.devices.get() + 1;
        self.devices.set(number);
        let customize: Customize = Arc::new(customize);
        Device::open(self, (account, format!("d{number}")), storage, offset_ms, customize)
    }

    /// Runs `future` in this world.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.env.block_on(future)
    }

    /// Lets `seconds` pass.
    pub fn pass(&self, seconds: u64) {
        self.env.advance(Duration::from_secs(seconds));
    }

    /// All of a scope's live records as a new replica would get them.
    #[must_use]
    pub fn server_state(&self, account: &str, scope: &Scope) -> BTreeMap<RecordKey, Vec<u8>> {
        let request = ChangesRequest::from_start(scope.clone());
        let service = self.service();
        self.run(async {
            let mut feed = service.changes(&principal(account), request).await.expect("the feed opens");
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
        let server = self.server_state(&devices[0].account, &Scope::User);
        for device in devices {
            let status = device.client.status();
            let left = (self.run(device.client.pending()), self.run(device.client.parked()));
            assert_eq!(
                (status.pending, status.parked),
                (0, 0),
                "{}: nothing is left in the queue: {left:#?}",
                device.name
            );
            let held = self.run(canonical_state(&device.client, &Scope::User));
            assert!(held == server, "{} holds {} and the server {}", device.name, listed(&held), listed(&server));
        }
    }
}

fn listed(state: &BTreeMap<RecordKey, Vec<u8>>) -> String {
    let texts: Vec<_> = state.iter().map(|(key, doc)| format!("{key} {}", String::from_utf8_lossy(doc))).collect();
    format!("{texts:#?}")
}
