//! The ledger: every event that a write returned, on which replica, and what has been heard of it since.
//!
//! A replica can lose what it had promised in three ways only: the power goes and its disk keeps the last writes back
//! (`durability: normal`), its store is lost, or an older copy of its file is put back. Each is told to the ledger, which
//! then expects the entries either to be gone or to stand where they had stood before. In all other cases an entry that
//! cannot be accounted for is a violation of I1 or I2.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::checks::Violation;
use crate::model::{EventId, RecordKey, Scope, Value};
use crate::replica::rows::{Outcome, OutcomeRow};

/// A replica: one account's store on one device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId {
    /// The device's number.
    pub device: usize,
    /// The account.
    pub account: String,
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "d{}/{}", self.device, self.account)
    }
}

/// One write that is about to be made: one event, if it is accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Its scope.
    pub scope: Scope,
    /// Its record.
    pub key: RecordKey,
    /// What it does, in its feature's own words, for that feature's checks.
    pub effect: Value,
}

/// What the ledger holds of an event.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The event.
    pub id: EventId,
    /// Who accepted it.
    pub replica: ReplicaId,
    /// The feature that wrote it.
    pub feature: &'static str,
    /// What it does.
    pub planned: Planned,
    /// Entries of one call of the app share it.
    pub unit: u64,
    /// Whether the replica still answers for it.
    pub standing: Standing,
    /// The event that took its content over.
    pub next: Option<EventId>,
    /// Events that had carried its content when the replica was set back. They may have reached the server.
    pub former: BTreeSet<EventId>,
    /// What the replica last said of it.
    pub last: Option<Outcome>,
    /// The replica need not remember it any more, and does not.
    pub forgotten: bool,
    /// The server has recorded it in some history, which a restore may bring back.
    pub recorded: bool,
}

/// Whether a replica answers for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Held,
    /// It was set back, and knows nothing of it. The server may have it, once.
    Lost,
    /// It was lost with the power, and so was never sent: what is sent is on the medium before.
    Unsent,
    /// The app dropped it. The server may have it, once: a proxy may have refused the repetition of a push whose answer was
    /// lost.
    Discarded,
}

/// A call that never returned: its process ended. All of it happened, or nothing.
#[derive(Clone, Debug)]
pub struct Interrupted {
    /// The feature that made it.
    pub feature: &'static str,
    /// Its writes.
    pub planned: Vec<Planned>,
    /// It may have made more events of them, or fewer, all on the record of the only write.
    pub splits: bool,
}

/// Where an event stands in its queue; beyond all that do, if it has left.
#[must_use]
pub fn position_of(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Pending { position } | Outcome::Parked { position } => *position,
        _ => u64::MAX,
    }
}

/// All entries.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    by_id: BTreeMap<EventId, usize>,
    interrupted: BTreeMap<ReplicaId, Interrupted>,
    /// Calls that never returned, on stores that were lost before anybody could look.
    untold: Vec<Planned>,
    units: u64,
    replacements: BTreeSet<EventId>,
    late: bool,
}

impl Ledger {
    /// A call returned these ids, one for each of its writes.
    pub fn accept(&mut self, replica: &ReplicaId, feature: &'static str, planned: Vec<Planned>, ids: Vec<EventId>) {
        self.units += 1;
        for (planned, id) in planned.into_iter().zip(ids) {
            self.by_id.insert(id.clone(), self.entries.len());
            self.entries.push(Entry {
                id,
                replica: replica.clone(),
                feature,
                planned,
                unit: self.units,
                standing: Standing::Held,
                next: None,
                former: BTreeSet::new(),
                last: None,
                forgotten: false,
                recorded: false,
            });
        }
    }

    /// A push arrived late, and then the server was restored: of the answer to the next push, which would have told, nobody may
    /// have heard (ADR 16).
    pub fn lose_late_pushes(&mut self) {
        self.late = true;
    }

    /// Whether the view may hold an unsettled event on top of what the server holds.
    #[must_use]
    pub fn may_show_twice(&self, entry: &Entry) -> bool {
        let settled = matches!(entry.last, Some(Outcome::Applied { .. } | Outcome::Discarded | Outcome::Cancelled));
        self.late && !settled
    }

    /// A call did not return.
    pub fn interrupt(&mut self, replica: &ReplicaId, call: Interrupted) {
        self.interrupted.insert(replica.clone(), call);
    }

