//! Accepting writes: a draft becomes an event, its view, and its place in the queue, in one unit of work.

use super::coalesce::{Fold, fold};
use super::draft::{Draft, Mutation};
use super::offline_queue::QueueLimits;
use super::policies::PolicyTable;
use crate::error::{Error, InvalidCode, Result};
use crate::limits::{MAX_DOCUMENT_BYTES, MAX_GROUP_BYTES, MAX_GROUP_EVENTS};
use crate::merge::{apply, apply_event};
use crate::model::{
    EventId, GroupId, Op, Pointer, RecordKey, Revision, Scope, SyncAction, SyncEvent, Value, ops_of_patch, value,
};
use crate::replica::keys::Generation;
use crate::replica::rows::{Before, Outcome, OutcomeRow, QueueEntry, ScopeRow};
use crate::replica::{Notice, Txn};

/// Accepts all of `drafts`, or none: one event each, of one group if there are several. Returns one id per draft.
pub(super) async fn accept(
    txn: &mut Txn,
    scope: &Scope,
    drafts: &[Draft],
    policies: &PolicyTable,
    limits: QueueLimits,
) -> Result<Vec<EventId>> {
    if drafts.is_empty() || drafts.len() > MAX_GROUP_EVENTS {
        return Err(Error::invalid(
            InvalidCode::Transaction,
            format!("a transaction has 1 to {MAX_GROUP_EVENTS} writes, not {}", drafts.len()),
        ));
    }
    let row = txn.scope(scope).await?;
    if row.lost {
        return Err(Error::ScopeLost(scope.to_string()));
    }
    let (generation, known) = (row.generation, row.known_revision);
    // While a new history is adopted, the generation that is read still tells revisions of the old one.
    let shared = row.building.as_ref().and_then(|building| building.shared_revision).unwrap_or(Revision::MAX);
    let seen = Seen { generation, known, shared };
    if *row == ScopeRow::default() {
        // The first write makes the scope known, so that it will be synced.
        txn.scope_mut(scope).await?;
    }
    let records: Vec<_> = drafts.iter().map(|draft| draft.key.clone()).collect();
    txn.load_records(scope, generation, &records).await?;
    let mut parts = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let view = txn.record(scope, generation, &draft.key).await?.view();
        parts.push(policies.split(draft, view)?);
    }
    let several = parts.iter().map(Vec::len).sum::<usize>() > 1;
    let group = several.then(|| GroupId::generate(&**txn.environment()));

    let mut ids = Vec::with_capacity(drafts.len());
    let mut group_bytes = 0;
    for parts in parts {
        // A write that had to be split is known by its last part.
        let mut last = None;
        for draft in parts {
            let (id, bytes) = accept_one(txn, scope, seen, &draft, group.clone(), limits).await?;
            group_bytes += bytes;
            last = Some(id);
        }
        ids.extend(last);
    }
    if group.is_some() && group_bytes > MAX_GROUP_BYTES as u64 {
        return Err(Error::invalid(
            InvalidCode::Transaction,
            format!("the transaction has {group_bytes} bytes, more than {MAX_GROUP_BYTES}"),
        ));
    }
    Ok(ids)
}

/// What a writer sees: the base of its writes.
#[derive(Clone, Copy)]
struct Seen {
    /// The generation that is read.
    generation: Generation,
    /// The base for records that it does not know.
    known: Revision,
    /// Revisions above this mean nothing to the server.
    shared: Revision,
}

