//! The world of one run: the server, the devices, and what is known of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::access::Access;
use super::checks::{LogWatch, Reads, Violation};
use super::config::{ACCOUNTS, Config, WORKSPACE};
use super::coverage::Coverage;
use super::damage::AllDamaged;
use super::device::{self, Device, Variant};
use super::host::{Backup, Host, Hosting, Site};
use super::hostile::MALLORY;
use super::ledger::{Interrupted, Ledger, ReplicaId, Standing};
use super::network::Station;
use super::trace::Trace;
use super::workload::{App, Attempt, Feature};
use crate::Client;
use crate::environment::Environment;
use crate::error::{Error, Result as CallResult};
use crate::model::{EventId, Scope};
use crate::testing::TestEnvironment;
use crate::transport::Transport;

/// The result of a step.
pub type Checked<T = ()> = Result<T, Violation>;

/// Everything that one run is about.
pub struct World<'s> {
    /// The clock that is right, and all tasks.
    pub env: TestEnvironment,
    /// The server's own environment.
    pub server_env: TestEnvironment,
    /// Identity.
    pub access: Access,
    /// The server.
    pub station: Station,
    /// The devices, by number.
    pub devices: Vec<Device>,
    /// What was written.
    pub ledger: Ledger,
    /// What the run has met.
    pub coverage: Coverage,
    /// What was observed.
    pub trace: Trace,
    /// The server's log, as far as it was looked at.
    pub logs: LogWatch,
    /// What the replicas were seen to hold.
    pub reads: Reads,
    /// The operator's backups, oldest first, each with the server's time at which it was made, in milliseconds.
    pub backups: Vec<(u64, Backup)>,
    /// Accounts that are no members of the workspace any more.
    pub expelled: BTreeSet<String>,
    /// Accounts that were none at some time: what they follow of it may not know yet that they are.
    pub outsiders: BTreeSet<String>,
    /// What disks have damaged.
    pub damaged: AllDamaged,
    /// How the run is configured.
    pub config: &'s Config,
    /// What writes.
    pub features: &'s [Box<dyn Feature>],
    /// What is broken on purpose.
    pub variant: &'s dyn Variant,
}

impl<'s> World<'s> {
    /// A server with nothing on it and devices that were never used.
    ///
    /// # Errors
    /// What kept the server from starting.
    pub fn open(
        config: &'s Config,
        hosting: &dyn Hosting,
        features: &'s [Box<dyn Feature>],
        variant: &'s dyn Variant,
    ) -> Checked<Self> {
        let env = TestEnvironment::new(config.seed);
        let (server_env, access) = (env.device(0), Access::default());
        let members = if config.latecomer { &ACCOUNTS[..1] } else { &ACCOUNTS[..] };
        members.iter().chain([&MALLORY]).for_each(|account| access.admit(account, WORKSPACE));
        let expelled = ACCOUNTS[members.len()..].iter().map(|account| (*account).to_owned()).collect::<BTreeSet<_>>();
        let backup_age = Duration::from_millis(config.backup_age_ms);
        let site = Site { environment: server_env.clone(), access: access.clone(), backup_age };
        let host: Arc<dyn Host> = env.block_on(hosting.open(site)).map_err(|why| Violation::new("run", why))?;
        let station = Station::new(variant.host(host));
        let devices = config.devices.iter().enumerate();
        let devices = devices.map(|(number, device)| Device::new(number, device.clone(), &env, &station)).collect();
        let mut trace = Trace::default();
        trace.line(config.to_string());
        Ok(Self {
            env,
            server_env,
            access,
            station,
            devices,
            ledger: Ledger::default(),
            coverage: Coverage::default(),
            trace,
            logs: LogWatch::default(),
            reads: Reads::default(),
            backups: Vec::new(),
            outsiders: expelled.clone(),
            damaged: AllDamaged::new(),
            expelled,
            config,
            features,
            variant,
        })
    }

