//! Freezing: choosing what the next push carries, and fixing it durably before it is sent.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::limits::{MAX_PUSH_BYTES, MAX_PUSH_EVENTS};
use crate::model::{CollectionName, EventId, GroupId, OpKind, Pointer, RecordKey, Scope, SyncEvent};
use crate::replica::Txn;
use crate::replica::lineage::Lineage;
use crate::replica::rows::{InFlight, Outcome, QueueEntry};

/// A push: numbered, fixed, ready to be sent any number of times.
#[derive(Clone, Debug, PartialEq)]
pub struct Push {
    /// Its number.
    pub push_seq: u64,
    /// Its events, in queue order.
    pub events: Vec<SyncEvent>,
    /// It was in flight already: the server may have heard of it.
    pub resent: bool,
}

/// Which collections a push may carry. Those of Unisono itself (`$settings`, `$conflicts`) always go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// Every collection.
    #[default]
    All,
    /// These. Events of others, and groups with one, wait.
    Only(BTreeSet<CollectionName>),
}

impl Selection {
    fn allows(&self, collection: &CollectionName) -> bool {
        match self {
            Self::All => true,
            Self::Only(selected) => collection.is_reserved() || selected.contains(collection),
        }
    }
}

/// How many entries are read at a time while choosing.
const SCAN: usize = 512;

/// The push in flight, or a new one of at most `max_events` events; `None` if nothing can be sent.
pub(super) fn next_push(
    txn: &mut Txn<'_>,
    scope: &Scope,
    max_events: usize,
    selection: Selection,
) -> Result<Option<Push>> {
    let row = txn.scope(scope)?;
    // Whoever asked may have read the row before a commit that says so: a sync that was given up leaves its last commit to
    // the background.
    if row.in_doubt || row.building.is_some() {
        return Ok(None);
    }
    if let Some(in_flight) = row.in_flight.clone() {
        let events = load(txn, scope, &in_flight.positions)?;
        return Ok(Some(Push { push_seq: in_flight.push_seq, events, resent: true }));
    }
    let lineage = row.lineage.clone();
    let chosen = Choice::new(lineage, max_events, selection).run(txn, scope)?;
    if chosen.is_empty() {
        return Ok(None);
    }
    let mut events = Vec::with_capacity(chosen.len());
    let mut positions = Vec::with_capacity(chosen.len());
    for Chosen { position, entry, depends_on } in chosen {
        positions.push(position);
        let mut event = Arc::unwrap_or_clone(entry).event;
        if event.depends_on != depends_on {
            event.depends_on = depends_on;
            if let Some(entry) = txn.entry_mut(scope, position)? {
                entry.event = event.clone();
            }
        }
        events.push(event);
    }
    let row = txn.scope_mut(scope)?;
    row.push_seq += 1;
    let push_seq = row.push_seq;
    row.in_flight = Some(InFlight { push_seq, positions });
    // A replica that forgot what it has sent would fold into it, stamp it anew, or give its number to another push (ADR 13).
    txn.make_durable();
    Ok(Some(Push { push_seq, events, resent: false }))
}

/// Whether there is anything to send.
pub(super) fn has_sendable(txn: &mut Txn<'_>, scope: &Scope, selection: Selection) -> Result<bool> {
    let lineage = txn.scope(scope)?.lineage.clone();
    Ok(!Choice::new(lineage, 1, selection).run(txn, scope)?.is_empty())
}

fn load(txn: &mut Txn<'_>, scope: &Scope, positions: &[u64]) -> Result<Vec<SyncEvent>> {
    txn.load_entries(scope, positions)?;
    let account = txn.replica().account.clone();
    let mut events = Vec::with_capacity(positions.len());
    for &position in positions {
        if let Some(entry) = txn.entry(scope, position)? {
            check_writer(entry, account.as_deref())?;
            events.push(entry.event.clone());
        }
    }
    Ok(events)
}

/// A push goes out under the replica's account, whoever gave the token: it carries what that account has written and nothing
/// else.
fn check_writer(entry: &QueueEntry, account: Option<&str>) -> Result<()> {
    match entry.account.as_deref() {
        Some(writer) if account != Some(writer) => Err(Error::IdentityMismatch {
            expected: account.unwrap_or("nobody yet").to_owned(),
            found: format!("{writer}, who has written event {}", entry.event.id),
        }),
        _ => Ok(()),
    }
}

/// Walks the queue in order, leaving out what has to wait.
struct Choice {
    lineage: Lineage,
    max_events: usize,
    selection: Selection,
    bytes: u64,
    /// Lanes in which an earlier event waits.
    blocked: BTreeSet<RecordKey>,
    blocked_groups: BTreeSet<GroupId>,
    chosen_ids: BTreeSet<EventId>,
    /// One text event per leaf is in flight at most.
    texts: BTreeSet<(RecordKey, Pointer)>,
    chosen: Vec<Chosen>,
}

/// An event that goes, and what it depends on now.
struct Chosen {
    position: u64,
    entry: Arc<QueueEntry>,
    depends_on: Vec<EventId>,
}

