//! A simulated device: what outlives its processes, and the process that runs now.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::access::{Access, Wallet};
use super::action::NetworkFault;
use super::config::{Config, DeviceConfig, WORKSPACE};
use super::disk::{DiskCopy, SimDisk};
use super::host::Host;
use super::ledger::ReplicaId;
use super::network::{Station, Wire};
use super::workload::{Followed, policies, queries};
use crate::Client;
use crate::client::ClientBuilder;
use crate::engine::{EngineOptions, Status};
use crate::error::Result;
use crate::model::EventId;
use crate::queue::QueueLimits;
use crate::replica::keys;
use crate::replica::rows::OutcomeRow;
use crate::storage::{Durability, Scan, Storage, Table};
use crate::testing::{CallKind, ScriptedTransport, TestEnvironment};
use crate::transport::Transport;

/// What stands between a client and its doubles: a test puts a deliberately broken storage or transport here, to see that the
/// checks notice it.
pub trait Variant: fmt::Debug + Send + Sync {
    /// The disk that a device gets.
    fn disk(&self, durability: Durability) -> SimDisk {
        SimDisk::new(durability)
    }

    /// The storage that a client gets.
    fn storage(&self, disk: SimDisk) -> Arc<dyn Storage> {
        Arc::new(disk)
    }

    /// The transport that a client gets.
    fn transport(&self, network: ScriptedTransport<Wire>) -> Arc<dyn Transport> {
        Arc::new(network)
    }

    /// The server.
    fn host(&self, host: Arc<dyn Host>) -> Arc<dyn Host> {
        host
    }
}

/// Nothing is broken.
#[derive(Clone, Copy, Debug)]
pub struct Sound;

impl Variant for Sound {}

/// A device.
#[derive(Debug)]
pub struct Device {
    /// Its number.
    pub number: usize,
    /// Its clock, randomness and tasks.
    pub env: TestEnvironment,
    /// Its way to the server.
    pub network: ScriptedTransport<Wire>,
    /// How it was configured.
    pub config: DeviceConfig,
    /// Who is signed in.
    pub account: String,
    /// The client, while a process runs.
    pub client: Option<Client>,
    /// The faults of its network that no call has met yet, in the order in which calls of their kind meet them.
    pub scripted: BTreeMap<CallKind, VecDeque<NetworkFault>>,
    /// The calls on which the server is to die.
    pub killers: BTreeSet<CallKind>,
    /// The system has suspended the app.
    pub suspended: bool,
    /// The app has told the client that there is no network.
    pub told_offline: bool,
    /// Calls so far: each writes values of its own.
    pub calls: u64,
    /// The state in which it was last checked: whose disk, after which of its changes, and what the client said of itself.
    pub checked: Option<(String, u64, Status)>,
    /// What the app follows, while a process runs.
    pub followed: Followed,
    disks: BTreeMap<String, SimDisk>,
    copies: BTreeMap<String, DiskCopy>,
    wallets: BTreeMap<String, Wallet>,
}

impl Device {
    /// A device with nothing on it. `world` gives the clock that is right.
    #[must_use]
    pub fn new(number: usize, config: DeviceConfig, world: &TestEnvironment, station: &Station) -> Self {
        let env = world.device(config.clock_ms);
        // What is late on the way outlives the process that sent it.
        let network = ScriptedTransport::new(Wire::new(station.clone()), world.shared());
        let account = config.account.clone();
        Self {
            number,
            env,
            network,
            config,
            account,
            client: None,
            scripted: BTreeMap::new(),
            killers: BTreeSet::new(),
            suspended: false,
            told_offline: false,
            calls: 0,
            checked: None,
            followed: Followed::default(),
            disks: BTreeMap::new(),
            copies: BTreeMap::new(),
            wallets: BTreeMap::new(),
        }
    }

    /// The replica of whoever is signed in.
    #[must_use]
    pub fn replica(&self) -> ReplicaId {
        ReplicaId { device: self.number, account: self.account.clone() }
    }

