//! One sync of one scope: pushes first, then a pull, then again, until neither side has anything left.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use secrecy::SecretString;
use serde::Serialize;

use super::backoff::{Backoff, is_own_word};
use super::cloud_sync::Extent;
use super::push::Pushed;
use super::runtime::{Engine, NextTry, ScopeRuntime};
use super::status::{Progress, SyncState};
use crate::concurrency::Numbered;
use crate::environment::{Environment, timeout};
use crate::error::{Error, Result};
use crate::events::ClientEvent;
use crate::model::Scope;
use crate::protocol::{Problem, ProblemCode};
use crate::transport::{RequestContext, TransportError};

/// What a sync did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
pub struct SyncReport {
    /// Events that the server has recorded.
    pub pushed: u64,
    /// Changes that were pulled.
    pub pulled: u64,
    /// Pushed events that met concurrent writes.
    pub conflicts: u64,
    /// Events that were refused and parked.
    pub parked: u64,
    /// Digest buckets that differed and were repaired.
    pub repaired: u64,
    /// Scopes that were lost before and are so still: the server knows none of the kind for this account. Their unsent work is
    /// kept. The sync that first finds a scope lost fails with `scope_lost` instead.
    #[cfg_attr(feature = "wasm", tsify(type = "string[]"))]
    pub lost: Vec<Scope>,
}

impl SyncReport {
    /// Adds another report.
    pub fn add(&mut self, other: SyncReport) {
        self.pushed += other.pushed;
        self.pulled += other.pulled;
        self.conflicts += other.conflicts;
        self.parked += other.parked;
        self.repaired += other.repaired;
        self.lost.extend(other.lost);
    }
}

/// Times that one sync may adopt a new history, identity or generation before it gives up until the next: a server that
/// asks for more is broken.
const MAX_TURNS: u32 = 8;

impl Engine {
    /// Syncs a scope now. Waits for a sync of it that is under way, then runs one of its own.
    ///
    /// # Errors
    /// What stopped the sync. What was done before is kept.
    pub async fn sync_scope(&self, scope: &Scope) -> Result<SyncReport> {
        self.sync_extent(scope, Extent::Whole).await
    }

    /// [`sync_scope`](Self::sync_scope), of as much as `extent` says.
    pub(super) async fn sync_extent(&self, scope: &Scope, extent: Extent) -> Result<SyncReport> {
        loop {
            let turn = self.turns.take(scope).await.ok_or(Error::Closed)?;
            if let Some(result) = self.interrupts.unless_held(self.sync_in_turn(scope, extent)).await {
                return result;
            }
            // Whoever interrupts waits for the turn. Then it is begun anew, unless the client is closed.
            drop(turn);
            self.interrupts.over().await;
        }
    }

    async fn sync_in_turn(&self, scope: &Scope, extent: Extent) -> Result<SyncReport> {
        let runtime = self.runtime(scope);
        runtime.memory().progress = Progress::default();
        let mut syncing = Syncing::begin(self, scope, &runtime);
        let result = match self.watched(scope, &runtime, extent).await {
            Err(error) if is_denial(&error) => Err(self.denied(scope, error).await),
            result => result,
        };
        syncing.ended = true;
        self.remember(scope, &runtime, &result).await;
        if let Ok(report) = &result {
            self.announce(ClientEvent::Synced { scope: scope.clone(), report: report.clone() });
        }
        result
    }

    /// Asks the server whose the present token is.
    ///
    /// # Errors
    /// `identity_mismatch` if it is not the replica's account's, or the server is not the replica's; `auth_required`; the
    /// transport's.
    pub(crate) async fn prove(&self) -> Result<()> {
        self.pass().await.map(drop)
    }

    /// Runs the sync under the watchdog: given up after [`stall_limit`](super::EngineOptions::stall_limit) without a step,
    /// and a panic in it ends it, not the worker.
    async fn watched(&self, scope: &Scope, runtime: &ScopeRuntime, extent: Extent) -> Result<SyncReport> {
        let sync = std::panic::AssertUnwindSafe(self.run_sync(scope, runtime, extent)).catch_unwind();
        let mut sync = std::pin::pin!(sync);
        loop {
            let before = runtime.steps.load(std::sync::atomic::Ordering::Relaxed);
            match timeout(&*self.environment, self.options.stall_limit, sync.as_mut()).await {
                Some(Ok(result)) => return result,
                Some(Err(_)) => return Err(Error::Internal("the sync panicked".into())),
                None if runtime.steps.load(std::sync::atomic::Ordering::Relaxed) == before => {
                    return Err(Error::Deadline(self.options.stall_limit));
                }
                None => {}
            }
        }
    }

