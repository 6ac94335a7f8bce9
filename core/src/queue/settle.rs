//! Settling: what a receipt does to the queue and to the confirmed state.

use std::collections::{BTreeMap, BTreeSet};

use super::accept::settle_outcome;
use super::lost_values::drop_lost_values;
use super::moot::cancel_moot;
use super::overlay::{leave, overlay};
use crate::clock::Stamp;
use crate::collections::set_of;
use crate::error::Result;
use crate::merge::{CONFLICTS, apply_event};
use crate::model::{Author, Change, EventId, Receipt, ReceiptStatus, RecordKey, Revision, Scope, SyncEvent, Value};
use crate::protocol::PushResponse;
use crate::replica::Txn;
use crate::replica::keys::{self, Generation};
use crate::replica::rows::{Outcome, Parking, QueueEntry, RecordRow, SettledRow};

/// What a response did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// Events that the server has recorded.
    pub settled: u64,
    /// Of these, events that met concurrent writes.
    pub conflicts: u64,
    /// Events that were parked.
    pub parked: u64,
}

/// Takes the receipts of the push in flight. Events without a receipt stay frozen and go into the next push.
pub(super) fn settle(txn: &mut Txn<'_>, scope: &Scope, response: &PushResponse) -> Result<Settlement> {
    let row = txn.scope_mut(scope)?;
    let Some(in_flight) = row.in_flight.take() else { return Ok(Settlement::default()) };
    row.seen = Some(response.head.clone());
    row.epoch = Some(response.epoch.clone());
    row.membership.answered();
    if let Some(previous) = response.previous_push_seq {
        row.lineage.learn(in_flight.push_seq, previous);
    }
    let (generation, lineage) = (row.generation, row.lineage.clone());

    txn.load_entries(scope, &in_flight.positions)?;
    let mut by_id = BTreeMap::new();
    let mut records = Vec::with_capacity(in_flight.positions.len());
    for &position in &in_flight.positions {
        if let Some(entry) = txn.entry(scope, position)? {
            by_id.insert(entry.event.id.clone(), position);
            records.push(entry.event.key());
        }
    }
    txn.load_lanes(scope, generation, &records)?;

    take_records(txn, scope, &response.receipts, &by_id)?;
    let mut settlement = Settlement::default();
    let mut waits = false;
    let (mut refused, mut parked) = (BTreeSet::new(), Vec::new());
    for receipt in &response.receipts {
        // A receipt for something else is not ours to act on; one event has one receipt.
        let Some(position) = by_id.remove(&receipt.id) else { continue };
        if receipt.status.is_settled() {
            settlement.settled += 1;
            settlement.conflicts += u64::from(receipt.status != ReceiptStatus::Applied);
            waits |= !settle_one(txn, (scope, generation), position, in_flight.push_seq, receipt)?;
            continue;
        }
        let Some(entry) = txn.entry_mut(scope, position)? else { continue };
        entry.was_judged_without_effect(&lineage, in_flight.push_seq);
        let event = entry.event.clone();
        refused.insert(event.key());
        let for_good = match receipt.status {
            ReceiptStatus::Skipped => {
                freeze(txn, scope, position)?;
                skipped_for_good(txn, &event, receipt.because.as_ref())?
            }
            _ => true,
        };
        if for_good {
            parked.push(position);
            park(txn, scope, position, &event, parking_of(receipt))?;
        }
    }
    // One record may have had many events in the push. Refused ones that a pull had taken for contained in it show again.
    for key in set_of(records) {
        overlay(txn, scope, generation, &key)?;
    }
    for key in refused {
        cancel_moot(txn, scope, generation, &key)?;
    }
    settlement.parked = still_parked(txn, scope, &parked)?;
    // A missing receipt means unknown.
    for position in by_id.into_values() {
        if let Some(entry) = txn.entry_mut(scope, position)? {
            entry.goes_unanswered(in_flight.push_seq);
        }
    }
    // What a receipt could not tell is pulled: the feed must not be left beyond it.
    let row = txn.scope_mut(scope)?;
    if let Some(cursor) = response.cursor.clone().filter(|_| row.building.is_none() && !waits) {
        row.cursor = Some(cursor);
        let newest = response.receipts.iter().filter_map(|receipt| receipt.revision).max();
        row.known_revision = row.known_revision.max(newest.filter(|_| row.complete).unwrap_or(0));
    }
    Ok(settlement)
}

