//! A run: set up in peace, go through the actions with every check after every step, heal everything, and end in unison.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::action::{Action, Decision};
use super::checks::{Ending, Violation, check_promises};
use super::config::Config;
use super::coverage::Coverage;
use super::device::{Sound, Variant};
use super::eavesdrop::Eavesdropper;
use super::host::Hosting;
use super::panics;
use super::plan::plan;
use super::workload::{Feature, built_in};
use super::world::{Checked, World};
use crate::Client;
use crate::engine::SyncState;
use crate::environment::Environment;
use crate::model::{EventId, Scope, Value, value};
use crate::replica::rows::{Outcome, QueueEntry};
use crate::testing::SeededRandom;

/// After the network has healed, so long may it take until nothing is left that can be sent (I10).
const LIVENESS: Duration = Duration::from_secs(30);
/// Longest wait after a refusal that waiting may not mend: the worker's own interval.
const INTERVAL: Duration = Duration::from_secs(60);
/// The codes of failures that are no answer of anybody.
const OWN_CODES: [&str; 3] = ["unreachable", "malformed_answer", "protocol"];
/// Bytes up to which a trace tells a document in full.
const LONGEST_TOLD: usize = 4_096;
/// Rounds of deciding on parked events after which a run counts as going in circles.
const MOST_ROUNDS: usize = 40;

/// Runs seeds against a server.
#[derive(Debug)]
pub struct Simulation {
    hosting: Box<dyn Hosting>,
    features: Vec<Box<dyn Feature>>,
    variant: Box<dyn Variant>,
}

/// A run that held every promise.
#[derive(Clone, Debug)]
pub struct Report {
    /// How it was configured.
    pub config: Config,
    /// The hash of its trace.
    pub hash: String,
    /// Its trace.
    pub trace: Vec<String>,
    /// What it has met.
    pub coverage: Coverage,
}

/// A run that did not.
#[derive(Clone, Debug)]
pub struct Failure {
    /// How it was configured.
    pub config: Config,
    /// What happened.
    pub actions: Vec<Action>,
    /// What did not hold.
    pub violation: Violation,
    /// What was observed until then.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.config)?;
        for action in &self.actions {
            writeln!(f, "  {}", serde_json::to_string(action).map_err(|_| fmt::Error)?)?;
        }
        writeln!(f, "{}", self.violation)
    }
}

impl Simulation {
    /// A simulation of what the simulator brings along, against servers that `hosting` opens.
    #[must_use]
    pub fn new(hosting: impl Hosting + 'static) -> Self {
        Self { hosting: Box::new(hosting), features: built_in(), variant: Box::new(Sound) }
    }

    /// Adds a feature.
    #[must_use]
    pub fn feature(mut self, feature: impl Feature + 'static) -> Self {
        self.features.push(Box::new(feature));
        self
    }

    /// Breaks something on purpose.
    #[must_use]
    pub fn variant(mut self, variant: impl Variant + 'static) -> Self {
        self.variant = Box::new(variant);
        self
    }

    /// What a seed stands for.
    #[must_use]
    pub fn config(&self, seed: u64) -> Config {
        let features: Vec<_> = self.features.iter().map(|feature| (feature.name(), feature.share())).collect();
        Config::of(seed, &features)
    }

    /// The history of a configuration.
    #[must_use]
    pub fn plan(&self, config: &Config) -> Vec<Action> {
        plan(config, &self.features)
    }

    /// Runs a seed.
    ///
    /// # Errors
    /// The promise that did not hold, and how it came to that.
    pub fn run_seed(&self, seed: u64) -> Result<Report, Box<Failure>> {
        let config = self.config(seed);
        let actions = self.plan(&config);
        self.run(&config, &actions)
    }

    /// Runs a history.
    ///
    /// # Errors
    /// The promise that did not hold, and how it came to that.
    pub fn run(&self, config: &Config, actions: &[Action]) -> Result<Report, Box<Failure>> {
        let mut trace = Vec::new();
        let run = AssertUnwindSafe(|| self.run_in(config, actions, &mut trace));
        let before = panics::count();
        let (outcome, leaked) = Eavesdropper::listen(|| catch_unwind(run));
        let outcome = outcome.unwrap_or_else(|panic| Err(Violation::new("I16", words(&*panic))));
        let swallowed = || Violation::new("I16", "a panic: somebody caught it, and went on".to_owned());
        let outcome = outcome.and_then(|report| if panics::count() == before { Ok(report) } else { Err(swallowed()) });
        let leaked = leaked.map(|text| Violation::new("I15", format!("a token is traced: {text}")));
        let outcome = outcome.and_then(|report| leaked.map_or(Ok(report), Err));
        outcome.map_err(|violation| {
            Box::new(Failure { config: config.clone(), actions: actions.to_vec(), violation, trace })
        })
    }

