//! The worker: one loop a scope, woken by writes, the server, the app and the interval.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};

use super::cloud_sync::Extent;
use super::interrupt::Hold;
use super::runtime::{Engine, ScopeRuntime, lock};
use super::session::SyncReport;
use super::status::SyncState;
use crate::environment::timeout;
use crate::error::{Error, Result};
use crate::model::Scope;
use crate::platform::BoxFuture;
use crate::platform::sync::OwnedTurn;

/// No sync is under way while this lives.
#[derive(Debug)]
pub(crate) struct Quiet {
    // Dropped first: who was interrupted goes on only when its turn can be had.
    _turns: Vec<OwnedTurn>,
    _hold: Hold,
}

/// Why a scope should sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A local write: more may follow at once.
    Write,
    /// A sync that was asked for has failed: when the next try is due is known now.
    Failure,
    /// The app, the network or the server asks: now, whatever the backoff says.
    Request,
}

/// How long after a failure a local write causes the next try, at the earliest: an app that writes without a pause does not
/// hammer a server that is coming back.
const WRITE_PAUSE: Duration = Duration::from_secs(2);

impl Engine {
    /// Starts background sync of every scope. Idempotent.
    ///
    /// # Errors
    /// `closed`; the storage's.
    pub async fn start(self: &Arc<Self>) -> Result<()> {
        self.check_open()?;
        self.started.store(true, Ordering::Release);
        for scope in self.reader().scopes().await? {
            self.serve(&scope);
            self.wake(&scope, Cause::Request);
        }
        Ok(())
    }

    /// Wakes the scope's worker, starting one if background sync is on.
    pub fn wake(self: &Arc<Self>, scope: &Scope, cause: Cause) {
        if !self.started.load(Ordering::Acquire) {
            return;
        }
        self.serve(scope);
        let runtime = self.runtime(scope);
        match cause {
            Cause::Write => {
                runtime.written.store(true, Ordering::Release);
                runtime.bell.ring();
            }
            Cause::Failure => runtime.bell.ring(),
            Cause::Request => runtime.bell.ring_urgently(),
        }
    }

