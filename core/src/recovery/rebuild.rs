//! A replica made of salvaged rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::RecoveryReport;
use super::rows::Found;
use crate::clock::HybridClock;
use crate::engine::{begin_generation, take_new_device};
use crate::environment::SharedEnvironment;
use crate::error::Result;
use crate::model::{DeviceId, EventId, GroupId, RecordKey, Scope};
use crate::query::IndexSet;
use crate::queue::finish_settled;
use crate::replica::rows::{Outcome, OutcomeRow, Parking, ReplicaRow};
use crate::replica::{Txn, Writer, encode, keys};
use crate::storage::{Batch, Row, RowKey, Storage, Table};

/// Rows that are written in one commit.
const BATCH: usize = 2_000;
/// Why the rest of a group waits for the app.
const DAMAGED: &str = "damaged";

/// Fills the empty `storage` with what the `rows` of a damaged replica tell, from the oldest to the newest, whose tables need not be known, and makes a replica
/// of it that is sound and fetches its records anew. For a backend's `recover`, which completes the report with what it
/// alone knows.
///
/// # Errors
/// The storage's.
pub async fn rebuild(
    storage: &Arc<dyn Storage>,
    environment: SharedEnvironment,
    rows: Vec<Row>,
) -> Result<RecoveryReport> {
    let mut found = Found::sort(rows);
    let mut saved = RecoveryReport { identity_kept: found.replica.is_some(), ..RecoveryReport::default() };
    saved.lost_events = take_out_lost(&mut found);
    let damaged = damaged_groups(&found, &saved.lost_events);
    let lost: BTreeSet<EventId> = saved.lost_events.iter().cloned().collect();
    found.outcomes.retain(|id, _| !lost.contains(id));
    for ((scope, position), entry) in &mut found.events {
        let group = entry.event.group.as_ref();
        if entry.parked.is_none() && group.is_some_and(|group| damaged.contains(group)) {
            let message = "another write of its group was lost with a damaged file".to_owned();
            entry.parked = Some(Parking { code: DAMAGED.to_owned(), message, because: None });
            entry.frozen = true;
            saved.parked += 1;
        }
        // Which push carried it, its scope's row would have told.
        entry.frozen |= !found.scopes.contains_key(scope);
        let position = *position;
        let state = if entry.parked.is_some() { Outcome::Parked { position } } else { Outcome::Pending { position } };
        let outcome = OutcomeRow::new(scope, &entry.event.key(), state);
        found.outcomes.insert(entry.event.id.clone(), outcome);
        saved.events += 1;
    }
    let lanes = lanes(&found);
    saved.records = put_rows(storage, &environment, found).await?;

    let writer = Writer::open(Arc::clone(storage), environment, Arc::new(IndexSet::default())).await?;
    writer.run(move |txn| make_sound(txn, &lanes)).await?;
    Ok(saved)
}

/// The unsettled events of each scope's records, in queue order, and of records that show some that are not there.
type Lanes = BTreeMap<Scope, BTreeMap<RecordKey, Vec<u64>>>;

fn lanes(found: &Found) -> Lanes {
    let mut lanes = Lanes::new();
    for scope in found.scopes.keys() {
        lanes.entry(scope.clone()).or_default();
    }
    for ((scope, generation), records) in &found.records {
        let prefix = keys::generation_prefix(scope, *generation);
        let lanes = lanes.entry(scope.clone()).or_default();
        let shows_pending = records.iter().filter(|(_, row)| !row.pending.is_empty() || row.overlay.is_some());
        for key in shows_pending.filter_map(|(key, _)| keys::record_key_of(key, &prefix)) {
            lanes.entry(key).or_default();
        }
    }
    for ((scope, position), entry) in &found.events {
        lanes.entry(scope.clone()).or_default().entry(entry.event.key()).or_default().push(*position);
    }
    lanes
}

/// The ids whose outcome says that they wait, although no event waits there.
fn take_out_lost(found: &mut Found) -> Vec<EventId> {
    let events = &found.events;
    let waits = |scope: &Scope, at: u64| events.contains_key(&(scope.clone(), at));
    let lost = found.outcomes.iter().filter(|(_, row)| match row.state {
        Outcome::Pending { position } | Outcome::Parked { position } => !waits(&row.scope, position),
        _ => false,
    });
    lost.map(|(id, _)| id.clone()).collect()
}