    fn run_in(&self, config: &Config, actions: &[Action], trace: &mut Vec<String>) -> Checked<Report> {
        let mut world = World::open(config, &*self.hosting, &self.features, &*self.variant)?;
        let outcome = catch_unwind(AssertUnwindSafe(|| live(&mut world, actions)));
        // A run that panicked has a trace too.
        trace.extend_from_slice(world.trace.lines());
        match outcome {
            Ok(done) => done?,
            Err(panic) => return Err(Violation::new("I16", words(&*panic))),
        }
        let (hash, mut coverage) = (world.trace.hash(), world.coverage.clone());
        world.station.refusals().keys().for_each(|code| coverage.hit(format!("answer/{code}")));
        if let Some(name) = coverage.unexpected() {
            return Err(Violation::new("I12", format!("{name} is said of a sound replica")));
        }
        Ok(Report { config: config.clone(), hash, trace: trace.clone(), coverage })
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    format!("a panic: {}", text.unwrap_or_else(|| "without words".to_owned()))
}

fn live(world: &mut World<'_>, actions: &[Action]) -> Checked {
    set_up(world)?;
    for (number, action) in actions.iter().enumerate() {
        let text = serde_json::to_string(action).unwrap_or_default();
        world.trace.line(format!("#{number} {text}"));
        world.perform(action)?;
        check_all(world)?;
    }
    world.trace.line("heal");
    heal(world)?;
    settle(world)?;
    end(world)
}

/// Everything is there, and everybody knows it, before anything goes wrong.
fn set_up(world: &mut World<'_>) -> Checked {
    let mut prepared = Vec::new();
    for number in 0..world.devices.len() {
        let account = world.devices[number].account.clone();
        if !prepared.contains(&account) {
            prepared.push(account);
            for feature in world.active() {
                let Some(client) = world.client(number)? else { continue };
                let app = world.app(number, client);
                for attempt in feature.prepare(&app) {
                    if let Some(Err(error)) = world.make(number, feature.name(), attempt)? {
                        return Err(Violation::new("run", format!("{} cannot be prepared: {error}", feature.name())));
                    }
                }
                // A small queue does not hold what all of them make.
                if world.config.queue_events < 100 {
                    sync_in_peace(world, number)?;
                }
            }
        }
        sync_in_peace(world, number)?;
    }
    for number in 0..world.devices.len() {
        sync_in_peace(world, number)?;
    }
    check_all(world)
}

fn sync_in_peace(world: &mut World<'_>, number: usize) -> Checked {
    let Some(client) = world.client(number)? else {
        return Err(Violation::new("run", format!("d{number} does not open in peace")));
    };
    match world.guarded(number, client.sync_now()) {
        Some(Ok(_)) => Ok(()),
        // The others' scopes are synced all the same.
        Some(Err(_)) if world.expelled.contains(&world.devices[number].account) => Ok(()),
        Some(Err(error)) => Err(Violation::new("I10", format!("d{number} does not sync in peace: {error}"))),
        None => Err(Violation::new("run", format!("d{number} died in peace"))),
    }
}

fn check_all(world: &mut World<'_>) -> Checked {
    // Whoever was told of something has taken note of it.
    world.env.run_until_idle();
    world.bury();
    world.count_met_faults();
    world.check_server()?;
    for number in 0..world.devices.len() {
        world.check_device(number)?;
    }
    world.observe();
    Ok(())
}

/// Nothing goes wrong any more. What the user or the system would do to go on is done: nothing else.
fn heal(world: &mut World<'_>) -> Checked {
    if world.config.readmits {
        let accounts = world.expelled.clone();
        accounts.iter().for_each(|account| world.admit(account));
    }
    for number in 0..world.devices.len() {
        let device = &mut world.devices[number];
        device.network.heal();
        (device.scripted, device.killers) = Default::default();
        device.network.inner().heal();
        device.network.set_online(true);
        device.env.freeze_wall(false);
        device.open_wallets();
        for account in device.accounts() {
            if let Some(disk) = device.disk_of(&account) {
                disk.heal();
            }
        }
        if !goes_on(world, number) {
            wake(world, number)?;
        }
    }
    Ok(())
}

/// Whether a device's workers will try again without being told that anything is better now.
fn goes_on(world: &World<'_>, number: usize) -> bool {
    let device = &world.devices[number];
    let runs = device.config.worker && !device.suspended && !device.told_offline;
    let Some(client) = device.client.as_ref().filter(|_| runs) else { return false };
    let waits = |state: &SyncState| match state {
        SyncState::Idle | SyncState::Syncing | SyncState::Stalled { .. } => true,
        SyncState::Offline { next_try } => next_try.is_some(),
        SyncState::Disabled | SyncState::AuthRequired | SyncState::ScopeLost => false,
    };
    client.status().scopes.values().all(|scope| waits(&scope.state))
}

/// A device that is in order again: its app runs, is not suspended, has a token and has sync switched on.
fn wake(world: &mut World<'_>, number: usize) -> Checked {
    let Some(client) = world.client(number)? else {
        return Err(Violation::new("run", format!("d{number} does not open in peace")));
    };
    let access = world.access.clone();
    let wallet = world.devices[number].wallet(&access);
    let woken = world.guarded(number, async {
        client.resume().await?;
        client.enable().await?;
        client.set_online(true);
        client.set_credentials(std::sync::Arc::new(wallet));
        client.start().await
    });
    world.devices[number].suspended = false;
    world.devices[number].told_offline = false;
    match woken {
        Some(Ok(())) => Ok(()),
        other => Err(Violation::new("run", format!("d{number} does not go on in peace: {other:?}"))),
    }
}

/// The workers alone have to bring everything home, of everybody who was ever signed in.
fn settle(world: &mut World<'_>) -> Checked {
    drain(world)?;
    // Who had nothing to send hears only now of a server that was restored, and may have to offer something again.
    sync_all(world)?;
    drain(world)?;
    for number in 0..world.devices.len() {
        let former = world.devices[number].account.clone();
        if world.devices[number].accounts().len() > 1 {
            world.trace.line(format!("d{number} lets the other account in"));
            world.switch_account(number)?;
            wake(world, number)?;
            drain(world)?;
            sync_in_peace(world, number)?;
            drain(world)?;
            sync_in_peace(world, number)?;
            check_all(world)?;
            let scopes = world.final_scopes()?;
            world.check_equal(number, &scopes)?;
            world.check_growth()?;
            if world.devices[number].account != former {
                world.switch_account(number)?;
                wake(world, number)?;
            }
        }
    }
    Ok(())
}

/// Waits until nothing is left in any queue, while the app decides on what is parked. Each wait has a bound (I10).
fn drain(world: &mut World<'_>) -> Checked {
    let mut random = SeededRandom::stream(world.config.seed, 0xd4a1);
    for _ in 0..MOST_ROUNDS {
        let began = world.env.monotonic();
        let bound = LIVENESS + asked_to_wait(world);
        // Looking lets the workers go on: it is done once a round.
        while let Some(who) = busy(world) {
            if world.env.monotonic() - began > bound {
                return Err(Violation::new("I10", format!("{bound:?} after the network has healed {who}")));
            }
            world.pass(Duration::from_secs(1));
            check_all(world)?;
        }
        if !decide(world, &mut random)? {
            return Ok(());
        }
    }
    Err(Violation::new("I12", "parked events come back however often they are decided on"))
}

/// How long the server, or the backoff after its refusals, keeps somebody waiting.
fn asked_to_wait(world: &World<'_>) -> Duration {
    let clients = world.devices.iter().filter_map(|device| device.client.as_ref());
    let waits = clients.flat_map(|client| client.status().scopes.into_values()).filter_map(|scope| {
        let refused = scope.last_error.is_some_and(|error| !OWN_CODES.iter().any(|code| error.starts_with(code)));
        match scope.state {
            SyncState::Offline { next_try } if refused => next_try,
            SyncState::Stalled { .. } if refused => Some(INTERVAL),
            _ => None,
        }
    });
    waits.max().unwrap_or_default()
}

/// Somebody who has something left to send.
fn busy(world: &mut World<'_>) -> Option<String> {
    for number in 0..world.devices.len() {
        let Some(client) = world.devices[number].client.clone() else { continue };
        let lost = world.expelled.contains(&world.devices[number].account);
        let sendable = world.env.block_on(sendable(&client, lost));
        if let Some(first) = sendable.first() {
            let replica = world.devices[number].replica();
            return Some(format!("{replica} has {} events left: {first:?}, {:?}", sendable.len(), client.status()));
        }
    }
    None
}

/// Events that nothing holds back: not parked, and not behind what is parked.
async fn sendable(client: &Client, lost: bool) -> Vec<QueueEntry> {
    let reader = client.replica();
    let mut free = Vec::new();
    for scope in reader.scopes().await.unwrap_or_default() {
        if lost && scope != Scope::User {
            continue;
        }
        let entries = reader.entries(&scope, 0, usize::MAX).await.unwrap_or_default();
        let mut blocked = BTreeSet::new();
        let mut blocked_ids = BTreeSet::new();
        for (_, entry) in &entries {
            let event = &entry.event;
            let group = entries.iter().filter(|(_, other)| event.group.is_some() && other.event.group == event.group);
            let mut waits = false;
            for id in &event.depends_on {
                waits |= blocked_ids.contains(&carrier(client, id).await);
            }
            let held = entry.parked.is_some()
                || blocked.contains(&event.key())
                || waits
                || group.clone().any(|(_, other)| other.parked.is_some() || blocked.contains(&other.event.key()));
            if held {
                blocked.insert(event.key());
                blocked.extend(group.map(|(_, other)| other.event.key()));
                blocked_ids.insert(event.id.clone());
            } else {
                free.push(entry.clone());
            }
        }
    }
    free
}

/// The event that carries an event's content in the end.
async fn carrier(client: &Client, id: &EventId) -> EventId {
    let mut id = id.clone();
    while let Ok(Some(Outcome::ReplacedBy { id: next })) = client.outcome(&id).await {
        id = next;
    }
    id
}

/// The apps decide on everything that is parked. Returns whether anything was.
fn decide(world: &mut World<'_>, random: &mut SeededRandom) -> Checked<bool> {
    let mut any = false;
    for number in 0..world.devices.len() {
        let Some(client) = world.client(number)? else { continue };
        let lost = world.expelled.contains(&world.devices[number].account);
        loop {
            let parked = world.env.block_on(client.parked());
            let parked = parked.map_err(|error| Violation::new("I12", format!("d{number}: {error}")))?;
            let Some(event) = parked.iter().find(|event| !(lost && event.scope != Scope::User)) else { break };
            any = true;
            // A conflict stays one however often it is sent: most are dropped.
            let decision = [Decision::Retry, Decision::Replace, Decision::Discard, Decision::Discard][pick(random)];
            let excused = world.excuses(number);
            world.resolve(number, &client, &event.id, decision, excused)?;
            check_all(world)?;
        }
    }
    Ok(any)
}

fn pick(random: &mut SeededRandom) -> usize {
    usize::try_from(random.below(4)).unwrap_or(3)
}

fn sync_all(world: &mut World<'_>) -> Checked {
    for number in 0..world.devices.len() {
        sync_in_peace(world, number)?;
    }
    Ok(())
}

/// Nothing is left to do: everybody must be in unison.
fn end(world: &mut World<'_>) -> Checked {
    world.trace.line("end");
    sync_all(world)?;
    sync_all(world)?;
    check_all(world)?;
    let scopes = world.final_scopes()?;
    for number in 0..world.devices.len() {
        world.check_equal(number, &scopes)?;
    }
    for scope in &scopes {
        let state: Vec<_> = scope.state.iter().map(|(key, doc)| format!("{key} {}", shortened(doc))).collect();
        let log: Vec<_> = scope.log.iter().map(|write| format!("{} {}", write.event.id, write.event.stamp)).collect();
        world.trace.line(format!("{} {} {state:?} {log:?}", scope.account, scope.scope));
    }
    let ledger = std::mem::take(&mut world.ledger);
    let ending = Ending { ledger: &ledger, scopes: &scopes, expelled: &world.expelled };
    check_promises(&ending)?;
    for feature in world.active() {
        feature.check_end(&ending)?;
    }
    world.check_secrets()?;
    world.check_growth()?;
    close(world)
}

/// A document as the trace tells it.
fn shortened(doc: &Value) -> String {
    let text = doc.to_string();
    if text.len() <= LONGEST_TOLD { text } else { format!("{} bytes, {}", text.len(), value::hash_hex(doc)) }
}

/// Closed clients leave nothing behind (I13).
fn close(world: &mut World<'_>) -> Checked {
    for number in 0..world.devices.len() {
        let Some(client) = world.devices[number].client.clone() else { continue };
        if let Some(Err(error)) = world.guarded(number, client.close()) {
            return Err(Violation::new("run", format!("d{number} does not close: {error}")));
        }
        world.check_closed(number, &client)?;
    }
    Ok(())
}
