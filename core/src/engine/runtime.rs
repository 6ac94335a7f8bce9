//! The engine's own state: what it holds, and what it remembers between syncs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;

use super::backoff::Backoff;
use super::cloud_sync::Withheld;
use super::credentials::Tokens;
use super::interrupt::Interrupts;
use super::status::{Progress, ScopeStatus, Status, SyncState};
use crate::concurrency::{Bell, Turns};
use crate::environment::SharedEnvironment;
use crate::error::{Error, Result};
use crate::events::ClientEvent;
use crate::limits::MAX_PUSH_EVENTS;
use crate::model::Scope;
use crate::queue::OfflineQueue;
use crate::replica::rows::ReplicaRow;
use crate::replica::{Replica, Writer};
use crate::transport::Transport;

/// How the engine works.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Between syncs without a cause.
    pub interval: Duration,
    /// From a local write to the sync that it causes, so that a burst goes in one push.
    pub debounce: Duration,
    /// The deadline of one request, and of each chunk of a feed.
    pub deadline: Duration,
    /// After so long without any progress a sync is given up and started again.
    pub stall_limit: Duration,
    /// Changes asked for in one pull request; between requests, pushes go first.
    pub pull_limit: u32,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            debounce: Duration::from_millis(20),
            deadline: Duration::from_secs(30),
            stall_limit: Duration::from_secs(120),
            pull_limit: 10_000,
        }
    }
}

/// Syncs a replica with a server.
#[derive(Debug)]
pub struct Engine {
    pub(super) queue: OfflineQueue,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) environment: SharedEnvironment,
    pub(super) tokens: Tokens,
    /// The number of the token that the server has said to be the replica's account's; 0 for none.
    pub(super) vouched: AtomicU64,
    pub(super) options: EngineOptions,
    pub(super) scopes: Mutex<BTreeMap<Scope, Arc<ScopeRuntime>>>,
    pub(super) events: broadcast::Sender<ClientEvent>,
    pub(super) started: AtomicBool,
    pub(super) paused: AtomicBool,
    pub(super) no_network: AtomicBool,
    pub(super) metered: AtomicBool,
    /// Why the user's settings hold back all but themselves.
    pub(super) withheld: Mutex<Option<Withheld>>,
    /// One sync at a time of each scope; none once the engine is stopped.
    pub(super) turns: Turns<Scope>,
    /// Ends syncs under way for whoever cannot wait for a server.
    pub(super) interrupts: Interrupts,
}

/// What is remembered of a scope between syncs; nothing here is authoritative.
#[derive(Debug, Default)]
pub(super) struct ScopeRuntime {
    /// There is a cause to sync; an urgent one cannot wait for the debounce or the backoff.
    pub bell: Bell,
    /// Counts steps, for the watchdog.
    pub steps: AtomicU64,
    /// Whether a worker serves it.
    pub served: AtomicBool,
    /// Something was written since the last sync began.
    pub written: AtomicBool,
    pub memory: Mutex<Memory>,
}

#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub state: SyncState,
    pub backoff: Backoff,
    pub progress: Progress,
    pub last_error: Option<String>,
    pub complete: bool,
    pub consistent: bool,
    /// After a failure: the next try; `None` where only the app can help.
    pub next_try: Option<NextTry>,
    /// When all that is to be synced was, last, on the monotonic clock.
    pub whole: Option<Duration>,
    /// The outcome down to which the last look for old ones came; the next begins at the newest if absent.
    pub swept: Option<Vec<u8>>,
    /// The most events that the next push may have: less after one that was too large, or whose answer was.
    pub push_events: usize,
}

/// When a scope is tried again, on the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct NextTry {
    /// When the last try failed.
    pub failed: Duration,
    /// When the next one is due.
    pub due: Duration,
    /// A local write does not bring it forward.
    pub is_fixed: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            state: SyncState::Idle,
            backoff: Backoff::default(),
            progress: Progress::default(),
            last_error: None,
            complete: false,
            consistent: false,
            next_try: None,
            whole: None,
            swept: None,
            push_events: MAX_PUSH_EVENTS,
        }
    }
}

