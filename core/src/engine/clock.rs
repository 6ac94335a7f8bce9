//! The server's time: measured with every answer, so that a wrong device clock decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use secrecy::SecretString;

use super::runtime::Engine;
use super::subject::subject_of;
use crate::clock::{HybridClock, OFFSET_NOISE_MS, Stamp};
use crate::concurrency::Numbered;
use crate::error::{Error, Result};
use crate::model::Scope;
use crate::protocol::StatusResponse;
use crate::replica::Txn;
use crate::transport::{Method, TransportError};

/// A request that took longer does not measure the offset, in milliseconds.
const LONGEST_MEASURE_MS: u64 = 2_000;

impl Engine {
    /// Makes sure, once for each token, that it is the replica's account's and that the server is the replica's: nothing is
    /// sent or taken in under another identity. The first answer also tells the server's time, before anything is sent.
    pub(super) async fn vouch(&self, token: &Numbered<SecretString>) -> Result<()> {
        if self.vouched.load(Ordering::Acquire) == token.number {
            return Ok(());
        }
        // What it says of itself needs no server.
        if let Some(subject) = subject_of(&token.value) {
            self.check_account(&subject).await?;
        }
        let before = self.environment.now_ms();
        let answer = self.ask(token, |context| async move {
            self.transport.request(&context, Method::Get, "/sync/status", None).await
        });
        let status: StatusResponse = serde_json::from_slice(&answer.await?.body)
            .map_err(|error| TransportError::Malformed(format!("status: {error}")))?;
        self.check_account(&status.account).await?;
        self.check_server(&status.server_id).await?;
        self.learn_time(status.server_now, before).await?;
        self.vouched.store(token.number, Ordering::Release);
        Ok(())
    }

    async fn check_account(&self, subject: &str) -> Result<()> {
        let replica = self.reader().replica().await?;
        match &replica.account {
            Some(account) if account != subject => {
                Err(Error::IdentityMismatch { expected: account.clone(), found: subject.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// The replica belongs to one server: the first that it met.
    pub(super) async fn check_server(&self, server_id: &str) -> Result<()> {
        match &self.reader().replica().await?.server_id {
            Some(known) if known == server_id => Ok(()),
            Some(known) => Err(Error::IdentityMismatch {
                expected: format!("server {known}"),
                found: format!("server {server_id}"),
            }),
            None => {
                let server_id = server_id.to_owned();
                self.writer()
                    .run(move |txn| {
                        txn.replica_mut().server_id = Some(server_id.clone());
                        Ok(())
                    })
                    .await
            }
        }
    }

    /// Takes note of the server's time, of which the request was made at the wall clock's `before`.
    pub(super) async fn learn_time(&self, server_now: u64, before: u64) -> Result<()> {
        let after = self.environment.now_ms();
        if after < before {
            // The wall clock was set back during the request: the next answer tells.
            return Ok(());
        }
        let known = self.reader().replica().await?.clock;
        if known.offset_ms.is_some() && after - before > LONGEST_MEASURE_MS {
            // The answer may be from any moment of a long request.
            return Ok(());
        }
        let mut probe = HybridClock::new(known);
        let fall_back = probe.learn_offset(server_now, before, after);
        let moved = match (known.offset_ms, probe.state().offset_ms) {
            (Some(old), Some(new)) => old.abs_diff(new),
            _ => u64::MAX,
        };
        if !fall_back && moved < OFFSET_NOISE_MS {
            return Ok(());
        }
        self.writer()
            .run(move |txn| {
                let mut clock = HybridClock::new(txn.replica().clock);
                let fall_back = clock.learn_offset(server_now, before, after);
                txn.replica_mut().clock = clock.state();
                if fall_back {
                    let wall = txn.environment().now_ms();
                    clock.fall_back(wall);
                    txn.replica_mut().clock = clock.state();
                    restamp(txn)?;
                }
                Ok(())
            })
            .await
    }
}

/// Gives every event that was never sent a new stamp of the present device, keeping their order: of events, and of the
/// operations that were folded into them.
pub(super) fn restamp(txn: &mut Txn<'_>) -> Result<()> {
    let mut unsent: BTreeMap<Scope, BTreeSet<u64>> = BTreeMap::new();
    let mut stamps: BTreeMap<Stamp, Option<Stamp>> = BTreeMap::new();
    for scope in scopes(txn)? {
        let in_flight = txn.scope(&scope)?.in_flight.clone().map(|push| push.positions).unwrap_or_default();
        txn.each_entry(&scope, &mut |_, position, entry| {
            if !entry.frozen && !in_flight.contains(&position) {
                stamps.insert(entry.event.stamp.clone(), None);
                stamps.extend(entry.event.ops.iter().filter_map(|op| op.stamp.clone()).map(|stamp| (stamp, None)));
                unsent.entry(scope.clone()).or_default().insert(position);
            }
            Ok(())
        })?;
    }
    for new in stamps.values_mut() {
        *new = Some(txn.tick());
    }
    let renewed = |stamp: &Stamp| stamps.get(stamp).cloned().flatten();
    for (scope, unsent) in unsent {
        txn.each_entry(&scope, &mut |txn, position, _| {
            if unsent.contains(&position)
                && let Some(entry) = txn.entry_mut(&scope, position)?
            {
                for op in &mut entry.event.ops {
                    op.stamp = op.stamp.as_ref().and_then(renewed);
                }
                if let Some(stamp) = renewed(&entry.event.stamp) {
                    entry.event.stamp = stamp;
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// The scopes that the replica knows.
pub(crate) fn scopes(txn: &mut Txn<'_>) -> Result<Vec<Scope>> {
    use crate::replica::keys;
    use crate::storage::{Scan, Table};
    let rows = txn.scan_stored(&Scan::prefix(Table::Meta, keys::SCOPES))?;
    Ok(rows.iter().filter_map(|row| keys::scope_of(&row.key)).collect())
}
