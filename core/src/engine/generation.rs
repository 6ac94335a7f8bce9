//! Generations: a scope's records are rebuilt beside the ones that are read, and swapped in one commit. The queue stays.

use std::collections::BTreeMap;

use super::runtime::Engine;
use crate::error::Result;
use crate::model::{RecordKey, Revision, Scope};
use crate::queue::{finish_settled, sweep_lost_values};
use crate::replica::keys;
use crate::replica::rows::{Building, Outcome, OutcomeRow, QueueEntry, SettledRow};
use crate::replica::{Notice, Txn, decode};
use crate::storage::{RowKey, Scan, Table};

/// Rows that are read at a time.
const PAGE: usize = 512;

impl Engine {
    /// Follows the server to a new history. Events that it had recorded above the last common revision are queued again,
    /// under their ids, at their places; ids that it still holds are answered with their receipts.
    pub(super) async fn adopt_epoch(&self, scope: &Scope, epoch: String, shared: Revision) -> Result<()> {
        let scope = scope.clone();
        self.writer()
            .run(move |txn| {
                release_in_flight(txn, &scope)?;
                // What the server can prove may be far below what its backups are sure to hold.
                let shared = shared.max(txn.scope(&scope)?.backup_revision);
                lower_bases(txn, &scope, shared)?;
                offer_again(txn, &scope, shared)?;
                begin(txn, &scope, Some(shared))?;
                let row = txn.scope_mut(&scope)?;
                row.epoch = Some(epoch.clone());
                row.known_revision = row.known_revision.min(shared);
                row.pulled = row.pulled.min(shared);
                Ok(())
            })
            .await
    }

    /// Begins a fresh generation of the same history: the cursor has expired, or the server cannot read it. Then it cannot
    /// read the replica's evidence either.
    pub(super) async fn rebuild(&self, scope: &Scope, unreadable: bool) -> Result<()> {
        let scope = scope.clone();
        self.writer()
            .run(move |txn| {
                release_in_flight(txn, &scope)?;
                begin(txn, &scope, None)?;
                if unreadable {
                    txn.scope_mut(&scope)?.seen = None;
                }
                Ok(())
            })
            .await
    }

    /// Clears the rows of generations that are no longer read, one generation a commit.
    pub(super) async fn clear_retired(&self, scope: &Scope) -> Result<()> {
        while !self.reader().scope(scope).await?.retired.is_empty() {
            let scope = scope.clone();
            self.writer()
                .run(move |txn| {
                    let row = txn.scope_mut(&scope)?;
                    if !row.retired.is_empty() {
                        let generation = row.retired.remove(0);
                        let prefix = keys::generation_prefix(&scope, generation);
                        for table in [Table::Record, Table::Index] {
                            txn.clear_prefix(RowKey { table, key: prefix.clone() });
                        }
                        txn.forget_digest(&scope, generation);
                    }
                    Ok(())
                })
                .await?;
        }
        Ok(())
    }
}

/// Begins to fill a fresh generation, beside the one that is read; what was being filled is given up.
pub(crate) fn begin(txn: &mut Txn<'_>, scope: &Scope, shared: Option<Revision>) -> Result<()> {
    let row = txn.scope_mut(scope)?;
    let mut newest = row.generation;
    let mut lowest_shared = shared;
    if let Some(abandoned) = row.building.take() {
        newest = newest.max(abandoned.generation);
        row.retire(abandoned.generation);
        lowest_shared = match (shared, abandoned.shared_revision) {
            (Some(new), Some(old)) => Some(new.min(old)),
            (new, old) => new.or(old),
        };
    }
    newest = newest.max(row.retired.last().copied().unwrap_or(0));
    row.building = Some(Building { generation: newest + 1, cursor: None, shared_revision: lowest_shared });
    row.consistent = false;
    Ok(())
}

/// The push in flight is given up; its events stay frozen and go into later pushes. The server may have recorded it all the
/// same, and a new history may hold it.
fn release_in_flight(txn: &mut Txn<'_>, scope: &Scope) -> Result<()> {
    let Some(in_flight) = txn.scope_mut(scope)?.in_flight.take() else { return Ok(()) };
    for position in in_flight.positions {
        if let Some(entry) = txn.entry_mut(scope, position)? {
            entry.goes_unanswered(in_flight.push_seq);
        }
    }
    Ok(())
}

