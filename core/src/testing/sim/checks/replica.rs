//! What must hold on a device at any moment: every acknowledged write has one fate (I1, I2), what was refused says why (I12),
//! the totals of the queue are right, no bucket had to be repaired but for damage, and none twice (I4), and nothing has panicked (I16).

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::reads::{Held, held};
use super::view;
use crate::Client;
use crate::error::Result as CallResult;
use crate::model::{EventId, Revision, Scope};
use crate::replica::rows::{Outcome, QueueEntry};
use crate::testing::sim::SimDisk;
use crate::testing::sim::ledger::Standing;
use crate::testing::sim::perform::feature_check;
use crate::testing::sim::world::{Checked, World};

/// What a replica says of itself.
struct Account {
    held: Vec<Held>,
    queue: BTreeMap<u64, QueueEntry>,
    outcomes: Vec<(EventId, Option<Outcome>)>,
    /// Up to which revision the server's backups hold everything, by scope.
    backups: BTreeMap<Scope, Revision>,
    /// Digest buckets that had come to differ from the server's, and when they were repaired.
    repaired: Vec<(Scope, u8, u64)>,
    /// A write that does not show.
    hidden: Option<Violation>,
}

impl World<'_> {
    /// Checks a device on which a process runs, unless nothing has changed on it since the last time.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn check_device(&mut self, number: usize) -> Checked {
        let device = &self.devices[number];
        let Some(client) = device.client.clone().filter(|_| !device.suspended) else { return Ok(()) };
        let disk = device.present_disk().expect("a client has a disk").clone();
        let state = Some((device.account.clone(), disk.changes(), client.status()));
        if device.checked == state {
            return Ok(());
        }
        disk.set_calm(true);
        let checked = self.look_at(number, &client);
        disk.set_calm(false);
        checked?;
        for feature in self.active() {
            let app = self.app(number, client.clone());
            let ledger = std::mem::take(&mut self.ledger);
            let checked = feature_check(self, number, feature.check_device(&app, &ledger));
            self.ledger = ledger;
            checked?;
        }
        self.devices[number].checked = state;
        Ok(())
    }

    fn look_at(&mut self, number: usize, client: &Client) -> Checked {
        let replica = self.devices[number].replica();
        let ids: Vec<_> = self
            .ledger
            .of(&replica)
            .filter(|entry| matches!(entry.standing, Standing::Held | Standing::Discarded))
            .map(|entry| entry.id.clone())
            .collect();
        let Some(account) = self.guarded(number, take_account(client, &ids)) else { return Ok(()) };
        let account = account.map_err(|error| Violation::new("run", format!("d{number} cannot be read: {error}")))?;
        self.reads.take(&replica, account.held)?;
        if let Some(hidden) = account.hidden {
            return Err(Violation::new(&hidden.invariant, format!("on {replica}, {}", hidden.what)));
        }
        for (scope, bucket, at) in account.repaired {
            self.check_repair(&replica, &scope, bucket, at)?;
        }
        for why in account.queue.values().filter_map(|entry| entry.parked.as_ref()) {
            self.coverage.hit(format!("parked/{}", why.code));
        }
        let status = client.status();
        let parked = account.queue.values().filter(|entry| entry.parked.is_some()).count() as u64;
        let counted = (status.pending + status.parked, status.parked) == (account.queue.len() as u64, parked);
        // During a commit the client has not heard yet of what its disk holds.
        if !counted && !self.devices[number].present_disk().is_some_and(SimDisk::is_committing) {
            let what = format!("{replica} counts {status:?}, and its queue holds {}", account.queue.len());
            return Err(Violation::new("I2", what));
        }
        for scope in status.scopes.values() {
            if let Some(error) = scope.last_error.as_ref().filter(|error| error.starts_with("internal")) {
                return Err(Violation::new("I16", format!("{replica}: {error}")));
            }
        }
        let unexplained = |entry: &&QueueEntry| entry.parked.as_ref().is_some_and(|why| why.code.is_empty());
        if let Some(entry) = account.queue.values().find(unexplained) {
            return Err(Violation::new(
                "I12",
                format!("{} is parked on {replica}, and nobody says why", entry.event.id),
            ));
        }
        let mut taken = BTreeSet::new();
        for (id, outcome) in account.outcomes {
            if let Some((position, parked)) = waiting(outcome.as_ref()) {
                let entry = account.queue.get(&position);
                let there = entry.is_some_and(|entry| entry.event.id == id && entry.parked.is_some() == parked);
                if !there || !taken.insert(position) {
                    let what = format!("{id} should wait at {position} of {replica}'s queue: {entry:?}");
                    return Err(Violation::new("I2", what));
                }
            }
            let old = outcome.is_none() && self.is_old(&id, &account.backups);
            self.ledger.hear(&id, outcome, old)?;
        }
        Ok(())
    }
}

impl World<'_> {
    /// Whether the server's backups hold what became of an event's content: all up to these revisions, by scope.
    fn is_old(&self, id: &EventId, backups: &BTreeMap<Scope, Revision>) -> bool {
        let Some(entry) = self.ledger.entry(self.ledger.carrier(id)) else { return false };
        let scope = &entry.planned.scope;
        let backup = backups.get(scope).copied().unwrap_or(0);
        let recorded = self.logs.revision_of(&entry.replica.account, scope, &entry.id);
        let dropped = matches!(entry.last, Some(Outcome::Discarded | Outcome::Cancelled));
        recorded.is_some_and(|revision| revision <= backup) || dropped && backup > 0
    }
}

fn waiting(outcome: Option<&Outcome>) -> Option<(u64, bool)> {
    match outcome? {
        Outcome::Pending { position } => Some((*position, false)),
        Outcome::Parked { position } => Some((*position, true)),
        _ => None,
    }
}

async fn take_account(client: &Client, ids: &[EventId]) -> CallResult<Account> {
    let reader = client.replica();
    let (mut queue, mut backups) = (BTreeMap::new(), BTreeMap::new());
    let (mut repaired, mut hidden) = (Vec::new(), None);
    for scope in reader.scopes().await? {
        let entries = reader.entries(&scope, 0, usize::MAX).await?;
        if hidden.is_none() {
            hidden = view::hidden(client, &scope, &entries).await?;
        }
        queue.extend(entries);
        let row = reader.scope(&scope).await?;
        repaired.extend(row.repaired.iter().map(|(bucket, at)| (scope.clone(), *bucket, *at)));
        backups.insert(scope, row.backup_revision);
    }
    let mut outcomes = Vec::with_capacity(ids.len());
    for id in ids {
        outcomes.push((id.clone(), client.outcome(id).await?));
    }
    Ok(Account { held: held(client).await?, queue, outcomes, backups, repaired, hidden })
}