/// What became of an event's dependencies.
enum Dependencies {
    /// All are settled or go ahead of it in this push. Those that left the queue are not named any more, unless the server may
    /// hold the event as it was: it knows it by its content, and asks for nothing then.
    Met(Vec<EventId>),
    /// One has to be settled first.
    Waiting,
}

impl Choice {
    fn new(lineage: Lineage, max_events: usize, selection: Selection) -> Self {
        Self {
            lineage,
            max_events: max_events.clamp(1, MAX_PUSH_EVENTS),
            selection,
            bytes: 0,
            blocked: BTreeSet::new(),
            blocked_groups: BTreeSet::new(),
            chosen_ids: BTreeSet::new(),
            texts: BTreeSet::new(),
            chosen: Vec::new(),
        }
    }

    fn run(mut self, txn: &mut Txn<'_>, scope: &Scope) -> Result<Vec<Chosen>> {
        let mut from = 0;
        let mut unit: Vec<(u64, Arc<QueueEntry>)> = Vec::new();
        loop {
            let page = txn.entries_from(scope, from, SCAN)?;
            let Some((last, _)) = page.last() else { break };
            from = last + 1;
            txn.load_outcomes(page.iter().flat_map(|(_, entry)| &entry.event.depends_on))?;
            for (position, entry) in page {
                // A unit is a single event, or the members of a group, which stand together in the queue.
                let continues = unit
                    .first()
                    .is_some_and(|(_, first)| first.event.group.is_some() && first.event.group == entry.event.group);
                if !continues && !unit.is_empty() && !self.take(txn, std::mem::take(&mut unit))? {
                    return Ok(self.chosen);
                }
                unit.push((position, entry));
            }
        }
        if !unit.is_empty() {
            self.take(txn, unit)?;
        }
        Ok(self.chosen)
    }

    /// Considers one unit. Returns `false` when the push is full.
    fn take(&mut self, txn: &mut Txn<'_>, unit: Vec<(u64, Arc<QueueEntry>)>) -> Result<bool> {
        // An event whose receipt is known waits for a pull only; it holds nothing up and is not sent again.
        if unit.iter().all(|(_, entry)| entry.settled.is_some()) {
            return Ok(true);
        }
        let mut dependencies = Vec::with_capacity(unit.len());
        let mut waits = unit.iter().any(|(_, entry)| {
            !entry.is_sendable() || !self.selection.allows(&entry.event.collection) || self.is_blocked(entry)
        });
        for (_, entry) in &unit {
            match self.dependencies(txn, entry)? {
                Dependencies::Met(ids) => dependencies.push(ids),
                Dependencies::Waiting => waits = true,
            }
        }
        if waits {
            for (_, entry) in &unit {
                self.blocked.insert(entry.event.key());
                self.blocked_groups.extend(entry.event.group.clone());
            }
            return Ok(true);
        }
        let bytes: u64 = unit.iter().map(|(_, entry)| entry.bytes).sum();
        let full = self.chosen.len() + unit.len() > self.max_events || self.bytes + bytes > MAX_PUSH_BYTES as u64;
        if full && !self.chosen.is_empty() {
            return Ok(false);
        }
        self.bytes += bytes;
        for ((position, entry), depends_on) in unit.into_iter().zip(dependencies) {
            check_writer(&entry, txn.replica().account.as_deref())?;
            self.chosen_ids.insert(entry.event.id.clone());
            self.texts.extend(text_leaves(&entry.event));
            self.chosen.push(Chosen { position, entry, depends_on });
        }
        Ok(true)
    }

    fn is_blocked(&self, entry: &QueueEntry) -> bool {
        self.blocked.contains(&entry.event.key())
            || entry.event.group.as_ref().is_some_and(|group| self.blocked_groups.contains(group))
            || text_leaves(&entry.event).any(|leaf| self.texts.contains(&leaf))
    }

    fn dependencies(&self, txn: &mut Txn<'_>, entry: &QueueEntry) -> Result<Dependencies> {
        let mut met = Vec::new();
        let may_be_held = entry.may_be_held(&self.lineage);
        for named in &entry.event.depends_on {
            let mut id = named.clone();
            // Folding and replacing give an event a new id; what depended on the old one depends on the new one.
            while let Some(Outcome::ReplacedBy { id: next }) = txn.outcome(&id)?.map(|row| &row.state) {
                id = next.clone();
            }
            match txn.outcome(&id)?.map(|row| &row.state) {
                Some(Outcome::Pending { .. } | Outcome::Parked { .. }) if !self.chosen_ids.contains(&id) => {
                    return Ok(Dependencies::Waiting);
                }
                // What the server may hold stays as it was: it knows its hash.
                _ if may_be_held => met.push(named.clone()),
                // Forgotten because it was settled long ago.
                None if entry.frozen => met.push(id),
                Some(Outcome::Discarded | Outcome::Cancelled) | None => {}
                Some(_) => met.push(id),
            }
        }
        Ok(Dependencies::Met(met))
    }
}

fn text_leaves(event: &SyncEvent) -> impl Iterator<Item = (RecordKey, Pointer)> + '_ {
    event.ops.iter().filter(|op| matches!(op.kind, OpKind::Text { .. })).map(|op| (event.key(), op.path.clone()))
}