    /// The client on a device, opened if no process runs; `None` if it cannot be opened at the moment.
    ///
    /// # Errors
    /// What the replica turned out to have lost.
    pub fn client(&mut self, device: usize) -> Checked<Option<Client>> {
        if self.devices[device].client.is_none() {
            self.boot(device)?;
        }
        Ok(self.devices[device].client.clone())
    }

    /// Starts a process on a device. Afterwards it is accounted for what the one before had not told.
    fn boot(&mut self, number: usize) -> Checked {
        let device = &mut self.devices[number];
        let failing = device.disk(self.variant).is_failing();
        let builder = device.builder(self.config, &self.access, self.variant);
        let starts = device.config.worker;
        let signed_out = device.wallet(&self.access).is_closed();
        let opened = self.guarded(number, device::open(builder, starts));
        match opened {
            None => self.note(number, "died while opening"),
            Some(Ok(client)) => {
                self.devices[number].client = Some(client);
                let known = self.known(number);
                let replica = self.devices[number].replica();
                if let Some(count) = self.ledger.reconcile(&replica, &known)? {
                    self.note(number, &format!("found {count} events of the call that was cut short"));
                }
            }
            Some(Err(error)) => {
                self.devices[number].kill();
                self.met(&error);
                self.note(number, &format!("does not open: {}", error.code()));
                // What was sealed opens with a token only.
                if !(failing || signed_out && matches!(error, Error::NoToken(_))) {
                    return Err(Violation::new("run", format!("d{number} does not open: {error}")));
                }
            }
        }
        Ok(())
    }

    /// What a device's disk says of events.
    pub fn known(&self, number: usize) -> Vec<(EventId, crate::replica::rows::OutcomeRow)> {
        self.devices[number].present_disk().map(|disk| self.env.block_on(device::outcomes(disk))).unwrap_or_default()
    }

    /// Runs `call` on a device; `None` if its process died meanwhile.
    pub fn guarded<T>(&mut self, number: usize, call: impl Future<Output = T>) -> Option<T> {
        use futures_util::future::{Either, select};
        let died = self.devices[number].disk(self.variant).died();
        let ended = self.env.block_on(async {
            match select(std::pin::pin!(call), std::pin::pin!(died)).await {
                Either::Left((done, _)) => Some(done),
                Either::Right(((), _)) => None,
            }
        });
        self.bury();
        ended
    }

    /// Lets time pass.
    pub fn pass(&mut self, duration: Duration) {
        self.env.advance(duration);
        self.bury();
    }

    /// Ends the processes that died at a write.
    pub fn bury(&mut self) {
        for number in 0..self.devices.len() {
            if self.devices[number].present_disk().is_some_and(super::SimDisk::is_dead) && self.devices[number].kill() {
                self.note(number, "its process has died");
            }
        }
    }

    /// The app of a device as a feature meets it.
    pub fn app(&self, number: usize, client: Client) -> App {
        let device = &self.devices[number];
        let replica = device.replica();
        let recent = self.ledger.of(&replica).rev().filter(|entry| entry.standing == Standing::Held).take(8);
        App {
            client,
            mark: format!("{}-d{number}-{}", replica.account, device.calls),
            recent: recent.map(|entry| (entry.id.clone(), entry.planned.clone())).collect(),
            notes: Vec::new(),
            followed: device.followed.clone(),
            committing: device.present_disk().is_some_and(super::SimDisk::is_committing),
            replica,
        }
    }