/// Groups that a lost event may have belonged to: the events of a group lie side by side in the queue.
fn damaged_groups(found: &Found, lost: &[EventId]) -> BTreeSet<GroupId> {
    let lost: BTreeSet<(Scope, u64)> = lost
        .iter()
        .filter_map(|id| match found.outcomes.get(id) {
            Some(OutcomeRow { scope, state: Outcome::Pending { position } | Outcome::Parked { position }, .. }) => {
                Some((scope.clone(), *position))
            }
            _ => None,
        })
        .collect();
    let beside = |scope: &Scope, at: u64| {
        let range = (scope.clone(), at.saturating_sub(1))..=(scope.clone(), at.saturating_add(1));
        lost.range(range).next().is_some()
    };
    let members = found.events.iter().filter(|((scope, at), _)| beside(scope, *at));
    members.filter_map(|(_, entry)| entry.event.group.clone()).collect()
}

/// Writes what was found, but for what is made anew: indexes and digests. Returns the number of visible records.
async fn put_rows(storage: &Arc<dyn Storage>, environment: &SharedEnvironment, found: Found) -> Result<u64> {
    let mut put = Vec::new();
    put.push((keys::replica(), encode(&replica_row(&found, environment))));
    let mut visible = 0;
    let generations: BTreeMap<Scope, _> = found.records.keys().cloned().collect();
    for (scope, newest) in generations {
        // Without its row, a scope's newest records are as good as any.
        let row = found.scopes.get(&scope);
        let generation = row.map_or(newest, |row| row.generation);
        if row.is_none() {
            let fresh = crate::replica::rows::ScopeRow { generation, ..Default::default() };
            put.push((keys::scope(&scope), encode(&fresh)));
        }
        for (key, row) in found.records.get(&(scope, generation)).into_iter().flatten() {
            visible += u64::from(row.view().is_some());
            put.push((RowKey { table: Table::Record, key: key.clone() }, encode(row)));
        }
    }
    put.extend(found.scopes.iter().map(|(scope, row)| (keys::scope(scope), encode(row))));
    put.extend(found.events.iter().map(|((scope, at), entry)| (keys::event(scope, *at), encode(entry))));
    put.extend(found.outcomes.iter().map(|(id, row)| (keys::outcome(id), encode(row))));
    let settled = found.settled.into_iter();
    put.extend(settled.map(|(key, (_, row))| (RowKey { table: Table::Settled, key }, encode(&row))));
    while !put.is_empty() {
        let rest = put.split_off(put.len().min(BATCH));
        storage.apply(Batch { put, ..Batch::default() }).await?;
        put = rest;
    }
    Ok(visible)
}

/// The replica's own row, with what follows from the queue.
fn replica_row(found: &Found, environment: &SharedEnvironment) -> ReplicaRow {
    let fresh = || ReplicaRow::new(DeviceId::generate(&**environment));
    let mut row = found.replica.clone().unwrap_or_else(fresh);
    // Where the row is lost, what the queue holds is still its writer's.
    row.account = row.account.or_else(|| found.events.values().find_map(|entry| entry.account.clone()));
    let mut clock = HybridClock::new(row.clock);
    for entry in found.events.values() {
        let ops = entry.event.ops.iter().filter_map(|op| op.stamp.as_ref());
        ops.chain([&entry.event.stamp]).for_each(|stamp| clock.receive(stamp));
    }
    row.clock = clock.state();
    let in_queue = found.events.keys().map(|(_, position)| *position);
    let newest = in_queue.chain(found.settled.values().map(|(_, row)| row.position)).max().unwrap_or(0);
    row.next_position = row.next_position.max(newest + 1);
    row.queued_events = found.events.len() as u64;
    row.queued_bytes = found.events.values().map(|entry| entry.bytes).sum();
    row.parked_events = found.events.values().filter(|entry| entry.parked.is_some()).count() as u64;
    row
}

/// Lays the queue over the records anew, becomes another device, and begins to fetch every scope anew.
fn make_sound(txn: &mut Txn<'_>, lanes: &Lanes) -> Result<()> {
    take_new_device(txn)?;
    for (scope, lanes) in lanes {
        let generation = txn.scope(scope)?.generation;
        for (key, positions) in lanes {
            txn.record_mut(scope, generation, key)?.pending.clone_from(positions);
            // Nothing is finished as of revision 0; the view is made anew.
            finish_settled(txn, scope, generation, key, 0)?;
        }
        begin_generation(txn, scope, None)?;
        let row = txn.scope_mut(scope)?;
        row.retired.clear();
        // Rows may be missing: of a record that is not there it is not known any more that it was not alive.
        row.known_revision = 0;
    }
    Ok(())
}
