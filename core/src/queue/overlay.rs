//! The view of a record: confirmed state plus its unsettled events, in queue order, each of them entirely: also one that no
//! longer fits what another writer has made of the record meanwhile, and that the server therefore refuses.

use crate::error::Result;
use crate::merge::show_event;
use crate::model::{Covered, RecordKey, Scope, SyncAction, Value};
use crate::replica::Txn;
use crate::replica::keys::Generation;
use crate::replica::rows::{QueueEntry, RecordRow};

/// A view in the making.
struct View {
    confirmed: Option<Value>,
    ghost: Option<Value>,
    /// `None` as long as there are no events and the confirmed state is the view.
    shown: Option<Option<Value>>,
}

impl View {
    fn of(row: &RecordRow) -> Self {
        Self { confirmed: row.doc.clone(), ghost: row.ghost.clone(), shown: None }
    }

    fn add(&mut self, entry: &QueueEntry) {
        let before = self.shown.take().unwrap_or_else(|| self.beneath(entry.event.action));
        self.shown = Some(show_event(before, &entry.event, &entry.before.leaves));
    }

    /// What is seen before an event of this kind.
    fn beneath(&self, action: SyncAction) -> Option<Value> {
        match (&self.shown, &self.confirmed) {
            (Some(shown), _) => shown.clone(),
            // A pending update of a record that another writer has deleted stays visible until its receipt says what became of it.
            (None, None) if action == SyncAction::Update => self.ghost.clone(),
            (None, confirmed) => confirmed.clone(),
        }
    }
}

/// Computes anew what follows from a record's confirmed state and the queue entries at `row.pending`: its view, what they cover,
/// and whether one is parked. Called once per record and unit of work, since it costs as much as the record has events.
pub(crate) fn overlay(txn: &mut Txn<'_>, scope: &Scope, generation: Generation, key: &RecordKey) -> Result<()> {
    let row = txn.record(scope, generation, key)?;
    let (positions, revision, mut view) = (row.pending.clone(), row.revision, View::of(row));
    txn.load_entries(scope, &positions)?;
    let (mut covered, mut parked) = (Covered::default(), false);
    for position in positions {
        let Some(entry) = txn.entry(scope, position)? else { continue };
        parked |= entry.parked.is_some();
        if entry.is_overlaid() {
            covered.add(&entry.event, revision);
            view.add(entry);
        }
    }
    let row = txn.record_mut(scope, generation, key)?;
    (row.overlay, row.covered, row.parked) = (view.shown, covered, parked);
    if row.overlay.is_none() {
        row.ghost = None;
    }
    Ok(())
}

/// A record's confirmed document, and what the app sees of it before the event at `position`, which is of this kind.
pub(super) fn beneath(
    txn: &mut Txn<'_>,
    scope: &Scope,
    generation: Generation,
    key: &RecordKey,
    (position, action): (u64, SyncAction),
) -> Result<(Option<Value>, Option<Value>)> {
    let row = txn.record(scope, generation, key)?;
    let (positions, mut view) = (row.pending.clone(), View::of(row));
    for earlier in positions.into_iter().take_while(|earlier| *earlier < position) {
        if let Some(entry) = txn.entry(scope, earlier)?.filter(|entry| entry.is_overlaid()) {
            view.add(entry);
        }
    }
    let seen = view.beneath(action);
    Ok((view.confirmed, seen))
}

/// Takes the event at `position` out of its record's lane. The view is computed anew by [`overlay`].
pub(crate) fn leave(
    txn: &mut Txn<'_>,
    scope: &Scope,
    generation: Generation,
    key: &RecordKey,
    position: u64,
) -> Result<()> {
    let pending = &mut txn.record_mut(scope, generation, key)?.pending;
    if let Ok(at) = pending.binary_search(&position) {
        pending.remove(at);
    }
    Ok(())
}