    /// All entries, in the order in which they were accepted.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries of one replica.
    pub fn of<'a>(&'a self, replica: &'a ReplicaId) -> impl DoubleEndedIterator<Item = &'a Entry> + 'a {
        self.entries.iter().filter(move |entry| entry.replica == *replica)
    }

    /// An entry.
    #[must_use]
    pub fn entry(&self, id: &EventId) -> Option<&Entry> {
        self.by_id.get(id).map(|at| &self.entries[*at])
    }

    /// Calls that never returned and whose store was lost before anybody could look.
    #[must_use]
    pub fn untold(&self) -> &[Planned] {
        &self.untold
    }

    /// The event that carries an entry's content in the end.
    #[must_use]
    pub fn carrier<'a>(&'a self, id: &'a EventId) -> &'a EventId {
        let mut id = id;
        while let Some(next) = self.entry(id).and_then(|entry| entry.next.as_ref()) {
            id = next;
        }
        id
    }

    /// The events that may have brought an entry's content to the server, each once: the one that carries it in the end,
    /// and those that had carried it, or what it was folded into, when the replica was set back.
    #[must_use]
    pub fn carriers<'a>(&'a self, id: &'a EventId) -> BTreeSet<&'a EventId> {
        let mut found = BTreeSet::new();
        let mut met = BTreeSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            let Some(entry) = self.entry(id).filter(|entry| met.insert(&entry.id)) else { continue };
            if entry.next.is_none() && entry.standing != Standing::Unsent {
                found.insert(&entry.id);
            }
            found.extend(&entry.former);
            open.extend(entry.former.iter().chain(&entry.next));
        }
        found
    }

    /// Whether a replica still answers for an entry's content, wherever it has gone.
    #[must_use]
    pub fn fate(&self, id: &EventId) -> Standing {
        let own = self.entry(id).map_or(Standing::Held, |entry| entry.standing);
        if own == Standing::Held { self.entry(self.carrier(id)).map_or(own, |entry| entry.standing) } else { own }
    }

    /// Whether the event is another one under a new id, by the app's `replace`.
    #[must_use]
    pub fn is_replacement(&self, id: &EventId) -> bool {
        self.replacements.contains(id)
    }

    /// The app dropped an event, and with it all of its call that the replica answers for.
    pub fn discard(&mut self, id: &EventId) {
        let Some(unit) = self.entry(id).map(|entry| entry.unit) else { return };
        let stands = |entry: &&mut Entry| entry.standing == Standing::Held && entry.next.is_none();
        for entry in self.entries.iter_mut().filter(|entry| entry.unit == unit).filter(stands) {
            entry.standing = Standing::Discarded;
        }
    }

    /// The app gave an event's content a new id. What a lost history holds under the old one counts beside it, should it come
    /// back.
    pub fn replace(&mut self, id: &EventId, new: EventId) {
        let Some(old) = self.entry(id).cloned() else { return };
        self.by_id.insert(new.clone(), self.entries.len());
        self.replacements.insert(new.clone());
        self.entries.push(Entry { id: new.clone(), last: None, former: BTreeSet::new(), recorded: false, ..old });
        let entry = &mut self.entries[self.by_id[id]];
        entry.next = Some(new);
        if entry.recorded {
            entry.former.insert(id.clone());
        }
    }

    /// A replica's process is up again: what it knows of that nobody was told must be the call that never returned, and all
    /// of it.
    ///
    /// # Errors
    /// I2 if it knows of more; I8 if it knows of a part.
    pub fn reconcile(
        &mut self,
        replica: &ReplicaId,
        known: &[(EventId, OutcomeRow)],
    ) -> Result<Option<usize>, Violation> {
        let mut strangers: Vec<_> = known.iter().filter(|(id, _)| !self.by_id.contains_key(id)).collect();
        strangers.sort_by_key(|(_, row)| position_of(&row.state));
        let Some(Interrupted { feature, mut planned, splits }) = self.interrupted.remove(replica) else {
            return match strangers.first() {
                None => Ok(None),
                Some((id, _)) => Err(Violation::new("I2", format!("{replica} holds {id}, which nobody wrote"))),
            };
        };
        if strangers.is_empty() {
            return Ok(Some(0));
        }
        if splits {
            planned.resize(strangers.len(), planned[0].clone());
        }
        let mut ids = Vec::with_capacity(planned.len());
        for write in &planned {
            let found = strangers
                .iter()
                .find(|(id, row)| row.scope == write.scope && row.key == write.key && !ids.contains(id))
                .map(|(id, _)| id.clone());
            ids.extend(found);
        }
        if ids.len() != planned.len() || ids.len() != strangers.len() {
            let (whole, part) = (planned.len(), strangers.len());
            return Err(Violation::new(
                "I8",
                format!("a call of {whole} writes was cut short on {replica}, and {part} of them are there"),
            ));
        }
        let count = ids.len();
        self.accept(replica, feature, planned, ids);
        Ok(Some(count))
    }

    /// A replica was set back: `known` is all that it says now. With `keeps_prefix` it can only have lost the last entries
    /// that it accepted.
    ///
    /// # Errors
    /// I1 if an entry is gone and a later one is there, though only the last ones can be gone.
    pub fn set_back(
        &mut self,
        replica: &ReplicaId,
        known: &[(EventId, OutcomeRow)],
        keeps_prefix: bool,
    ) -> Result<usize, Violation> {
        let known: BTreeMap<_, _> = known.iter().map(|(id, row)| (id, &row.state)).collect();
        let mut lost: Option<EventId> = None;
        let mut count = 0;
        for entry in self.entries.iter_mut().filter(|entry| entry.replica == *replica) {
            let Some(outcome) = known.get(&entry.id) else {
                if entry.forgotten && keeps_prefix {
                    continue;
                }
                if entry.standing == Standing::Discarded {
                    // It was parked, and so it was sent.
                    entry.standing = Standing::Lost;
                } else if entry.standing == Standing::Held {
                    entry.standing = if keeps_prefix { Standing::Unsent } else { Standing::Lost };
                    lost = Some(entry.id.clone());
                    count += 1;
                }
                continue;
            };
            if let Some(lost) = lost.as_ref().filter(|_| keeps_prefix) {
                return Err(Violation::new("I1", format!("{replica} lost {lost}, but not the later {}", entry.id)));
            }
            let next = match outcome {
                Outcome::ReplacedBy { id } => Some(id.clone()),
                _ => None,
            };
            if entry.next != next {
                let former = std::mem::replace(&mut entry.next, next);
                // What had taken it over and is gone with the power was never sent.
                entry.former.extend(former.filter(|_| !keeps_prefix));
            }
            if !keeps_prefix {
                // It may have been sent since, of which the copy knows nothing: later writes are folded into it once more.
                match outcome {
                    Outcome::Pending { .. } | Outcome::Parked { .. } => drop(entry.former.insert(entry.id.clone())),
                    Outcome::ReplacedBy { id } => drop(entry.former.insert(id.clone())),
                    Outcome::Applied { .. } | Outcome::Discarded | Outcome::Cancelled => {}
                }
            }
            entry.standing = if matches!(outcome, Outcome::Discarded) { Standing::Discarded } else { Standing::Held };
            entry.last = Some((*outcome).clone());
            entry.forgotten = false;
        }
        Ok(count)
    }

    /// A replica's store is gone, or another one's copy is about to take its place: what it was writing nobody will know.
    pub fn forget_interrupted(&mut self, replica: &ReplicaId) {
        if let Some(Interrupted { planned, .. }) = self.interrupted.remove(replica) {
            self.untold.extend(planned);
        }
    }

    /// Takes note of what a replica says of an entry; nothing, if it need not remember it any more (`old`).
    ///
    /// # Errors
    /// I1 if it knows nothing of it too soon; I2 if a fate that was final has changed.
    pub fn hear(&mut self, id: &EventId, outcome: Option<Outcome>, old: bool) -> Result<(), Violation> {
        let Some(at) = self.by_id.get(id).copied() else { return Ok(()) };
        let entry = &mut self.entries[at];
        entry.forgotten = outcome.is_none() && old;
        let Some(outcome) = outcome else {
            return match old {
                true => Ok(()),
                false => Err(Violation::new("I1", format!("{} is lost on {}", entry.id, entry.replica))),
            };
        };
        let settled =
            |outcome: &Outcome| matches!(outcome, Outcome::Discarded | Outcome::ReplacedBy { .. } | Outcome::Cancelled);
        if let Some(last) = entry.last.as_ref().filter(|last| settled(last) && **last != outcome) {
            let what = format!("{} on {} was {last:?} and is now {outcome:?}", entry.id, entry.replica);
            return Err(Violation::new("I2", what));
        }
        let dropped = entry.standing == Standing::Discarded;
        if dropped != matches!(outcome, Outcome::Discarded) {
            let what = format!("{} on {}: dropped by the app: {dropped}, but {outcome:?}", entry.id, entry.replica);
            return Err(Violation::new("I2", what));
        }
        if let Outcome::ReplacedBy { id: next } = &outcome {
            entry.next = Some(next.clone());
        }
        entry.recorded |= matches!(outcome, Outcome::Applied { .. });
        entry.last = Some(outcome);
        Ok(())
    }
}