    async fn run_sync(&self, scope: &Scope, runtime: &ScopeRuntime, extent: Extent) -> Result<SyncReport> {
        let mut report = SyncReport::default();
        let mut turns = 0;
        self.check_may_sync().await?;
        loop {
            match self.exchange(scope, runtime, extent, &mut report).await {
                Ok(()) => return Ok(report),
                Err(error) => match Turn::of(&error) {
                    Some(turn) if turns < MAX_TURNS => {
                        turns += 1;
                        self.take_turn(scope, turn).await?;
                    }
                    _ => return Err(error),
                },
            }
        }
    }

    /// Pushes and pulls until nothing is left.
    async fn exchange(
        &self,
        scope: &Scope,
        runtime: &ScopeRuntime,
        extent: Extent,
        report: &mut SyncReport,
    ) -> Result<()> {
        // Before the first push is cut: its events are stamped by the server's time.
        self.pass().await?;
        self.clear_retired(scope).await?;
        let row = self.reader().scope(scope).await?;
        // What became of a history, or of a push, only a pull of all tells.
        let settled = row.building.is_none() && !row.in_doubt;
        if settled && self.is_narrowed(&self.cloud_sync().await?, runtime, extent) {
            self.exchange_settings(scope, report).await?;
            // They may say by now that the rest is wanted.
            if self.is_narrowed(&self.cloud_sync().await?, runtime, extent) {
                return Ok(());
            }
        }
        loop {
            let selection = self.cloud_sync().await?.selection;
            let row = self.reader().scope(scope).await?;
            // A generation that is being rebuilt has no revisions to base a push on: it is completed first.
            let building = row.building.is_some();
            if !building && !row.in_doubt {
                while let Pushed::Some = self.push_once(scope, &selection, report).await? {
                    runtime.step();
                }
            }
            let pulled = self.pull_once(scope, runtime, report).await?;
            runtime.step();
            if pulled.more {
                continue;
            }
            if let Some(theirs) = pulled.digest {
                self.check_digest(scope, runtime, &theirs, report).await?;
            }
            self.clear_retired(scope).await?;
            if building || self.queue.has_sendable(scope, &selection).await? {
                continue;
            }
            runtime.memory().whole = Some(self.environment.monotonic());
            return self.forget_outcomes(scope, runtime).await;
        }
    }

    async fn check_may_sync(&self) -> Result<()> {
        let replica = self.reader().replica().await?;
        if replica.disabled {
            return Err(Error::Disabled);
        }
        if replica.sealed {
            return Err(Error::Sealed);
        }
        if replica.account.is_none() {
            return Err(Error::Auth("the replica is anonymous: give it an account with `claim`".into()));
        }
        Ok(())
    }

    /// Calls the server: with a token of the replica's account, renewed once if it is refused, and with a deadline. So what is
    /// refused in the end was refused to a fresh token.
    pub(super) async fn call<T, F>(&self, request: impl Fn(RequestContext) -> F) -> Result<T>
    where
        F: Future<Output = Result<T, TransportError>>,
    {
        let mut pass = self.pass().await?;
        loop {
            match self.ask(&pass.token, &request).await {
                Err(error) => pass = self.renewed(pass, error).await?,
                answer => return answer,
            }
        }
    }

    /// A pass for a call.
    async fn pass(&self) -> Result<Pass> {
        let token = self.tokens.current(&*self.environment).await?;
        self.vouched(Pass { token, refused: false, denied: false }).await
    }

    /// A pass after one with which a call ended in `error`: if the token was refused, and was not yet renewed.
    async fn renewed(&self, pass: Pass, error: Error) -> Result<Pass> {
        let pass = self.renew(pass, error).await?;
        self.vouched(pass).await
    }

    async fn vouched(&self, mut pass: Pass) -> Result<Pass> {
        while let Err(error) = self.vouch(&pass.token).await {
            pass = self.renew(pass, error).await?;
        }
        Ok(pass)
    }

    async fn renew(&self, pass: Pass, error: Error) -> Result<Pass> {
        let refused = matches!(&error, Error::Transport(TransportError::Problem(problem)) if problem.status == 401);
        // A token may be from before the membership, or may lack it by mistake, one that was just renewed too.
        let denied = is_denial(&error);
        if (refused && !pass.refused) || (denied && !pass.denied) {
            let token = self.tokens.refresh(Some(pass.token.number), &*self.environment).await?;
            return Ok(Pass { token, refused: pass.refused || refused, denied: pass.denied || denied });
        }
        Err(match error {
            Error::Transport(TransportError::Problem(problem)) if refused && !problem.is_bare() => {
                Error::Auth(words(&problem))
            }
            error => error,
        })
    }

