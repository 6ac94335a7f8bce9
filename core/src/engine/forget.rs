//! Forgetting: what a replica remembers of events that have left its queue goes once the server's backups are sure to hold
//! all of it. Without it, a replica that is written to for years would grow with each write, not with its records.
//!
//! A settled event is kept because a restored server might lack it; an outcome, because the app might ask. Both go at the
//! scope's backup revision: by default a week after the event.

use std::sync::{Mutex, PoisonError};

use super::runtime::Engine;
use crate::error::Result;
use crate::model::{EventId, Revision, Scope};
use crate::replica::keys;
use crate::replica::rows::{Outcome, OutcomeRow};
use crate::replica::{Txn, decode};
use crate::storage::{RowKey, Scan, Table};

/// Settled events that one commit forgets.
const PRUNE: usize = 2_000;
/// Outcomes that one sync looks at.
const SWEEP: usize = 256;

/// The outcome that the last sweep came to; `None` before the newest. Sweeps go downwards: what took an event's content over
/// is mostly newer, and goes first.
#[derive(Debug, Default)]
pub(super) struct Swept(Mutex<Option<Vec<u8>>>);

/// Forgets settled events that the server's backups are sure to hold.
pub(super) async fn prune_settled(txn: &mut Txn, scope: &Scope, backup: Revision) -> Result<()> {
    let mut scan = Scan::prefix(Table::Settled, &keys::settled_prefix(scope)).limit(PRUNE);
    scan.upper = std::ops::Bound::Included(keys::settled(scope, backup).key);
    for row in txn.scan_stored(scan).await? {
        txn.set_raw(RowKey { table: Table::Settled, key: row.key }, None);
    }
    Ok(())
}

impl Engine {
    /// Looks at some more outcomes, and forgets those that have become old.
    pub(super) async fn forget_outcomes(&self) -> Result<()> {
        let from = self.swept.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut scan = Scan { reverse: true, ..Scan::prefix(Table::Outcome, b"") }.limit(SWEEP);
        if let Some(from) = from {
            scan = scan.after(&from);
        }
        let rows = self.reader().storage().scan(scan).await?;
        let next = rows.last().filter(|_| rows.len() == SWEEP).map(|row| row.key.clone());
        let mut old = Vec::new();
        for row in rows {
            let outcome: OutcomeRow = decode(&row.value)?;
            let backup = self.reader().scope(&outcome.scope).await?.backup_revision;
            if outcome.is_forgettable(backup)
                && let Some(id) = keys::outcome_id_of(&row.key)
            {
                old.push(id);
            }
        }
        if !old.is_empty() {
            self.writer()
                .run(move |txn| {
                    let old = old.clone();
                    Box::pin(async move { forget(txn, &old).await })
                })
                .await?;
        }
        *self.swept.0.lock().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }
}

/// Forgets what became of `old` events. Whatever waits for an event follows its content to where that went: the way there
/// goes from its far end.
async fn forget(txn: &mut Txn, old: &[EventId]) -> Result<()> {
    for id in old {
        let Some(row) = txn.outcome(id).await?.cloned() else { continue };
        let backup = txn.scope(&row.scope).await?.backup_revision;
        let leads_on = match &row.state {
            Outcome::ReplacedBy { id: next } => txn
                .outcome(next)
                .await?
                .is_some_and(|next| matches!(next.state, Outcome::ReplacedBy { .. }) || !next.is_forgettable(backup)),
            _ => false,
        };
        if row.is_forgettable(backup) && !leads_on {
            txn.forget_outcome(id);
        }
    }
    Ok(())
}