    /// Makes a call. Returns what it came to; `None` if its process died.
    ///
    /// # Errors
    /// If the call returned another number of ids than it made writes.
    pub fn make(
        &mut self,
        number: usize,
        feature: &'static str,
        attempt: Attempt,
    ) -> Checked<Option<CallResult<Vec<EventId>>>> {
        let replica: ReplicaId = self.devices[number].replica();
        self.devices[number].calls += 1;
        let Attempt { mut writes, call } = attempt;
        let splits = self.features.iter().any(|known| known.name() == feature && known.splits());
        match self.guarded(number, call) {
            None => {
                self.ledger.interrupt(&replica, Interrupted { feature, planned: writes, splits });
                Ok(None)
            }
            Some(Ok(ids)) if splits => {
                let ids: Vec<_> = ids.into_iter().flatten().collect();
                writes.resize(ids.len(), writes[0].clone());
                self.ledger.accept(&replica, feature, writes, ids.clone());
                Ok(Some(Ok(ids)))
            }
            Some(Ok(ids)) if ids.len() == writes.len() => {
                // What is there already is no edit, and makes no event.
                let made = writes.into_iter().zip(ids).filter_map(|(write, id)| Some((write, id?)));
                let (writes, ids): (Vec<_>, Vec<_>) = made.unzip();
                self.ledger.accept(&replica, feature, writes, ids.clone());
                Ok(Some(Ok(ids)))
            }
            Some(Ok(ids)) => {
                let what = format!("a call of {} writes returned {} ids", writes.len(), ids.len());
                Err(Violation::new("I1", what))
            }
            Some(Err(error)) => {
                self.met(&error);
                Ok(Some(Err(error)))
            }
        }
    }

    /// Takes note of an error that a call returned.
    pub fn met(&mut self, error: &Error) {
        self.coverage.error(error);
        self.trace.line(format!("  {error}: {error:?}"));
    }

    /// The features that take part.
    pub fn active(&self) -> impl Iterator<Item = &'s dyn Feature> + use<'s> {
        let (config, features) = (self.config, self.features);
        let chosen = move |feature: &&dyn Feature| config.features.iter().any(|name| name == feature.name());
        features.iter().map(|feature| &**feature).filter(chosen)
    }

    /// Adds a line on a device to the trace.
    pub fn note(&mut self, number: usize, what: &str) {
        let now = self.env.monotonic();
        let account = &self.devices[number].account;
        self.trace.line(format!("  {now:?} d{number}/{account} {what}"));
    }

    /// The scopes that the server may hold, each with an account that can see it.
    #[must_use]
    pub fn scopes(&self) -> Vec<(String, Scope)> {
        let mut scopes: Vec<_> = self.accounts().into_iter().map(|account| (account, Scope::User)).collect();
        let member = ACCOUNTS.iter().find(|account| !self.expelled.contains(**account));
        if let (Some(member), Ok(workspace)) = (member, Scope::workspace(WORKSPACE)) {
            scopes.push(((*member).to_owned(), workspace));
        }
        scopes
    }

    /// Everyone who was ever signed in on a device.
    #[must_use]
    pub fn accounts(&self) -> BTreeSet<String> {
        let present = self.devices.iter().map(|device| device.account.clone());
        self.devices.iter().flat_map(Device::accounts).chain(present).collect()
    }

    /// The server's transport, past all faults.
    #[must_use]
    pub fn direct(&self) -> Arc<dyn Transport> {
        self.station.host().transport()
    }

    /// The time by the server's clock.
    #[must_use]
    pub fn server_now(&self) -> u64 {
        self.server_env.now_ms()
    }

    /// A line on the state of every device, for the trace.
    pub fn observe(&mut self) {
        let mut states = BTreeMap::new();
        for device in &self.devices {
            let Some(client) = &device.client else { continue };
            let status = client.status();
            let calls = device.network.calls().len();
            let text = format!("{} {}+{} {calls}", status.state.name(), status.pending, status.parked);
            states.insert(device.number, text);
        }
        self.trace.line(format!("  = {states:?}"));
    }
}

impl Drop for World<'_> {
    /// Tasks hold the environment that holds them.
    fn drop(&mut self) {
        for device in &mut self.devices {
            device.kill();
        }
        self.env.abort_all_tasks();
    }
}