async fn accept_one(
    txn: &mut Txn,
    scope: &Scope,
    Seen { generation, known, shared }: Seen,
    draft: &Draft,
    group: Option<GroupId>,
    limits: QueueLimits,
) -> Result<(EventId, u64)> {
    for id in &draft.depends_on {
        // One that the replica has forgotten was settled long ago: there is nothing to wait for.
        let fits = match txn.outcome(id).await? {
            Some(outcome) => outcome.scope == *scope,
            None => id.is_well_formed(),
        };
        if !fits {
            return Err(Error::Event {
                id: id.clone(),
                why: "it is not an event of this scope, so nothing can depend on it",
            });
        }
    }
    let row = txn.record(scope, generation, &draft.key).await?;
    let (view, doc, revision) = (row.view().cloned(), row.doc.clone(), row.revision);
    let of_ghost = doc.is_none() && row.ghost.is_some();
    let pending = row.pending.clone();
    let (action, ops, new_doc) = plan(&draft.key, &draft.mutation, view.as_ref())?;

    let mut event = SyncEvent {
        id: EventId::generate(&**txn.environment()),
        collection: draft.key.collection.clone(),
        record: draft.key.record.clone(),
        action,
        ops,
        doc: new_doc,
        base: if revision == 0 { known } else { revision }.min(shared),
        stamp: txn.tick(),
        group,
        depends_on: draft.depends_on.clone(),
        needs: Vec::new(),
        schema: draft.schema,
        mode: draft.mode,
        policy: draft.policy,
    };
    event.admit()?;
    let after = check_effect(view, &event)?;
    inherit_bases(txn, scope, &pending, of_ghost, &mut event).await?;

    let id = event.id.clone();
    let bytes = encoded_len(&event);
    let before = before(doc.as_ref(), &event);
    let key = draft.key.clone();
    let folded = match pending.last() {
        Some(&last) => match txn.entry(scope, last).await? {
            Some(earlier) => {
                let earlier = earlier.clone();
                let in_flight = txn.scope(scope).await?.in_flight.as_ref();
                let sent = in_flight.is_some_and(|push| push.positions.contains(&last));
                let fold = if sent { Fold::Keep } else { fold(&earlier, &event, bytes, doc.is_some()) };
                Some((last, earlier, fold))
            }
            None => None,
        },
        None => None,
    };
    let outcome = match folded {
        Some((position, mut earlier, Fold::Into(merged))) => {
            let replaced = std::mem::replace(&mut earlier.event, *merged);
            settle_outcome(txn, scope, &replaced.id, &key, Outcome::ReplacedBy { id: id.clone() });
            earlier.before.extend(before);
            let length = encoded_len(&earlier.event);
            let replica = txn.replica_mut();
            replica.queued_bytes = (replica.queued_bytes + length).saturating_sub(earlier.bytes);
            earlier.bytes = length;
            txn.set_entry(scope, position, Some(earlier));
            txn.record_mut(scope, generation, &key).await?.overlay = Some(after);
            Outcome::Pending { position }
        }
        Some((position, earlier, Fold::Cancel)) => {
            txn.replica_mut().left_queue(&earlier);
            txn.set_entry(scope, position, None);
            settle_outcome(txn, scope, &earlier.event.id, &key, Outcome::Cancelled);
            super::overlay::forget(txn, scope, generation, &key, position).await?;
            Outcome::Cancelled
        }
        _ => {
            let replica = txn.replica_mut();
            let position = replica.next_position;
            replica.next_position += 1;
            replica.queued_events += 1;
            replica.queued_bytes += bytes;
            let entry = QueueEntry {
                event,
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
            let row = txn.record_mut(scope, generation, &key).await?;
            row.pending.push(position);
            row.overlay = Some(after);
            Outcome::Pending { position }
        }
    };
    let replica = txn.replica();
    if replica.queued_events > limits.events || replica.queued_bytes > limits.bytes {
        return Err(Error::QueueFull { events: replica.queued_events, bytes: replica.queued_bytes });
    }
    settle_outcome(txn, scope, &id, &key, outcome);
    Ok((id, bytes))
}

/// Records an outcome and tells observers.
pub(super) fn settle_outcome(txn: &mut Txn, scope: &Scope, id: &EventId, key: &RecordKey, outcome: Outcome) {
    txn.notify(|| Notice::Event { scope: scope.clone(), id: id.clone(), key: key.clone(), outcome: outcome.clone() });
    txn.set_outcome(id, OutcomeRow::new(scope, key, outcome));
}

pub(super) fn encoded_len(event: &SyncEvent) -> u64 {
    crate::replica::encode(event).len() as u64
}

/// The event's action and content, given what the app sees.
fn plan(key: &RecordKey, mutation: &Mutation, view: Option<&Value>) -> Result<(SyncAction, Vec<Op>, Option<Value>)> {
    match (mutation, view) {
        (Mutation::Create(_), Some(_)) => Err(Error::AlreadyExists(key.to_string())),
        (Mutation::Create(doc), None) => Ok((SyncAction::Create, Vec::new(), Some(doc.clone()))),
        (_, None) => Err(Error::NotFound(key.to_string())),
        (Mutation::Update(patch), Some(view)) => {
            let mut patch = patch.clone();
            // Checks keys and depth before they become pointers.
            value::admit(&mut patch)?;
            Ok((SyncAction::Update, ops_of_patch(patch, view)?, None))
        }
        (Mutation::Edit(edits), Some(_)) => {
            let ops = edits.iter().cloned().map(|(path, kind)| Op { path, kind, base: None, stamp: None });
            Ok((SyncAction::Update, ops.collect(), None))
        }
        (Mutation::Delete, Some(_)) => Ok((SyncAction::Delete, Vec::new(), None)),
    }
}

/// The view after the event; refuses what has no effect on it or makes too large a document.
fn check_effect(view: Option<Value>, event: &SyncEvent) -> Result<Option<Value>> {
    if event.action != SyncAction::Update {
        return Ok(apply_event(view, event));
    }
    let mut doc = view.unwrap_or_default();
    if let Some(skipped) = apply(&mut doc, &event.ops).first() {
        let code = match skipped.code {
            "pointer_into_array" => InvalidCode::PointerIntoArray,
            _ => InvalidCode::TypeMismatch,
        };
        return Err(Error::invalid(code, format!("the operation does not fit the value at {}", skipped.path)));
    }
    // Only growth needs the check; most edits are far below the limit.
    let size = value::canonical_len(&doc);
    if size > MAX_DOCUMENT_BYTES {
        return Err(Error::invalid(
            InvalidCode::DocumentTooLarge,
            format!("the record would have {size} bytes, more than {MAX_DOCUMENT_BYTES}"),
        ));
    }
    Ok(Some(doc))
}

/// Where an unsettled event has touched a path, the user saw its pending value, not what arrived beneath it: the path keeps
/// that event's base. Of a deleted record that shows for its unsettled events' sake alone (`of_ghost`) that is so everywhere:
/// the user has not seen the delete.
async fn inherit_bases(
    txn: &mut Txn,
    scope: &Scope,
    pending: &[u64],
    of_ghost: bool,
    event: &mut SyncEvent,
) -> Result<()> {
    if pending.is_empty() {
        return Ok(());
    }
    txn.load_entries(scope, pending).await?;
    let mut touched: Vec<(Option<Pointer>, Revision)> = Vec::new();
    for &position in pending {
        let Some(entry) = txn.entry(scope, position).await? else { continue };
        let earlier = &entry.event;
        if earlier.action != SyncAction::Update {
            touched.push((None, earlier.base));
        }
        touched.extend(earlier.ops.iter().map(|op| (Some(op.path.clone()), earlier.base_of(op))));
    }
    let own = event.base;
    let lowest = |touches: &dyn Fn(&Pointer) -> bool| {
        touched
            .iter()
            .filter(|(path, _)| path.as_ref().is_none_or(touches))
            .map(|(_, base)| *base)
            .fold(own, Revision::min)
    };
    if event.action == SyncAction::Update {
        for op in &mut event.ops {
            let base = lowest(&|path| of_ghost || path.overlaps(&op.path));
            op.base = (base != own).then_some(base);
        }
    } else {
        event.base = lowest(&|_| true);
    }
    Ok(())
}

/// The confirmed values that the event touches.
fn before(doc: Option<&Value>, event: &SyncEvent) -> Before {
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
