//! A scope's row: where pulling, pushing and rebuilding stand.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Membership, counter, is_false};
use crate::model::Revision;
use crate::protocol::Cursor;
use crate::reading;
use crate::replica::keys::Generation;
use crate::replica::lineage::Lineage;

/// Where a scope stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ScopeRow {
    /// The server history that the replica follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// Where the pull of the live generation stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// The newest commit of which the replica has evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<Cursor>,
    /// The generation that is read.
    pub generation: Generation,
    /// A re-bootstrap under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub building: Option<Building>,
    /// Generations whose rows are still to be cleared, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retired: Vec<Generation>,
    /// The last push_seq used.
    pub push_seq: u64,
    /// Which pushes followed which.
    #[serde(skip_serializing_if = "Lineage::is_straight")]
    pub lineage: Lineage,
    /// The push whose receipts are missing: its events are frozen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<InFlight>,
    /// A push was given up that the server may hold. Nothing is sent until a pull has come to its end: the last number that the
    /// server knows tells then whether it does.
    #[serde(skip_serializing_if = "is_false")]
    pub in_doubt: bool,
    /// No page is missing to a state that the server had.
    pub consistent: bool,
    /// The first sync is complete.
    pub complete: bool,
    /// The replica holds the scope's whole state as of this revision or a later one: a record that it does not know was not
    /// alive then. The base of writes to unknown records.
    pub known_revision: Revision,
    /// The newest revision that a pull has brought to the generation that is read. The feed goes upwards: what the server made of
    /// any event up to here, these records hold.
    pub pulled: Revision,
    /// The account's place in it.
    #[serde(skip_serializing_if = "Membership::is_unknown")]
    pub membership: Membership,
    /// Settled events up to here need not be kept.
    pub backup_revision: Revision,
    /// What was read in a generation before this one is of another history above this revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<(Generation, Revision)>,
    /// When each digest bucket was last repaired, in corrected milliseconds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub repaired: BTreeMap<u8, u64>,
}

reading::fields!(ScopeRow {
    epoch = None, cursor = None, seen = None, generation = 0, building = None, retired = Vec::new(),
    push_seq by counter = 0, lineage = Lineage::default(), in_flight = None, in_doubt = false, consistent = false,
    complete = false, known_revision = 0, pulled = 0, membership = Membership::default(), backup_revision = 0,
    shared = None, repaired = BTreeMap::new(),
});

impl ScopeRow {
    /// Revisions above this mean nothing in the present history, to whoever has read `generation`.
    #[must_use]
    pub fn shared_with(&self, generation: Generation) -> Revision {
        let before = self.shared.filter(|(first, _)| generation < *first).map(|(_, shared)| shared);
        let building = self.building.as_ref().and_then(|building| building.shared_revision);
        before.into_iter().chain(building).min().unwrap_or(Revision::MAX)
    }

    /// The generation that was built takes the place of the one that is read.
    pub fn swap(&mut self, building: Building) {
        self.retire(self.generation);
        self.generation = building.generation;
        self.cursor = building.cursor;
        if let Some(shared) = building.shared_revision {
            let lowest = self.shared.map_or(shared, |(_, before)| before.min(shared));
            self.shared = Some((building.generation, lowest));
        }
    }

    /// What the server made of any event up to this revision, the generation that is read holds: the feed, or a push that stood
    /// alone at its end, has told of it.
    #[must_use]
    pub fn fed(&self) -> Revision {
        self.known_revision.max(self.pulled)
    }

    /// Takes note that a generation's rows are to be cleared.
    pub fn retire(&mut self, generation: Generation) {
        if let Err(place) = self.retired.binary_search(&generation) {
            self.retired.insert(place, generation);
        }
    }
}

/// A generation that a re-bootstrap fills.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Building {
    /// Its number.
    pub generation: Generation,
    /// Where its pull stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// Revisions of the old history above this mean nothing in the new one; absent if the history is the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_revision: Option<Revision>,
}

reading::fields!(Building { generation, cursor = None, shared_revision = None });

/// A push on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InFlight {
    /// Its number.
    pub push_seq: u64,
    /// The positions of its events, in order.
    pub positions: Vec<u64>,
}

reading::fields!(InFlight { push_seq, positions });