    fn serve(self: &Arc<Self>, scope: &Scope) {
        let runtime = self.runtime(scope);
        if self.turns.are_refused() || runtime.served.swap(true, Ordering::AcqRel) {
            return;
        }
        // The loop holds the engine only while it works, so that a dropped client ends it.
        let weak = Arc::downgrade(self);
        let (scope, environment) = (scope.clone(), self.environment.clone());
        let task: BoxFuture<'static, ()> = Box::pin(async move {
            let mut wait = Some(Duration::ZERO);
            loop {
                {
                    let woken = runtime.bell.heard();
                    match wait {
                        Some(wait) => drop(select(Box::pin(woken), environment.sleep(wait)).await),
                        None => woken.await,
                    }
                }
                let Some(engine) = weak.upgrade() else { return };
                if engine.turns.are_refused() {
                    return;
                }
                wait = engine.tick(&scope, &runtime).await;
                // Stopped meanwhile: nobody would wake it any more.
                if engine.turns.are_refused() {
                    return;
                }
            }
        });
        self.environment.spawn(task);
    }

    /// One turn of the loop; returns how long to sleep unless woken, `None` for "until woken".
    async fn tick(&self, scope: &Scope, runtime: &ScopeRuntime) -> Option<Duration> {
        if self.paused.load(Ordering::Acquire) {
            self.set_state(scope, SyncState::Disabled);
            return None;
        }
        if self.no_network.load(Ordering::Acquire) {
            self.set_state(scope, SyncState::Offline { next_try: None });
            return None;
        }
        let mut extent = Extent::Whole;
        if !runtime.bell.take_urgent() {
            if !runtime.written.load(Ordering::Acquire) {
                extent = Extent::Due;
            }
            // A write brings the next try forward, but for a wait that the server asked for.
            if let Some(rest) = self.until_next_try(runtime).filter(|rest| !rest.is_zero()) {
                return Some(rest);
            }
            // A burst of writes goes in one push. Whatever is urgent cuts the wait short: the next turn sees what it is.
            let mut burst = self.environment.sleep(self.options.debounce);
            while let Either::Left(((), rest)) = select(Box::pin(runtime.bell.heard()), burst).await {
                if runtime.bell.is_urgent() || self.turns.are_refused() {
                    return Some(Duration::ZERO);
                }
                burst = rest;
            }
        }
        runtime.written.store(false, Ordering::Release);
        let result = self.sync_extent(scope, extent).await;
        match &result {
            Ok(_) => Some(self.rest(scope).await),
            // Only the app can change these.
            Err(Error::Closed | Error::Disabled | Error::Sealed) => None,
            Err(_) => self.until_next_try(runtime),
        }
    }

    /// After a failure: how long it is until the next try is due.
    fn until_next_try(&self, runtime: &ScopeRuntime) -> Option<Duration> {
        let next = runtime.memory().next_try?;
        let brought_forward = !next.is_fixed && runtime.written.load(Ordering::Acquire);
        let due = if brought_forward { next.due.min(next.failed + WRITE_PAUSE) } else { next.due };
        Some(due.saturating_sub(self.environment.monotonic()))
    }

    /// Syncs every scope now and waits, for at most `deadline`.
    ///
    /// # Errors
    /// `deadline`; what stopped a scope's sync (the first of them, the other scopes are synced all the same). A scope that was
    /// lost before, and is so still, is told in the report.
    pub async fn sync_now(self: &Arc<Self>, deadline: Option<Duration>) -> Result<SyncReport> {
        self.check_open()?;
        let all = async {
            self.heed_new_token().await?;
            let scopes = self.reader().scopes().await?;
            let mut lost = BTreeSet::new();
            for scope in &scopes {
                if self.reader().scope(scope).await?.membership.is_lost() {
                    lost.insert(scope.clone());
                }
            }
            let results = join_all(scopes.iter().map(|scope| self.sync_scope(scope))).await;
            let mut total = SyncReport::default();
            let mut failed = None;
            for (scope, result) in scopes.iter().zip(results) {
                match result {
                    Ok(report) => total.add(report),
                    Err(Error::ScopeLost(_)) if lost.contains(scope) => total.lost.push(scope.clone()),
                    Err(error) => {
                        // Its worker may sleep for as long as after its own last sync: it learns when to try again.
                        self.wake(scope, Cause::Failure);
                        failed = failed.or(Some(error));
                    }
                }
            }
            failed.map_or(Ok(total), Err)
        };
        match deadline {
            None => all.await,
            Some(limit) => timeout(&*self.environment, limit, all).await.unwrap_or(Err(Error::Deadline(limit))),
        }
    }

    /// Holds background sync until [`resume`](Self::resume). A sync under way ends first. Not persisted.
    pub fn pause(self: &Arc<Self>) {
        self.paused.store(true, Ordering::Release);
        self.wake_all(Cause::Request);
    }

    /// Takes up background sync.
    pub fn resume(self: &Arc<Self>) {
        self.paused.store(false, Ordering::Release);
        self.wake_all(Cause::Request);
    }

    /// Tells whether there is a network. `true` syncs at once, whatever the backoff says.
    pub fn set_online(self: &Arc<Self>, online: bool) {
        self.no_network.store(!online, Ordering::Release);
        self.wake_all(Cause::Request);
    }

    /// Wakes the worker of every scope.
    pub(crate) fn wake_all(self: &Arc<Self>, cause: Cause) {
        let scopes: Vec<_> = lock(&self.scopes).keys().cloned().collect();
        scopes.iter().for_each(|scope| self.wake(scope, cause));
    }

    /// Switches sync on or off on this device, durably.
    ///
    /// # Errors
    /// The storage's.
    pub async fn set_enabled(self: &Arc<Self>, enabled: bool) -> Result<()> {
        self.writer()
            .run(move |txn| {
                txn.replica_mut().disabled = !enabled;
                Ok(())
            })
            .await?;
        self.wake_all(Cause::Request);
        Ok(())
    }

    /// Interrupts syncs under way and keeps others from beginning until the result is dropped. What was committed is kept; what
    /// was asked of the server is asked again by the next sync.
    pub(crate) async fn quiesce(&self) -> Quiet {
        let hold = self.interrupts.hold();
        Quiet { _turns: self.turns.hold_all().await, _hold: hold }
    }

    /// Lets no sync begin any more.
    pub(crate) fn refuse(&self) {
        self.turns.refuse();
        for runtime in lock(&self.scopes).values() {
            runtime.bell.ring();
        }
    }

    /// Ends background sync for good, at once: syncs under way are interrupted.
    pub async fn stop(self: &Arc<Self>) {
        self.refuse();
        drop(self.quiesce().await);
    }
}
