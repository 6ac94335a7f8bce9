//! Salvaged rows, told apart by their keys and what they say.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use crate::model::{EventId, Scope};
use crate::replica::keys::{self, Generation};
use crate::replica::rows::{Outcome, OutcomeRow, QueueEntry, RecordRow, ReplicaRow, ScopeRow, SettledRow};
use crate::storage::Row;

/// What was found, by kind.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub replica: Option<ReplicaRow>,
    pub scopes: BTreeMap<Scope, ScopeRow>,
    /// By scope and position.
    pub events: BTreeMap<(Scope, u64), QueueEntry>,
    pub outcomes: BTreeMap<EventId, OutcomeRow>,
    /// By key.
    pub settled: BTreeMap<Vec<u8>, (Scope, SettledRow)>,
    /// By scope and generation, then by key.
    pub records: BTreeMap<(Scope, Generation), BTreeMap<Vec<u8>, RecordRow>>,
}

impl Found {
    /// Sorts `rows`, from the oldest to the newest. Where a row was found more than once, the newest counts.
    pub fn sort(rows: Vec<Row>) -> Self {
        let mut newest: BTreeMap<(Vec<u8>, Kind), Row> = BTreeMap::new();
        for row in rows {
            let Some(kind) = Kind::of(&row) else { continue };
            newest.insert((row.key.clone(), kind), row);
        }
        let mut found = Self::default();
        for ((key, kind), row) in newest {
            // `Kind::of` has read it, so there is nothing to refuse.
            let _ = found.take(kind, key, &row.value);
        }
        found.drop_what_has_left_the_queue();
        found
    }

    fn take(&mut self, kind: Kind, key: Vec<u8>, value: &[u8]) -> Option<()> {
        match kind {
            Kind::Replica => self.replica = read(value),
            Kind::Scope => drop(self.scopes.insert(keys::scope_of(&key)?, read(value)?)),
            Kind::Event => drop(self.events.insert(numbered(&key)?, read(value)?)),
            Kind::Outcome => {
                drop(self.outcomes.insert(keys::outcome_id_of(&key)?, read(value)?));
            }
            Kind::Settled => {
                let (scope, _) = numbered(&key)?;
                self.settled.insert(key, (scope, read(value)?));
            }
            Kind::Record => {
                let generation = keys::generation_of(&key)?;
                self.records.entry(generation).or_default().insert(key, read(value)?);
            }
        }
        Some(())
    }

    /// Rows of free pages may come back where the list of these was damaged. An outcome knows better.
    fn drop_what_has_left_the_queue(&mut self) {
        let outcomes = &self.outcomes;
        self.events.retain(|(_, at), entry| match outcomes.get(&entry.event.id).map(|row| &row.state) {
            Some(Outcome::Pending { position } | Outcome::Parked { position }) => position == at,
            Some(_) => false,
            None => true,
        });
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Replica,
    Scope,
    Event,
    Outcome,
    Settled,
    Record,
}

impl Kind {
    fn of(row: &Row) -> Option<Self> {
        let key = row.key.as_slice();
        if key == keys::replica().key {
            return read::<ReplicaRow>(&row.value).map(|_| Self::Replica);
        }
        if key.starts_with(keys::SCOPES) {
            return keys::scope_of(key).and_then(|_| read::<ScopeRow>(&row.value)).map(|_| Self::Scope);
        }
        if numbered(key).is_some() {
            if read::<QueueEntry>(&row.value).is_some() {
                return Some(Self::Event);
            }
            if read::<SettledRow>(&row.value).is_some() {
                return Some(Self::Settled);
            }
        }
        if read::<OutcomeRow>(&row.value).is_some() && !key.contains(&0) {
            return Some(Self::Outcome);
        }
        // Index entries hold nothing, digests no JSON.
        let (scope, generation) = keys::generation_of(key)?;
        keys::record_key_of(key, &keys::generation_prefix(&scope, generation))?;
        read::<RecordRow>(&row.value).map(|_| Self::Record)
    }
}

/// A scope and the number that follows it.
fn numbered(key: &[u8]) -> Option<(Scope, u64)> {
    let end = key.iter().position(|byte| *byte == 0)?;
    let number = key.get(end + 1..)?.try_into().ok()?;
    Some((std::str::from_utf8(&key[..end]).ok()?.parse().ok()?, u64::from_be_bytes(number)))
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    serde_json::from_slice(value).ok()
}