/// Revisions above the last common one mean nothing in the new history.
fn lower(event: &mut crate::model::SyncEvent, shared: Revision) {
    event.base = event.base.min(shared);
    for op in &mut event.ops {
        op.base = op.base.map(|base| base.min(shared));
    }
}

fn lower_bases(txn: &mut Txn<'_>, scope: &Scope, shared: Revision) -> Result<()> {
    txn.each_entry(scope, &mut |txn, position, _| {
        if let Some(entry) = txn.entry_mut(scope, position)? {
            lower(&mut entry.event, shared);
            if entry.settled.as_ref().is_some_and(|receipt| receipt.revision.unwrap_or(0) > shared) {
                entry.settled = None;
            }
        }
        Ok(())
    })
}

fn offer_again(txn: &mut Txn<'_>, scope: &Scope, shared: Revision) -> Result<()> {
    let prefix = keys::settled_prefix(scope);
    let mut after = keys::settled(scope, shared).key;
    loop {
        let scan = Scan::prefix(Table::Settled, &prefix).after(&after).limit(PAGE);
        let rows = txn.scan_stored(&scan)?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.key.clone();
        let page = rows.into_iter().map(|row| Ok((decode::<SettledRow>(&row.value)?, row.key)));
        let page = page.collect::<Result<Vec<_>>>()?;
        let generation = txn.scope(scope)?.generation;
        txn.load_records(scope, generation, &page.iter().map(|(settled, _)| settled.event.key()).collect::<Vec<_>>())?;
        for (settled, stored) in page {
            let position = settled.position;
            let (mut event, sent) = settled.sent_by(&txn.replica().device);
            lower(&mut event, shared);
            let bytes = crate::replica::encode(&event).len() as u64;
            let (id, key) = (event.id.clone(), event.key());
            let entry = QueueEntry {
                event,
                account: txn.replica().account.clone(),
                bytes,
                frozen: true,
                // The new history may hold it too: the device may have pushed to it already.
                sent,
                uncertain: false,
                // The generation that is read holds its effect.
                absorbed: true,
                settled: None,
                parked: None,
                before: Default::default(),
            };
            txn.set_entry(scope, position, Some(entry));
            txn.set_raw(RowKey { table: Table::Settled, key: stored }, None);
            let replica = txn.replica_mut();
            replica.queued_events += 1;
            replica.queued_bytes += bytes;
            let pending = &mut txn.record_mut(scope, generation, &key)?.pending;
            if let Err(at) = pending.binary_search(&position) {
                pending.insert(at, position);
            }
            let state = Outcome::Pending { position };
            txn.notify(|| Notice::Event {
                scope: scope.clone(),
                id: id.clone(),
                key: key.clone(),
                outcome: state.clone(),
            });
            txn.set_outcome(&id, OutcomeRow::new(scope, &key, state));
        }
    }
}

/// Puts the finished generation in the place of the one that is read: all unsettled events are laid over it anew, but for
/// those of which its history, up to push `included`, holds the effect. No base can be above its newest revision, `head`.
pub(super) fn swap(txn: &mut Txn<'_>, scope: &Scope, included: u64, head: Revision) -> Result<()> {
    let row = txn.scope_mut(scope)?;
    let Some(building) = row.building.take() else { return Ok(()) };
    let generation = building.generation;
    row.swap(building);
    row.pulled = head;
    let lineage = row.lineage.clone();

    let mut lanes: BTreeMap<RecordKey, Vec<u64>> = BTreeMap::new();
    txn.each_entry(scope, &mut |txn, position, entry| {
        lanes.entry(entry.event.key()).or_default().push(position);
        let absorbed = entry.settled.is_some() || entry.sent.are_held(&lineage, included);
        if let Some(entry) = txn.entry_mut(scope, position)? {
            entry.absorbed = absorbed;
            lower(&mut entry.event, head);
        }
        Ok(())
    })?;
    txn.load_records(scope, generation, &lanes.keys().cloned().collect::<Vec<_>>())?;
    for (key, positions) in lanes {
        txn.record_mut(scope, generation, &key)?.pending = positions;
        finish_settled(txn, scope, generation, &key, Revision::MAX)?;
    }
    sweep_lost_values(txn, scope, generation)?;
    txn.notify(|| Notice::Reset { scope: scope.clone() });
    Ok(())
}