impl ScopeRuntime {
    pub fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        lock(&self.memory)
    }

    /// Something moved: the watchdog need not bark.
    pub fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }
}

impl Engine {
    /// An engine on `queue`'s replica. Nothing runs before [`start`](Self::start) or a call.
    #[must_use]
    pub fn new(
        queue: OfflineQueue,
        transport: Arc<dyn Transport>,
        environment: SharedEnvironment,
        tokens: Tokens,
        options: EngineOptions,
    ) -> Self {
        Self {
            queue,
            transport,
            environment,
            tokens,
            vouched: AtomicU64::new(0),
            options,
            scopes: Mutex::default(),
            events: broadcast::channel(1024).0,
            started: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            no_network: AtomicBool::new(false),
            metered: AtomicBool::new(false),
            withheld: Mutex::new(None),
            turns: Turns::default(),
            interrupts: Interrupts::default(),
        }
    }

    pub(super) fn writer(&self) -> &Writer {
        self.queue.writer()
    }

    pub(super) fn reader(&self) -> Replica {
        self.queue.writer().reader()
    }

    pub(super) fn runtime(&self, scope: &Scope) -> Arc<ScopeRuntime> {
        lock(&self.scopes).entry(scope.clone()).or_default().clone()
    }

    /// The tokens in use.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The events of the engine: states, progress, finished syncs.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<ClientEvent> {
        self.events.subscribe()
    }

    pub(super) fn announce(&self, event: ClientEvent) {
        // No listener is no error.
        drop(self.events.send(event));
    }

    pub(super) fn set_state(&self, scope: &Scope, state: SyncState) {
        let runtime = self.runtime(scope);
        let changed = {
            let mut memory = runtime.memory();
            let changed = memory.state != state;
            memory.state = state.clone();
            changed
        };
        if changed {
            self.announce(ClientEvent::State { scope: scope.clone(), state });
        }
    }

    /// The replica's row.
    pub(crate) async fn replica_row(&self) -> Result<Arc<ReplicaRow>> {
        self.reader().replica().await
    }

    /// Refuses calls on a closed engine.
    pub(super) fn check_open(&self) -> Result<()> {
        if self.turns.are_refused() { Err(Error::Closed) } else { Ok(()) }
    }

    /// The state at this moment.
    #[must_use]
    pub fn status(&self) -> Status {
        let replica = self.reader().snapshot();
        let mut scopes = BTreeMap::new();
        for (scope, runtime) in lock(&self.scopes).iter() {
            let memory = runtime.memory().clone();
            let state = if replica.disabled { SyncState::Disabled } else { memory.state };
            scopes.insert(
                scope.clone(),
                ScopeStatus {
                    state,
                    complete: memory.complete,
                    consistent: memory.consistent,
                    progress: memory.progress,
                    last_error: memory.last_error,
                },
            );
        }
        let resting = if replica.disabled { SyncState::Disabled } else { SyncState::Idle };
        let state = scopes.values().map(|scope| &scope.state).max_by_key(|state| gravity(state)).cloned();
        Status {
            state: state.filter(|state| *state != SyncState::Idle).unwrap_or(resting),
            started: self.started.load(Ordering::Acquire),
            withheld: self.withheld(),
            pending: replica.queued_events.saturating_sub(replica.parked_events),
            parked: replica.parked_events,
            queued_bytes: replica.queued_bytes,
            clock_offset_ms: replica.clock.offset_ms,
            scopes,
        }
    }
}

/// Which state deserves the user's eye first.
fn gravity(state: &SyncState) -> u8 {
    match state {
        SyncState::Idle => 0,
        SyncState::Disabled => 1,
        SyncState::Syncing => 2,
        SyncState::ScopeLost => 3,
        SyncState::Offline { .. } => 4,
        SyncState::Stalled { .. } => 5,
        SyncState::AuthRequired => 6,
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
