//! The view of a record: confirmed state plus its unsettled events, in queue order.

use crate::error::Result;
use crate::merge::apply_event;
use crate::model::{RecordKey, Scope, SyncAction, SyncEvent, Value};
use crate::replica::Txn;
use crate::replica::keys::Generation;
use crate::replica::rows::RecordRow;

/// Computes a record's view anew from its confirmed state and the queue entries at `row.pending`.
pub(crate) async fn overlay(txn: &mut Txn, scope: &Scope, generation: Generation, key: &RecordKey) -> Result<()> {
    let positions = txn.record(scope, generation, key).await?.pending.clone();
    txn.load_entries(scope, &positions).await?;
    let mut events = Vec::with_capacity(positions.len());
    for position in positions {
        if let Some(entry) = txn.entry(scope, position).await?.filter(|entry| entry.is_overlaid()) {
            events.push(entry.event.clone());
        }
    }
    let row = txn.record_mut(scope, generation, key).await?;
    row.overlay = view_of(row, &events);
    if row.overlay.is_none() {
        row.ghost = None;
    }
    Ok(())
}

/// The view after `events`; `None` where there are none and the confirmed state is the view.
fn view_of(row: &RecordRow, events: &[SyncEvent]) -> Option<Option<Value>> {
    let first = events.first()?;
    // A pending update of a record that another writer has deleted stays visible until its receipt says what became of it.
    let start = match &row.doc {
        None if first.action == SyncAction::Update => row.ghost.clone(),
        doc => doc.clone(),
    };
    Some(events.iter().fold(start, apply_event))
}

/// Takes the event at `position` out of its record's view.
pub(crate) async fn forget(
    txn: &mut Txn,
    scope: &Scope,
    generation: Generation,
    key: &RecordKey,
    position: u64,
) -> Result<()> {
    txn.record_mut(scope, generation, key).await?.pending.retain(|at| *at != position);
    overlay(txn, scope, generation, key).await
}