/// Takes the records that an answer tells. Each stands once in it, with the last receipt that needs it: whatever comes before
/// finds it there, instead of waiting for a pull that would bring nothing newer.
fn take_records(txn: &mut Txn<'_>, scope: &Scope, receipts: &[Receipt], ours: &BTreeMap<EventId, u64>) -> Result<()> {
    let row = txn.scope(scope)?;
    let generation = row.generation;
    let known = if row.building.is_none() { row.fed() } else { 0 };
    for receipt in receipts.iter().filter(|receipt| receipt.status.is_settled()) {
        // What the feed has told of is newer; of a delete it may have left no revision to compare with.
        let Some(change) = receipt.record.as_ref().filter(|change| change.revision > known) else { continue };
        let Some(position) = ours.get(&receipt.id) else { continue };
        let Some(key) = txn.entry(scope, *position)?.map(|entry| entry.event.key()) else { continue };
        if key == change.key() && change.revision > txn.record(scope, generation, &key)?.revision {
            confirm(txn, scope, generation, &key, Confirmed::of(change))?;
        }
    }
    Ok(())
}

/// What the refusal of a whole push says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judges {
    /// The server has not taken the push, however often it was sent.
    ThePush,
    /// This sending has not reached the server: something on the way refused it, and knows nothing of earlier ones.
    ThisSending {
        /// There were earlier ones, without an answer.
        resent: bool,
    },
    /// The server has taken the push, and its answer is longer than the client reads.
    AnswerTooLong,
}

impl Judges {
    /// Whether the server may hold the push that is given up. A pull to the end tells; nothing is sent until then.
    #[must_use]
    pub fn leaves_doubt(self) -> bool {
        matches!(self, Self::ThisSending { resent: true } | Self::AnswerTooLong)
    }
}

/// Gives up the push in flight. An event that the server may hold is never parked as refused: where it cannot be sent again,
/// it is parked as uncertain.
pub(super) fn recut(txn: &mut Txn<'_>, scope: &Scope, parking: Option<&Parking>, judges: Judges) -> Result<u64> {
    let row = txn.scope_mut(scope)?;
    let Some(in_flight) = row.in_flight.take() else { return Ok(0) };
    row.in_doubt |= judges.leaves_doubt();
    let (lineage, generation) = (row.lineage.clone(), row.generation);
    let (mut parked, mut keys) = (Vec::new(), BTreeSet::new());
    for position in in_flight.positions {
        let Some(entry) = txn.entry_mut(scope, position)? else { continue };
        entry.frozen = true;
        if judges.leaves_doubt() {
            entry.uncertain = true;
            entry.goes_unanswered(in_flight.push_seq);
        }
        let doubt = judges != Judges::ThePush && entry.may_be_held(&lineage);
        let event = entry.event.clone();
        if let Some(parking) = parking {
            let parking = if doubt { Parking::uncertain(parking) } else { parking.clone() };
            park(txn, scope, position, &event, parking)?;
            parked.push(position);
            keys.insert(event.key());
        }
    }
    for key in keys {
        overlay(txn, scope, generation, &key)?;
        cancel_moot(txn, scope, generation, &key)?;
    }
    still_parked(txn, scope, &parked)
}

/// How many of these events are in the queue: others were cancelled as they were parked.
fn still_parked(txn: &mut Txn<'_>, scope: &Scope, positions: &[u64]) -> Result<u64> {
    let mut count = 0;
    for &position in positions {
        count += u64::from(txn.entry(scope, position)?.is_some());
    }
    Ok(count)
}

