//! Garbage: what nobody needs any more, after the horizons that the operator set.

use std::sync::Arc;

use serde_json::json;

use super::effect::SERVER;
use super::service::{Shared, millis};
use crate::store::{self, AuditRow, PurgeRow, ScopeBatch, ScopeRow, ScopeTx, StoreError, UserRow, Verdict};

/// Rows dropped in one transaction: others wait for it.
const STEP: usize = 2_000;
/// Scopes listed at once.
const SCOPES: usize = 256;

/// What a collection dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GarbageReport {
    /// Scopes looked at.
    pub scopes: u64,
    /// Tombstones dropped.
    pub tombstones: u64,
    /// Audit rows dropped.
    pub audit_rows: u64,
}

/// Goes through all scopes.
pub(super) async fn collect(shared: &Arc<Shared>) -> Result<GarbageReport, StoreError> {
    let mut report = GarbageReport { audit_rows: drop_audit_rows(shared).await?, ..GarbageReport::default() };
    let mut after = None;
    loop {
        let scopes = shared.store.scopes(after.take(), SCOPES).await?;
        let Some(last) = scopes.last().cloned() else { return Ok(report) };
        for scope in scopes {
            report.scopes += 1;
            loop {
                let shared_for_job = Arc::clone(shared);
                let job = move |tx: &mut dyn ScopeTx| Ok((Verdict::Commit, drop_tombstones(tx, &shared_for_job)?));
                let tombstones = store::write(&*shared.store, scope.clone(), job).await?;
                report.tombstones += tombstones;
                if tombstones == 0 {
                    break;
                }
            }
        }
        after = Some(last);
    }
}

/// Drops audit rows beyond their retention, where the operator limits it.
async fn drop_audit_rows(shared: &Shared) -> Result<u64, StoreError> {
    let Some(retention) = shared.options.audit_retention else { return Ok(0) };
    // Their times are the wall clock's; where that has jumped ahead of what the server has run, nothing is older for it.
    let now_ms = shared.environment.now_ms().min(shared.ages.now_ms());
    let mut dropped = 0;
    loop {
        match shared.store.prune_audit(now_ms.saturating_sub(millis(retention)), STEP).await? {
            0 => return Ok(dropped),
            rows => dropped += rows,
        }
    }
}

/// Drops the oldest tombstones beyond the horizon, and raises the scope's horizon with them, so that no replica that has
/// missed one of these deletes goes on as if there had been none.
fn drop_tombstones(tx: &mut dyn ScopeTx, shared: &Shared) -> Result<u64, StoreError> {
    let Some(scope) = tx.scope()? else { return Ok(0) };
    let limit_ms = shared.ages.now_of(tx, &scope)?.saturating_sub(millis(shared.options.tombstone_horizon));
    let Some(commit) = tx.commit_by(limit_ms)? else { return Ok(0) };
    let Some((newest, count)) = tx.tombstones(commit.revision, STEP)? else { return Ok(0) };
    let scope =
        ScopeRow { horizon: scope.horizon.max(newest), tombstones: scope.tombstones.saturating_sub(count), ..scope };
    let purge = PurgeRow { revision: scope.revision, up_to: newest };
    let now_ms = shared.environment.now_ms();
    let user = tx.user()?.map(|user| UserRow { last_cleanup: Some(now_ms), updated_at: now_ms, ..user });
    let audit = AuditRow::new(now_ms, SERVER, "purge", json!({"up_to": newest, "tombstones": count}));
    tx.save(ScopeBatch { purge: Some(purge), user, audit: vec![audit], ..ScopeBatch::new(scope) })?;
    Ok(count)
}
