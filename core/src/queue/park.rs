//! Parked events: `retry`, `replace`, `discard`. A group is one unit.

use std::collections::BTreeSet;

use super::accept::{before, encoded_len, settle_outcome};
use super::moot::cancel_moot;
use super::offline_queue::QueueLimits;
use super::overlay::{beneath, leave, overlay};
use super::plan::Plan;
use crate::error::{Error, InvalidCode, Result};
use crate::limits::MAX_GROUP_BYTES;
use crate::model::{EventId, GroupId, Scope, SyncEvent};
use crate::replica::Txn;
use crate::replica::rows::{Outcome, QueueEntry};

/// The parked event `id`, or all members of its group: scope, and positions in queue order.
fn parked_unit(txn: &mut Txn<'_>, id: &EventId) -> Result<(Scope, Vec<u64>)> {
    let refuse = |why| Err(Error::Event { id: id.clone(), why });
    let Some(outcome) = txn.outcome(id)?.cloned() else { return refuse("there is no such event") };
    let Outcome::Parked { position } = outcome.state else { return refuse("it is not parked") };
    let scope = outcome.scope;
    let Some(entry) = txn.entry(&scope, position)? else { return refuse("it is not in the queue") };
    match entry.event.group.clone() {
        None => Ok((scope, vec![position])),
        Some(group) => {
            let positions = group_around(txn, &scope, position, &group)?;
            Ok((scope, positions))
        }
    }
}

/// The members of a group stand together in the queue.
pub(super) fn group_around(txn: &mut Txn<'_>, scope: &Scope, position: u64, group: &GroupId) -> Result<Vec<u64>> {
    let member = |entry: Option<&QueueEntry>| entry.is_some_and(|entry| entry.event.group.as_ref() == Some(group));
    let mut first = position;
    while let Some(before) = first.checked_sub(1)
        && member(txn.entry(scope, before)?)
    {
        first = before;
    }
    let mut positions = Vec::new();
    while member(txn.entry(scope, first)?) {
        positions.push(first);
        first += 1;
    }
    Ok(positions)
}

/// Puts a parked event, with its group, back into the queue as it was.
pub(super) fn retry(txn: &mut Txn<'_>, id: &EventId) -> Result<Scope> {
    let (scope, positions) = parked_unit(txn, id)?;
    let generation = txn.scope(&scope)?.generation;
    let mut touched = BTreeSet::new();
    for position in positions {
        let Some(entry) = txn.entry_mut(&scope, position)? else { continue };
        let was_parked = entry.parked.take().is_some();
        let event = entry.event.clone();
        let replica = txn.replica_mut();
        replica.parked_events = replica.parked_events.saturating_sub(u64::from(was_parked));
        settle_outcome(txn, &scope, &event.id, &event.key(), Outcome::Pending { position });
        touched.insert(event.key());
    }
    for key in touched {
        overlay(txn, &scope, generation, &key)?;
        cancel_moot(txn, &scope, generation, &key)?;
    }
    Ok(scope)
}

/// Drops a parked event, with its group: the view is computed without it.
pub(super) fn discard(txn: &mut Txn<'_>, id: &EventId) -> Result<Scope> {
    let (scope, positions) = parked_unit(txn, id)?;
    let generation = txn.scope(&scope)?.generation;
    let mut touched = BTreeSet::new();
    for position in positions {
        let Some(entry) = txn.entry(&scope, position)?.cloned() else { continue };
        let key = entry.event.key();
        txn.set_entry(&scope, position, None);
        txn.replica_mut().left_queue(&entry);
        settle_outcome(txn, &scope, &entry.event.id, &key, Outcome::Discarded);
        leave(txn, &scope, generation, &key, position)?;
        touched.insert(key);
    }
    for key in touched {
        overlay(txn, &scope, generation, &key)?;
    }
    Ok(scope)
}

/// Replaces a parked event's content under a new id, at its place in the queue. `edit` gets the event and returns what it
/// shall be; record and action stay, stamp and bases too. What the app sees before the event has to take the new content, and
/// the queue has to have room for it.
pub(super) fn replace(
    txn: &mut Txn<'_>,
    id: &EventId,
    edit: &(dyn Fn(SyncEvent) -> SyncEvent + Send + Sync),
    limits: QueueLimits,
) -> Result<EventId> {
    let (scope, positions) = parked_unit(txn, id)?;
    let row = txn.scope(&scope)?;
    let (generation, lineage) = (row.generation, row.lineage.clone());
    let new_id = EventId::generate(&**txn.environment());
    let (mut touched, mut unit_bytes) = (BTreeSet::new(), 0);
    for position in positions {
        let Some(mut entry) = txn.entry(&scope, position)?.cloned() else { continue };
        let old = entry.event.clone();
        if entry.may_be_held(&lineage) {
            // Under a new id it could take effect a second time.
            let why = "the server may hold it, or another of its group: retry it, or discard it";
            return Err(Error::Event { id: id.clone(), why });
        }
        // The whole group is judged again; its other members keep content and, being unrecorded, their ids.
        if entry.parked.take().is_some() {
            let replica = txn.replica_mut();
            replica.parked_events = replica.parked_events.saturating_sub(1);
        }
        entry.frozen = true;
        if old.id == *id {
            let mut event = edit(old.clone());
            (event.id, event.collection, event.record) = (new_id.clone(), old.collection.clone(), old.record.clone());
            (event.stamp, event.base, event.group) = (old.stamp.clone(), old.base, old.group.clone());
            event.action = old.action;
            event.admit()?;
            let (confirmed, mut view) = beneath(txn, &scope, generation, &old.key(), (position, old.action))?;
            let mut plan = Plan { action: event.action, doc: event.doc.clone(), ops: event.ops.clone() };
            plan.take_effect(&mut view)?;
            entry.before = before(confirmed.as_ref(), &event);
            // No push has carried the new one.
            (entry.frozen, entry.sent) = (false, Default::default());
            let bytes = encoded_len(&event);
            let replica = txn.replica_mut();
            replica.queued_bytes = (replica.queued_bytes + bytes).saturating_sub(entry.bytes);
            if bytes > entry.bytes && replica.queued_bytes > limits.bytes {
                return Err(Error::QueueFull { events: replica.queued_events, bytes: replica.queued_bytes });
            }
            entry.bytes = bytes;
            entry.event = event;
            settle_outcome(txn, &scope, &old.id, &old.key(), Outcome::ReplacedBy { id: new_id.clone() });
        }
        unit_bytes += entry.bytes;
        let now = entry.event.id.clone();
        settle_outcome(txn, &scope, &now, &old.key(), Outcome::Pending { position });
        txn.set_entry(&scope, position, Some(entry));
        touched.insert(old.key());
    }
    for key in touched {
        overlay(txn, &scope, generation, &key)?;
    }
    if unit_bytes > MAX_GROUP_BYTES as u64 {
        let message = format!(
            "the write has {unit_bytes} bytes as an event, with its group; a server takes {MAX_GROUP_BYTES} at most"
        );
        return Err(Error::invalid(InvalidCode::PushTooLarge, message));
    }
    Ok(new_id)
}