/// A skipped event waits for the one that it was skipped for, where that one waits here: parked, or ahead in its lane. Or it
/// goes again without it, where the app has dropped that one. Where nothing here would ever release it, it is parked itself;
/// so is the rest of a refused group.
fn skipped_for_good(txn: &mut Txn<'_>, event: &SyncEvent, because: Option<&EventId>) -> Result<bool> {
    let Some(because) = because else { return Ok(true) };
    let Some(row) = txn.outcome(because)?.cloned() else { return Ok(true) };
    match row.state {
        Outcome::Pending { position } | Outcome::Parked { position } => {
            let scope = row.scope;
            Ok(event.group.is_some()
                && txn.entry(&scope, position)?.is_some_and(|entry| entry.event.group == event.group))
        }
        // It has left the queue here; the next push does not name it any more.
        Outcome::Discarded | Outcome::Cancelled | Outcome::ReplacedBy { .. } => Ok(!event.depends_on.contains(because)),
        Outcome::Applied { .. } => Ok(true),
    }
}

fn parking_of(receipt: &Receipt) -> Parking {
    let code = match (receipt.status, &receipt.code) {
        (_, Some(code)) => code.clone(),
        (ReceiptStatus::Conflict, None) => "conflict".to_owned(),
        (ReceiptStatus::Skipped, None) => "skipped".to_owned(),
        _ => "rejected".to_owned(),
    };
    Parking { code, message: receipt.message.clone().unwrap_or_default(), because: receipt.because.clone() }
}

/// Parks an event: it stays in its record's view and holds its lane up until the app decides.
pub(super) fn park(txn: &mut Txn<'_>, scope: &Scope, position: u64, event: &SyncEvent, parking: Parking) -> Result<()> {
    if let Some(entry) = txn.entry_mut(scope, position)? {
        entry.frozen = true;
        if entry.parked.replace(parking).is_none() {
            txn.replica_mut().parked_events += 1;
        }
    }
    settle_outcome(txn, scope, &event.id, &event.key(), Outcome::Parked { position });
    Ok(())
}

pub(super) fn freeze(txn: &mut Txn<'_>, scope: &Scope, position: u64) -> Result<()> {
    if let Some(entry) = txn.entry_mut(scope, position)? {
        entry.frozen = true;
    }
    Ok(())
}

/// Returns whether the receipt told all: if not, the event waits for a pull.
fn settle_one(
    txn: &mut Txn<'_>,
    (scope, generation): (&Scope, Generation),
    position: u64,
    push_seq: u64,
    receipt: &Receipt,
) -> Result<bool> {
    let Some(mut entry) = txn.take_entry(scope, position)? else { return Ok(true) };
    entry.sent.add(push_seq);
    entry.uncertain = false;
    let key = entry.event.key();
    let author =
        Author { user: txn.replica().account.clone().unwrap_or_default(), device: txn.replica().device.clone() };
    let row = txn.scope(scope)?;
    let told = row.building.is_none() && receipt.revision.is_some_and(|revision| revision <= row.fed());
    let advance = if told {
        // The feed has told of it, or of something newer; of a delete it may have left no revision to compare with. That an
        // event is taken to be absorbed says less: of a push that the records contain it may have been refused.
        Advance::Hold
    } else {
        Advance::of(txn.record(scope, generation, &key)?, &entry.event, receipt, author)
    };
    let receipt = Receipt { record: None, ..receipt.clone() };
    match advance {
        Advance::Wait => {
            // Its effect stays in the view until a pull brings the revision.
            entry.frozen = true;
            entry.settled = Some(receipt);
            txn.set_entry(scope, position, Some(entry));
            return Ok(false);
        }
        Advance::Hold => {}
        Advance::To(state) => confirm(txn, scope, generation, &key, state)?,
    }
    finish(txn, scope, generation, position, &entry, receipt)?;
    Ok(true)
}

/// What a receipt says of the confirmed state.
enum Advance {
    /// It is there already, or beyond.
    Hold,
    /// It becomes this.
    To(Confirmed),
    /// It cannot be told without a pull.
    Wait,
}

