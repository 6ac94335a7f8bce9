//! The doctor: says in words why something is not in unison, and what to do.

use serde::Serialize;

use super::runtime::{Engine, lock};
use super::status::SyncState;
use crate::error::Result;
use crate::limits::MAX_CLOCK_AHEAD_MS;
use crate::replica::rows::Parking;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Something waits, and will go on by itself.
    Warning,
    /// Something waits for the app or the user.
    Problem,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A stable code.
    pub code: String,
    /// What was found, and what to do.
    pub message: String,
}

/// Parked events that are named one by one.
const NAMED: usize = 20;

impl Engine {
    /// Examines the replica and the engine; touches no network. (Where stored records are damaged, their digest is made anew,
    /// so that the next sync sees it.) Worst findings first; empty if all is well.
    ///
    /// # Errors
    /// The storage's.
    pub async fn doctor(&self) -> Result<Vec<Finding>> {
        let mut findings = Findings::default();
        let replica = self.reader().replica().await?;
        if replica.account.is_none() {
            findings.problem("anonymous", "The replica has no account: claim it for one, then it can sync.".into());
        }
        if replica.disabled {
            findings.problem("disabled", "Sync is switched off on this device: call `enable`.".into());
        }
        if !self.started.load(std::sync::atomic::Ordering::Acquire) {
            findings.note("not_started", "Background sync was not started: only `sync_now` syncs.".into());
        }
        if self.paused.load(std::sync::atomic::Ordering::Acquire) {
            findings.problem("paused", "Background sync is paused: call `resume`.".into());
        }
        if self.no_network.load(std::sync::atomic::Ordering::Acquire) {
            findings.warning("no_network", "The app says that there is no network (`set_online(false)`).".into());
        }
        if let Some(offset) = replica.clock.offset_ms.filter(|offset| offset.unsigned_abs() > MAX_CLOCK_AHEAD_MS) {
            findings
                .note("clock_skew", format!("The device's clock is {offset} ms off the server's; it is corrected."));
        }
        let runtimes: Vec<_> =
            lock(&self.scopes).iter().map(|(scope, runtime)| (scope.clone(), runtime.memory().clone())).collect();
        for (scope, memory) in runtimes {
            let last = memory.last_error.unwrap_or_else(|| "no error is on record".into());
            match memory.state {
                SyncState::Offline { next_try } => findings.warning(
                    "offline",
                    format!(
                        "{scope}: the server cannot be reached or refuses for now ({last}); next try {next_try:?}."
                    ),
                ),
                SyncState::AuthRequired => {
                    findings.problem(
                        "auth_required",
                        format!("{scope}: sign in again ({last}); nothing is lost meanwhile."),
                    );
                }
                SyncState::Stalled { reason } => findings.problem("stalled", format!("{scope}: {reason}")),
                SyncState::ScopeLost => findings.problem(
                    "scope_lost",
                    format!(
                        "{scope}: the server says that this account is no member; unsent work is kept. It is asked again \
                         every few minutes: give a new token, or subscribe, once the account is let in again."
                    ),
                ),
                SyncState::Disabled | SyncState::Idle | SyncState::Syncing => {}
            }
        }
        for scope in self.reader().scopes().await? {
            let row = self.reader().scope(&scope).await?;
            if row.building.is_some() {
                findings.warning(
                    "rebuilding",
                    format!("{scope}: the replica is being fetched anew; the old one is read until then."),
                );
            } else if !row.complete {
                findings.note("first_sync", format!("{scope}: the first sync is not complete."));
            }
            if let Some(push) = &row.in_flight {
                findings.warning(
                    "unanswered_push",
                    format!(
                        "{scope}: push {} ({} events) has no answer yet and will be sent again.",
                        push.push_seq,
                        push.positions.len()
                    ),
                );
            }
            for parked in self.queue.parked(&scope, NAMED).await? {
                if parked.parked.as_ref().is_some_and(|why| why.code == Parking::UNCERTAIN) {
                    findings.problem(
                        "uncertain",
                        format!(
                            "{scope}: nobody knows whether the server holds event {} on {}, and it is too large to be sent \
                             again: retry it once what is between lets it through.",
                            parked.id, parked.key
                        ),
                    );
                    continue;
                }
                let why = parked.parked.map(|why| format!("{}: {}", why.code, why.message)).unwrap_or_default();
                findings.problem(
                    "parked",
                    format!(
                        "{scope}: event {} on {} was refused ({why}): retry, replace or discard it.",
                        parked.id, parked.key
                    ),
                );
            }
            // Not beside a sync, which changes both.
            if let Some(_turn) = self.turns.try_take(&scope)
                && self.renew_digest(&scope).await?
            {
                findings.problem(
                    "digest",
                    format!("{scope}: the stored records differ from what was synced; the next sync repairs them."),
                );
            }
        }
        Ok(findings.0)
    }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn note(&mut self, code: &'static str, message: String) {
        self.put(Severity::Note, code, message);
    }

    fn warning(&mut self, code: &'static str, message: String) {
        self.put(Severity::Warning, code, message);
    }

    fn problem(&mut self, code: &'static str, message: String) {
        self.put(Severity::Problem, code, message);
    }

    fn put(&mut self, severity: Severity, code: &str, message: String) {
        // The worst first, and in the order in which they were found.
        let place = self.0.partition_point(|known| known.severity >= severity);
        self.0.insert(place, Finding { severity, code: code.to_owned(), message });
    }
}
