//! Where a step writes: in the account's own scope, or in the workspace that all share.

use serde::{Deserialize, Serialize};

use crate::model::{CollectionName, RecordId, RecordKey, Scope, Value};
use crate::testing::SeededRandom;
use crate::testing::sim::config::WORKSPACE;
use crate::testing::sim::ledger::Planned;
use crate::{Client, Collection};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    User,
    Workspace,
}

impl Place {
    pub const BOTH: [Self; 2] = [Self::User, Self::Workspace];

    pub fn draw(random: &mut SeededRandom) -> Self {
        if random.chance(30) { Self::Workspace } else { Self::User }
    }

    pub fn scope(self) -> Scope {
        match self {
            Self::User => Scope::User,
            Self::Workspace => Scope::workspace(WORKSPACE).expect("the workspace's name is a name"),
        }
    }

    pub fn collection(self, client: &Client, name: &str) -> Collection {
        match self {
            Self::User => client.collection(name),
            Self::Workspace => client.workspace(WORKSPACE).collection(name),
        }
    }

    /// A record that the features themselves name.
    pub fn key(collection: &str, record: &str) -> RecordKey {
        RecordKey {
            collection: CollectionName::new(collection).expect("a feature's collection has a name"),
            record: RecordId::new(record).expect("a feature's record has a name"),
        }
    }

    pub fn planned(self, collection: &str, record: &str, effect: Value) -> Planned {
        Planned { scope: self.scope(), key: Self::key(collection, record), effect }
    }
}
