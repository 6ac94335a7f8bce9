//! A delete makes moot what was refused before it.
//!
//! A refused event holds up its lane until the app decides what becomes of it. By deleting the record the user has decided:
//! the refused events of the record are cancelled, and the delete goes its way. So it is whichever comes first, the refusal or
//! the delete. What depended on such an event waits no longer, as if the app had discarded it.
//!
//! Left alone are events that the server may hold, because they are not refused, and groups that touch another record, because
//! a group is one unit.

use super::accept::settle_outcome;
use super::overlay::overlay;
use super::park::group_around;
use crate::error::Result;
use crate::model::{RecordKey, Scope, SyncAction};
use crate::replica::Txn;
use crate::replica::keys::Generation;
use crate::replica::rows::{Outcome, QueueEntry};

/// Cancels the refused events of a record before its last delete that waits to be sent. Where the server has refused its
/// creation, there is nothing to delete either.
pub(super) fn cancel_moot(txn: &mut Txn<'_>, scope: &Scope, generation: Generation, key: &RecordKey) -> Result<()> {
    let lane = txn.record(scope, generation, key)?.pending.clone();
    txn.load_entries(scope, &lane)?;
    let mut delete = None;
    for &position in &lane {
        if txn
            .entry(scope, position)?
            .is_some_and(|entry| entry.event.action == SyncAction::Delete && entry.is_sendable())
        {
            delete = Some(position);
        }
    }
    let Some(delete) = delete else { return Ok(()) };
    let (mut cancelled, mut refused_create) = (Vec::new(), false);
    for position in lane.iter().copied().take_while(|position| *position < delete) {
        let Some(create) = moot(txn, scope, position, key)? else { continue };
        cancelled.push(position);
        refused_create |= create;
    }
    if refused_create && txn.record(scope, generation, key)?.doc.is_none() {
        let rest: Vec<u64> = lane.iter().copied().filter(|position| !cancelled.contains(position)).collect();
        if all_unsent(txn, scope, &rest)? {
            cancelled.extend(rest);
        }
    }
    if cancelled.is_empty() {
        return Ok(());
    }
    for &position in &cancelled {
        let Some(entry) = txn.take_entry(scope, position)? else { continue };
        txn.replica_mut().left_queue(&entry);
        settle_outcome(txn, scope, &entry.event.id, key, Outcome::Cancelled);
    }
    txn.record_mut(scope, generation, key)?.pending.retain(|position| !cancelled.contains(position));
    overlay(txn, scope, generation, key)
}

/// Whether the event at `position` is refused, and its group with it, and touches nothing but the record: if so, whether it
/// was to create it.
fn moot(txn: &mut Txn<'_>, scope: &Scope, position: u64, key: &RecordKey) -> Result<Option<bool>> {
    let Some(entry) = txn.shared_entry(scope, position)?.filter(|entry| is_refused(entry)) else {
        return Ok(None);
    };
    if let Some(group) = &entry.event.group {
        for member in group_around(txn, scope, position, group)? {
            let moot = |entry: &QueueEntry| is_refused(entry) && entry.event.key() == *key;
            if !txn.entry(scope, member)?.is_some_and(moot) {
                return Ok(None);
            }
        }
    }
    Ok(Some(entry.event.action == SyncAction::Create))
}

/// Whether the server has refused it, and no history of the server can hold it.
fn is_refused(entry: &QueueEntry) -> bool {
    entry.parked.is_some() && entry.is_held_nowhere()
}

/// Whether the server has heard of none of these events, or of none that it has not refused; and none is part of a group.
fn all_unsent(txn: &mut Txn<'_>, scope: &Scope, positions: &[u64]) -> Result<bool> {
    let in_flight = txn.scope(scope)?.in_flight.clone();
    for &position in positions {
        let alone = |entry: &QueueEntry| entry.event.group.is_none() && entry.is_sendable() && entry.is_held_nowhere();
        let flies = in_flight.as_ref().is_some_and(|push| push.positions.contains(&position));
        if flies || !txn.entry(scope, position)?.is_some_and(alone) {
            return Ok(false);
        }
    }
    Ok(true)
}