impl Advance {
    fn of(row: &RecordRow, event: &SyncEvent, receipt: &Receipt, author: Author) -> Self {
        let revision = receipt.revision.unwrap_or(0);
        if revision <= row.revision {
            return Self::Hold;
        }
        if receipt.previous != Some(row.revision) {
            return Self::Wait;
        }
        let stamp = receipt.stamp.clone().unwrap_or_else(|| event.stamp.clone());
        Self::To(Confirmed { revision, doc: apply_event(row.doc.clone(), event), by: (stamp, author) })
    }
}

/// A record's state as the server has it.
pub(crate) struct Confirmed {
    revision: Revision,
    /// `None` for a deleted record.
    doc: Option<Value>,
    by: (Stamp, Author),
}

impl Confirmed {
    /// The state that `change` tells of.
    pub(crate) fn of(change: &Change) -> Self {
        let Change { revision, doc, stamp, by, .. } = change;
        Self { revision: *revision, doc: doc.clone(), by: (stamp.clone(), by.clone()) }
    }
}

/// Advances a record's confirmed state, and its generation's digest with it. The view is not touched.
pub(crate) fn confirm(
    txn: &mut Txn<'_>,
    scope: &Scope,
    generation: Generation,
    key: &RecordKey,
    state: Confirmed,
) -> Result<()> {
    let row = txn.record_mut(scope, generation, key)?;
    let before = row.digest(key);
    match &state.doc {
        Some(_) => row.ghost = None,
        None => row.vanish(),
    }
    row.revision = state.revision;
    let replaced = std::mem::replace(&mut row.doc, state.doc);
    row.by = Some(state.by);
    let after = row.digest(key);
    if key.collection.as_str() == CONFLICTS {
        let held = row.doc.clone();
        drop_lost_values(txn, scope, key, replaced.as_ref(), held.as_ref());
    }
    let bucket = usize::from(crate::model::bucket_of(key));
    let digest = txn.digest_mut(scope, generation)?;
    if let Some(share) = before {
        digest.0[bucket].subtract(share);
    }
    if let Some(share) = after {
        digest.0[bucket].add(share);
    }
    Ok(())
}

/// Settles an event that was taken out of the queue, and keeps it until the server's backups are sure to hold it. Its record's
/// view is left to be computed anew.
fn finish(
    txn: &mut Txn<'_>,
    scope: &Scope,
    generation: Generation,
    position: u64,
    entry: &QueueEntry,
    receipt: Receipt,
) -> Result<()> {
    let key = entry.event.key();
    let revision: Revision = receipt.revision.unwrap_or(0);
    let kept = SettledRow::encode(position, &entry.event, &txn.replica().device, &entry.sent);
    txn.set_raw(keys::settled(scope, revision), Some(kept));
    txn.replica_mut().left_queue(entry);
    settle_outcome(txn, scope, &entry.event.id, &key, Outcome::Applied { receipt: Box::new(receipt) });
    leave(txn, scope, generation, &key, position)
}

/// Finishes the events of a record that had waited for a pull up to `revision`, and computes its view anew. Called for each
/// record that a pull advanced.
pub(crate) fn finish_settled(
    txn: &mut Txn<'_>,
    scope: &Scope,
    generation: Generation,
    key: &RecordKey,
    revision: Revision,
) -> Result<()> {
    let positions = txn.record(scope, generation, key)?.pending.clone();
    txn.load_entries(scope, &positions)?;
    for position in positions {
        let known = txn.entry(scope, position)?.and_then(|entry| entry.settled.as_ref());
        let Some(receipt) = known.filter(|receipt| receipt.revision.unwrap_or(0) <= revision).cloned() else {
            continue;
        };
        if let Some(entry) = txn.take_entry(scope, position)? {
            finish(txn, scope, generation, position, &entry, receipt)?;
        }
    }
    overlay(txn, scope, generation, key)
}
