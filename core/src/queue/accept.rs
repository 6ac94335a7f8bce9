//! Accepting writes: a draft becomes an event, its view, and its place in the queue, in one unit of work.

use super::coalesce::{Fold, fold};
use super::draft::{Draft, Mutation};
use super::moot::cancel_moot;
use super::offline_queue::QueueLimits;
use super::overlay::{leave, overlay};
use super::plan::Plan;
use super::policies::PolicyTable;
use crate::error::{Error, InvalidCode, Result};
use crate::limits::{MAX_GROUP_BYTES, MAX_GROUP_EVENTS};
use crate::model::{EventId, GroupId, Policy, RecordKey, Revision, Scope, Sight, SyncAction, SyncEvent, Value};
use crate::replica::keys::Generation;
use crate::replica::rows::{Before, Outcome, OutcomeRow, QueueEntry, ScopeRow};
use crate::replica::{Notice, Txn};

/// What the writes of one call have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Together {
    /// Several are one group: the server applies all or none.
    AsGroup,
    /// The commit alone.
    Apart,
}

/// Accepts all of `drafts`, or none. Returns an event's id per draft; `None` for one that changes nothing.
pub(super) fn accept(
    txn: &mut Txn<'_>,
    scope: &Scope,
    drafts: &[Draft],
    policies: &PolicyTable,
    limits: QueueLimits,
    together: Together,
) -> Result<Vec<Option<EventId>>> {
    if drafts.is_empty() || drafts.len() > MAX_GROUP_EVENTS {
        return Err(Error::invalid(
            InvalidCode::Transaction,
            format!("a transaction has 1 to {MAX_GROUP_EVENTS} writes, not {}", drafts.len()),
        ));
    }
    let row = txn.scope(scope)?;
    if row.membership.is_lost() {
        return Err(Error::ScopeLost(scope.to_string()));
    }
    let (generation, known) = (row.generation, row.known_revision);
    let place = Place { generation, known };
    let records: Vec<_> = drafts.iter().map(|draft| draft.key.clone()).collect();
    txn.load_records(scope, generation, &records)?;
    let mut last = Vec::new();
    for key in &records {
        last.extend(txn.record(scope, generation, key)?.pending.last());
    }
    // What each write may be folded into.
    txn.load_entries(scope, &last)?;
    txn.load_outcomes(drafts.iter().flat_map(|draft| &draft.depends_on))?;

    let new_group = |txn: &Txn<'_>| GroupId::generate(&**txn.environment());
    let common = (together == Together::AsGroup && drafts.len() > 1).then(|| new_group(txn));
    let mut ids = Vec::with_capacity(drafts.len());
    let mut made: Vec<Made> = Vec::new();
    for draft in drafts {
        let mut view = txn.record(scope, generation, &draft.key)?.view().cloned();
        let plan = Plan::of(&draft.key, &draft.mutation, view.as_ref())?;
        let mut parts = Vec::new();
        for (policy, mut part) in policies.split(draft, plan) {
            if part.take_effect(&mut view)? {
                parts.push((policy, part));
            }
        }
        let group = common.clone().or_else(|| (parts.len() > 1).then(|| new_group(txn)));
        let own = made.len();
        for (policy, plan) in parts {
            let write = Write { draft, policy, plan, group: group.clone() };
            made.push(make(txn, scope, place, write, limits)?);
        }
        match &made[own..] {
            [] => ids.push(None),
            parts @ [.., last] => {
                // What was cancelled had its view computed anew.
                if last.outcome != Outcome::Cancelled {
                    txn.record_mut(scope, generation, &draft.key)?.overlay = Some(view);
                }
                if matches!(draft.mutation, Mutation::Delete) {
                    cancel_moot(txn, scope, generation, &draft.key)?;
                }
                if common.is_none() && group.is_some() {
                    check_group(parts)?;
                }
                // A write that had to be split is known by its last part.
                ids.push(Some(last.id.clone()));
            }
        }
    }
    match made.as_slice() {
        // The others change nothing, so that there is nothing to go with.
        [alone] if common.is_some() => leave_group(txn, scope, alone)?,
        all if common.is_some() => check_group(all)?,
        _ => {}
    }
    Ok(ids)
}

