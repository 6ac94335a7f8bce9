//! Forgetting: what a replica remembers of events that have left its queue goes once the server's backups are sure to hold
//! all of it. Without it, a replica that is written to for years would grow with each write, not with its records.
//!
//! A settled event is kept because a restored server might lack it; an outcome, because the app might ask. Both go at the
//! scope's backup revision: by default a week after the event. What left the queue unsent has no revision: it is dated at
//! the next sync.

use super::runtime::{Engine, ScopeRuntime};
use crate::error::Result;
use crate::model::{EventId, Revision, Scope};
use crate::replica::keys;
use crate::replica::rows::{Outcome, OutcomeRow};
use crate::replica::{Txn, decode};
use crate::storage::{RowKey, Scan, Table};

/// Settled events that one commit forgets.
const PRUNE: usize = 2_000;
/// Outcomes that one sync looks at.
const SWEEP: usize = 1_000;

/// Forgets settled events that the server's backups are sure to hold.
pub(super) fn prune_settled(txn: &mut Txn<'_>, scope: &Scope, backup: Revision) -> Result<()> {
    let mut scan = Scan::prefix(Table::Settled, &keys::settled_prefix(scope)).limit(PRUNE);
    scan.upper = std::ops::Bound::Included(keys::settled(scope, backup).key);
    for row in txn.scan_stored(&scan)? {
        txn.set_raw(RowKey { table: Table::Settled, key: row.key }, None);
    }
    Ok(())
}

impl Engine {
    /// Looks at some more outcomes, and forgets those of `scope`, just synced, that have become old. It goes downwards: what
    /// took an event's content over is mostly newer, and goes first.
    pub(super) async fn forget_outcomes(&self, scope: &Scope, runtime: &ScopeRuntime) -> Result<()> {
        let row = self.reader().scope(scope).await?;
        let from = runtime.memory().swept.clone();
        let mut scan = Scan { reverse: true, ..Scan::prefix(Table::Outcome, b"") }.limit(SWEEP);
        if let Some(from) = from {
            scan = scan.after(&from);
        }
        let rows = self.reader().storage().scan(scan).await?;
        let next = rows.last().filter(|_| rows.len() == SWEEP).map(|row| row.key.clone());
        let mut ripe = Vec::new();
        for stored in rows {
            let outcome: OutcomeRow = decode(&stored.value)?;
            let ready = outcome.is_forgettable(row.backup_revision) || outcome.is_undated() && row.known_revision > 0;
            if outcome.scope == *scope
                && ready
                && let Some(id) = keys::outcome_id_of(&stored.key)
            {
                ripe.push(id);
            }
        }
        if !ripe.is_empty() {
            self.writer().run(move |txn| forget_or_date(txn, &ripe)).await?;
        }
        runtime.memory().swept = next;
        Ok(())
    }
}

/// Forgets what became of those of `events` that have become old. Whatever waits for an event follows its content to where that
/// went: the way there goes from its far end.
fn forget_or_date(txn: &mut Txn<'_>, events: &[EventId]) -> Result<()> {
    txn.load_outcomes(events)?;
    for id in events {
        let Some(mut row) = txn.outcome(id)?.cloned() else { continue };
        let scope = txn.scope(&row.scope)?;
        let (backup, known) = (scope.backup_revision, scope.known_revision);
        if row.is_undated() {
            row.known = Some(known);
            txn.set_outcome(id, row);
            continue;
        }
        let leads_on = match &row.state {
            Outcome::ReplacedBy { id: next } => txn
                .outcome(next)?
                .is_some_and(|next| matches!(next.state, Outcome::ReplacedBy { .. }) || !next.is_forgettable(backup)),
            _ => false,
        };
        if row.is_forgettable(backup) && !leads_on {
            txn.forget_outcome(id);
        }
    }
    Ok(())
}
