//! What a device has read it does not unread: within one server history the confirmed state of a record goes forward only (I6).
//! A store that is lost or set back begins anew, and so does a history.

use std::collections::BTreeMap;

use super::Violation;
use crate::Client;
use crate::error::Result as CallResult;
use crate::model::{RecordKey, Revision, Scope};
use crate::replica::rows::RecordRow;
use crate::replica::{decode, keys};
use crate::storage::{Scan, Table};
use crate::testing::sim::ledger::ReplicaId;
use crate::testing::sim::world::Checked;

/// What each replica has been seen to hold.
#[derive(Debug, Default)]
pub struct Reads {
    seen: BTreeMap<(ReplicaId, Scope), Seen>,
}

/// What a replica has been seen to hold of one scope.
#[derive(Debug, Default)]
struct Seen {
    epoch: Option<String>,
    revisions: BTreeMap<RecordKey, Revision>,
}

/// What a replica holds of one scope: its history, and the revision of each live record.
pub type Held = (Scope, Option<String>, Vec<(RecordKey, Revision)>);

/// Reads what a client's replica holds.
///
/// # Errors
/// The storage's.
pub async fn held(client: &Client) -> CallResult<Vec<Held>> {
    let replica = client.replica();
    let mut all = Vec::new();
    for scope in replica.scopes().await? {
        let row = replica.scope(&scope).await?;
        let prefix = keys::generation_prefix(&scope, row.generation);
        let mut revisions = Vec::new();
        for stored in replica.storage().scan(Scan::prefix(Table::Record, &prefix)).await? {
            let record: RecordRow = decode(&stored.value)?;
            let key = keys::record_key_of(&stored.key, &prefix).filter(|_| record.doc.is_some());
            revisions.extend(key.map(|key| (key, record.revision)));
        }
        // While another history is adopted, the generation that is read is of the former one still.
        let foreign = row.building.is_some_and(|building| building.shared_revision.is_some());
        if !foreign {
            all.push((scope, row.epoch, revisions));
        }
    }
    Ok(all)
}

impl Reads {
    /// A replica was set back: it may hold anything older.
    pub fn forget(&mut self, replica: &ReplicaId) {
        self.seen.retain(|(whose, _), _| whose != replica);
    }

    /// Takes note of what a replica holds.
    ///
    /// # Errors
    /// I6 if it is older than what it has held.
    pub fn take(&mut self, replica: &ReplicaId, held: Vec<Held>) -> Checked {
        for (scope, epoch, revisions) in held {
            let seen = self.seen.entry((replica.clone(), scope.clone())).or_default();
            if seen.epoch != epoch {
                *seen = Seen { epoch, ..Seen::default() };
            }
            for (key, revision) in revisions {
                let before = seen.revisions.entry(key.clone()).or_default();
                if *before > revision {
                    let what =
                        format!("{replica} has read {key} of {scope} at {before}, and now reads it at {revision}");
                    return Err(Violation::new("I6", what));
                }
                *before = revision;
            }
        }
        Ok(())
    }
}