/// Where writes are made.
#[derive(Clone, Copy)]
struct Place {
    /// The generation that is read.
    generation: Generation,
    /// The base for records that it does not know.
    known: Revision,
}

/// A write that has an effect.
struct Write<'d> {
    draft: &'d Draft,
    policy: Option<Policy>,
    plan: Plan,
    group: Option<GroupId>,
}

/// An event that was made.
struct Made {
    id: EventId,
    bytes: u64,
    outcome: Outcome,
}

fn make(txn: &mut Txn<'_>, scope: &Scope, place: Place, write: Write<'_>, limits: QueueLimits) -> Result<Made> {
    let Write { draft, policy, plan, group } = write;
    check_dependencies(txn, scope, &draft.depends_on)?;
    let sight = sight(txn, scope, place, draft)?;
    let mut event = SyncEvent {
        id: EventId::generate(&**txn.environment()),
        collection: draft.key.collection.clone(),
        record: draft.key.record.clone(),
        action: plan.action,
        ops: plan.ops,
        doc: plan.doc,
        base: if plan.action == SyncAction::Update { sight.base() } else { sight.lowest() },
        stamp: txn.tick(),
        group,
        depends_on: draft.depends_on.clone(),
        needs: Vec::new(),
        schema: draft.schema,
        mode: draft.mode,
        policy,
    };
    event.ops.iter_mut().for_each(|op| sight.settle(op));
    let bytes = encoded_len(&event);
    if bytes > MAX_GROUP_BYTES as u64 {
        return Err(Error::invalid(
            InvalidCode::PushTooLarge,
            format!("the write has {bytes} bytes as an event; a server takes {MAX_GROUP_BYTES} at most"),
        ));
    }
    if *txn.scope(scope)? == ScopeRow::default() {
        // The first write makes the scope known, so that it will be synced.
        txn.scope_mut(scope)?;
    }
    let id = event.id.clone();
    let outcome = enqueue(txn, scope, place.generation, event, bytes)?;
    let replica = txn.replica();
    if replica.queued_events > limits.events || replica.queued_bytes > limits.bytes {
        return Err(Error::QueueFull { events: replica.queued_events, bytes: replica.queued_bytes });
    }
    settle_outcome(txn, scope, &id, &draft.key, outcome.clone());
    Ok(Made { id, bytes, outcome })
}

fn check_dependencies(txn: &mut Txn<'_>, scope: &Scope, depends_on: &[EventId]) -> Result<()> {
    for id in depends_on {
        // One that the replica has forgotten was settled long ago: there is nothing to wait for.
        let fits = match txn.outcome(id)? {
            Some(outcome) => outcome.scope == *scope,
            None => id.is_well_formed(),
        };
        if !fits {
            let why = "it is not an event of this scope, so nothing can depend on it";
            return Err(Error::Event { id: id.clone(), why });
        }
    }
    Ok(())
}

/// What the writer had seen: what the write says, else what the replica shows now.
fn sight(txn: &mut Txn<'_>, scope: &Scope, place: Place, draft: &Draft) -> Result<Sight> {
    let row = txn.scope(scope)?;
    // While a new history is adopted, the generation that is read still tells revisions of the old one.
    let shared = row.shared_with(place.generation);
    let named = draft.seen.as_ref().map(|basis| (basis, row.shared_with(basis.generation)));
    let row = txn.record(scope, place.generation, &draft.key)?;
    let base = if row.revision == 0 { place.known } else { row.revision };
    let mut sight = Sight::new(base, row.covered.clone(), shared);
    if let Some((basis, shared)) = named {
        sight = sight.limited_to(basis, shared);
    }
    Ok(if row.is_ghost() { sight.of_ghost() } else { sight })
}