    /// Everyone who was ever signed in here.
    #[must_use]
    pub fn accounts(&self) -> Vec<String> {
        self.disks.keys().cloned().collect()
    }

    /// The disk of whoever is signed in.
    pub fn disk(&mut self, variant: &dyn Variant) -> &SimDisk {
        let durability = if self.config.survives_power_loss { Durability::Full } else { Durability::Normal };
        let longest = Duration::from_millis(self.config.disk_ms);
        self.disks.entry(self.account.clone()).or_insert_with(|| {
            let disk = variant.disk(durability);
            disk.take_time(longest);
            disk
        })
    }

    /// The disk of `account`, if there is one.
    #[must_use]
    pub fn disk_of(&self, account: &str) -> Option<&SimDisk> {
        self.disks.get(account)
    }

    /// The disk of whoever is signed in, if there is one.
    #[must_use]
    pub fn present_disk(&self) -> Option<&SimDisk> {
        self.disks.get(&self.account)
    }

    /// Copies the file of whoever is signed in.
    pub fn copy_store(&mut self) {
        if let Some(disk) = self.disks.get(&self.account) {
            self.copies.insert(self.account.clone(), disk.copy());
        }
    }

    /// The copy that was made for whoever is signed in.
    #[must_use]
    pub fn store_copy(&self) -> Option<DiskCopy> {
        self.copies.get(&self.account).cloned()
    }

    /// The source of tokens of whoever is signed in.
    pub fn wallet(&mut self, access: &Access) -> Wallet {
        let account = &self.account;
        self.wallets.entry(account.clone()).or_insert_with(|| Wallet::new(access.clone(), account)).clone()
    }

    /// Opens all wallets.
    pub fn open_wallets(&self) {
        self.wallets.values().for_each(|wallet| wallet.set_closed(false));
    }

    /// Ends the process without a word. Returns whether one ran.
    pub fn kill(&mut self) -> bool {
        self.suspended = false;
        self.followed = Followed::default();
        let ran = self.client.take().is_some();
        self.env.abort_tasks();
        ran
    }

    /// Collects what a client of this device needs, for a new process.
    pub fn builder(&mut self, config: &Config, access: &Access, variant: &dyn Variant) -> ClientBuilder {
        let account = self.account.clone();
        let (wallet, disk) = (self.wallet(access), self.disk(variant).boot());
        self.disks.insert(account.clone(), disk.clone());
        let options = EngineOptions { pull_limit: config.pull_limit, ..EngineOptions::default() };
        policies::declare(Client::builder())
            .storage(variant.storage(disk))
            .transport(variant.transport(self.network.clone()))
            .environment(self.env.clone())
            .queue_limits(QueueLimits { events: config.queue_events, ..QueueLimits::default() })
            .engine_options(options)
            .index(queries::COLLECTION, queries::INDEX)
            .credentials(wallet)
            .account(account)
    }
}

/// Opens a client and makes it work: it follows the workspace, and syncs in the background if `starts`.
///
/// # Errors
/// Those of opening a client.
pub async fn open(builder: ClientBuilder, starts: bool) -> Result<Client> {
    let client = builder.build().await?;
    let workspace = client.workspace(WORKSPACE);
    let known = client.replica().scopes().await?;
    if known.iter().all(|scope| scope.to_string() != format!("workspace:{WORKSPACE}")) {
        workspace.subscribe().await?;
    }
    if starts {
        client.start().await?;
    }
    Ok(client)
}

/// Everything that a disk says of events, whatever its state.
pub async fn outcomes(disk: &SimDisk) -> Vec<(EventId, OutcomeRow)> {
    let rows = disk.contents().scan(Scan::prefix(Table::Outcome, b"")).await.unwrap_or_default();
    rows.iter()
        .filter_map(|row| Some((keys::outcome_id_of(&row.key)?, serde_json::from_slice(&row.value).ok()?)))
        .collect()
}