    /// Makes one request, with this token and a deadline.
    pub(super) async fn ask<T, F>(
        &self,
        token: &Numbered<SecretString>,
        request: impl Fn(RequestContext) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, TransportError>>,
    {
        let context = RequestContext { token: Some(token.value.clone()), deadline: Some(self.options.deadline) };
        let answer = timeout(&*self.environment, self.options.deadline, request(context)).await;
        Ok(answer.unwrap_or_else(|| Err(TransportError::Unreachable("the deadline passed".into())))?)
    }

    /// Does what the server's verdict on the replica as a whole asks for.
    async fn take_turn(&self, scope: &Scope, turn: Turn) -> Result<()> {
        match turn {
            Turn::Epoch { epoch, shared_revision } => self.adopt_epoch(scope, epoch, shared_revision).await,
            Turn::Expired { unreadable } => self.rebuild(scope, unreadable).await,
            Turn::Forked => self.become_new_device().await,
        }
    }

    async fn remember(&self, scope: &Scope, runtime: &Arc<ScopeRuntime>, result: &Result<SyncReport>) {
        let row = self.reader().scope(scope).await.unwrap_or_default();
        let state = {
            let mut memory = runtime.memory();
            (memory.complete, memory.consistent) = (row.complete, row.consistent);
            memory.last_error = result.as_ref().err().map(|error| format!("{}: {error}", error.code()));
            let (state, wait) = match result {
                Ok(_) => {
                    memory.backoff.reset();
                    (SyncState::Idle, None)
                }
                Err(error) => {
                    let wait = || memory.backoff.next(error, &*self.environment);
                    state_after(error, self.options.interval, wait, &*self.environment)
                }
            };
            let failed = self.environment.monotonic();
            let is_fixed = result.as_ref().err().is_some_and(is_own_word);
            memory.next_try = wait.map(|wait| NextTry { failed, due: failed + wait, is_fixed });
            state
        };
        self.set_state(scope, state);
    }
}

/// A token with which the server may be called.
struct Pass {
    token: Numbered<SecretString>,
    /// One before it was refused.
    refused: bool,
    /// One before it was denied the scope.
    denied: bool,
}

/// A sync under way, as the status tells it. If its caller gives it up, the state is again what it was before.
struct Syncing<'a> {
    engine: &'a Engine,
    scope: &'a Scope,
    before: SyncState,
    ended: bool,
}

impl<'a> Syncing<'a> {
    fn begin(engine: &'a Engine, scope: &'a Scope, runtime: &ScopeRuntime) -> Self {
        let before = runtime.memory().state.clone();
        engine.set_state(scope, SyncState::Syncing);
        Self { engine, scope, before, ended: false }
    }
}

impl Drop for Syncing<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.engine.set_state(self.scope, self.before.clone());
        }
    }
}

fn words(problem: &Problem) -> String {
    problem.detail.clone().unwrap_or_else(|| problem.title.clone())
}

fn is_denial(error: &Error) -> bool {
    matches!(error, Error::Transport(TransportError::Problem(problem)) if problem.is(ProblemCode::ScopeNotFound))
}

/// The state after a failure, and how long to wait before the next try, at most `interval` where it may help.
fn state_after(
    error: &Error,
    interval: Duration,
    wait: impl FnOnce() -> Duration,
    environment: &dyn Environment,
) -> (SyncState, Option<Duration>) {
    match error {
        Error::Disabled => (SyncState::Disabled, None),
        // The next token may be a better one.
        Error::Auth(_) => (SyncState::AuthRequired, Some(interval)),
        // The source may need the network too, and what stands before the server may answer for it.
        Error::NoToken(_) => (SyncState::AuthRequired, Some(wait().min(interval))),
        Error::Transport(TransportError::Problem(problem)) if problem.status == 401 => {
            (SyncState::AuthRequired, Some(wait().min(interval)))
        }
        Error::ScopeLost(_) => (SyncState::ScopeLost, Some(Backoff::probe(environment))),
        Error::Transport(transport) if transport.retryable() => {
            let wait = wait();
            (SyncState::Offline { next_try: Some(wait) }, Some(wait))
        }
        // Tried again too, but the app should know: waiting alone has not helped others in this place.
        error => (SyncState::Stalled { reason: format!("{}: {error}", error.code()) }, Some(wait().min(interval))),
    }
}

/// Verdicts on the replica as a whole, after which the sync goes on in another way.
enum Turn {
    Epoch { epoch: String, shared_revision: u64 },
    Expired { unreadable: bool },
    Forked,
}

impl Turn {
    fn of(error: &Error) -> Option<Self> {
        let Error::Transport(TransportError::Problem(problem)) = error else { return None };
        if problem.is(ProblemCode::EpochChanged) {
            let shared_revision = problem.shared_revision.unwrap_or(0);
            return Some(Self::Epoch { epoch: problem.epoch.clone()?, shared_revision });
        }
        let turns = [
            (ProblemCode::CursorExpired, Self::Expired { unreadable: false }),
            (ProblemCode::InvalidCursor, Self::Expired { unreadable: true }),
            (ProblemCode::DeviceForked, Self::Forked),
        ];
        turns.into_iter().find_map(|(code, turn)| problem.is(code).then_some(turn))
    }
}