/// Gives the event its place: in the queue, or folded into the last event of its lane.
fn enqueue(txn: &mut Txn<'_>, scope: &Scope, generation: Generation, event: SyncEvent, bytes: u64) -> Result<Outcome> {
    let key = event.key();
    let row = txn.record(scope, generation, &key)?;
    let (revision, last, confirmed) = (row.revision, row.pending.last().copied(), row.doc.is_some());
    let before = before(row.doc.as_ref(), &event);
    let mut folded = Fold::Keep;
    if let Some(last) = last {
        let in_flight = txn.scope(scope)?.in_flight.as_ref();
        if !in_flight.is_some_and(|push| push.positions.contains(&last))
            && let Some(earlier) = txn.entry(scope, last)?
        {
            folded = fold(earlier, &event, bytes, confirmed);
        }
    }
    if let (Some(position), Fold::Into(_) | Fold::Cancel) = (last, &folded)
        && let Some(mut earlier) = txn.take_entry(scope, position)?
    {
        let id = event.id.clone();
        let Fold::Into(merged) = folded else {
            txn.replica_mut().left_queue(&earlier);
            settle_outcome(txn, scope, &earlier.event.id, &key, Outcome::Cancelled);
            leave(txn, scope, generation, &key, position)?;
            overlay(txn, scope, generation, &key)?;
            return Ok(Outcome::Cancelled);
        };
        let replaced = std::mem::replace(&mut earlier.event, *merged);
        settle_outcome(txn, scope, &replaced.id, &key, Outcome::ReplacedBy { id });
        earlier.before.extend(before);
        let length = encoded_len(&earlier.event);
        let replica = txn.replica_mut();
        replica.queued_bytes = (replica.queued_bytes + length).saturating_sub(earlier.bytes);
        earlier.bytes = length;
        txn.record_mut(scope, generation, &key)?.covered.add(&earlier.event, revision);
        txn.set_entry(scope, position, Some(earlier));
        return Ok(Outcome::Pending { position });
    }
    let replica = txn.replica_mut();
    let account = replica.account.clone();
    let position = replica.next_position;
    replica.next_position += 1;
    replica.queued_events += 1;
    replica.queued_bytes += bytes;
    let row = txn.record_mut(scope, generation, &key)?;
    row.pending.push(position);
    row.covered.add(&event, revision);
    let entry = QueueEntry {
        event,
        account,
        bytes,
        frozen: false,
        sent: Default::default(),
        uncertain: false,
        absorbed: false,
        settled: None,
        parked: None,
        before,
    };
    txn.set_entry(scope, position, Some(entry));
    Ok(Outcome::Pending { position })
}

fn check_group(events: &[Made]) -> Result<()> {
    let bytes: u64 = events.iter().map(|event| event.bytes).sum();
    if bytes > MAX_GROUP_BYTES as u64 {
        return Err(Error::invalid(
            InvalidCode::Transaction,
            format!("the transaction has {bytes} bytes, more than {MAX_GROUP_BYTES}"),
        ));
    }
    Ok(())
}

fn leave_group(txn: &mut Txn<'_>, scope: &Scope, alone: &Made) -> Result<()> {
    let Outcome::Pending { position } = alone.outcome else { return Ok(()) };
    if let Some(entry) = txn.entry_mut(scope, position)? {
        entry.event.group = None;
        entry.bytes = encoded_len(&entry.event);
        let bytes = entry.bytes;
        let replica = txn.replica_mut();
        replica.queued_bytes = (replica.queued_bytes + bytes).saturating_sub(alone.bytes);
    }
    Ok(())
}

/// Records an outcome and tells observers.
pub(super) fn settle_outcome(txn: &mut Txn<'_>, scope: &Scope, id: &EventId, key: &RecordKey, outcome: Outcome) {
    txn.notify(|| Notice::Event { scope: scope.clone(), id: id.clone(), key: key.clone(), outcome: outcome.clone() });
    txn.set_outcome(id, OutcomeRow::new(scope, key, outcome));
}

pub(super) fn encoded_len(event: &SyncEvent) -> u64 {
    crate::replica::encode(event).len() as u64
}

/// The confirmed values that the event touches.
pub(super) fn before(doc: Option<&Value>, event: &SyncEvent) -> Before {
    let mut before = Before::default();
    match event.action {
        SyncAction::Create => {}
        SyncAction::Delete => before.doc = doc.cloned(),
        SyncAction::Update => {
            for op in &event.ops {
                match doc.and_then(|doc| op.path.find(doc)) {
                    Some(value) => drop(before.leaves.insert(op.path.clone(), value.clone())),
                    None => drop(before.absent.insert(op.path.clone())),
                }
            }
        }
    }
    before
}
