//! The view of a record: confirmed state plus its unsettled events, in queue order.

use crate::error::Result;
use crate::merge::apply_event;
use crate::model::{Covered, RecordKey, Scope, SyncAction, Value};
use crate::replica::Txn;
use crate::replica::keys::Generation;

/// Computes anew what follows from a record's confirmed state and the queue entries at `row.pending`: its view, what they cover,
/// and whether one is parked. Called once per record and unit of work, since it costs as much as the record has events.
pub(crate) async fn overlay(txn: &mut Txn, scope: &Scope, generation: Generation, key: &RecordKey) -> Result<()> {
    let row = txn.record(scope, generation, key).await?;
    let (positions, revision) = (row.pending.clone(), row.revision);
    let (doc, ghost) = (row.doc.clone(), row.ghost.clone());
    txn.load_entries(scope, &positions).await?;
    // `None` as long as there are no events and the confirmed state is the view.
    let mut view: Option<Option<Value>> = None;
    let (mut covered, mut parked) = (Covered::default(), false);
    for position in positions {
        let Some(entry) = txn.entry(scope, position).await? else { continue };
        parked |= entry.parked.is_some();
        if !entry.is_overlaid() {
            continue;
        }
        covered.add(&entry.event, revision);
        let before = view.take().unwrap_or_else(|| match &doc {
            // A pending update of a record that another writer has deleted stays visible until its receipt says what became of
            // it.
            None if entry.event.action == SyncAction::Update => ghost.clone(),
            doc => doc.clone(),
        });
        view = Some(apply_event(before, &entry.event));
    }
    let row = txn.record_mut(scope, generation, key).await?;
    (row.overlay, row.covered, row.parked) = (view, covered, parked);
    if row.overlay.is_none() {
        row.ghost = None;
    }
    Ok(())
}

/// Takes the event at `position` out of its record's lane. The view is computed anew by [`overlay`].
pub(crate) async fn leave(
    txn: &mut Txn,
    scope: &Scope,
    generation: Generation,
    key: &RecordKey,
    position: u64,
) -> Result<()> {
    let pending = &mut txn.record_mut(scope, generation, key).await?.pending;
    if let Ok(at) = pending.binary_search(&position) {
        pending.remove(at);
    }
    Ok(())
}
