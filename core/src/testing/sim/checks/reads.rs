//! What a device has read it does not unread: within one server history the confirmed state of a record goes forward only (I6).
//! A store that is lost or set back begins anew, and so does a history.

use std::collections::BTreeMap;

use super::Violation;
use crate::Client;
use crate::error::Result as CallResult;
use crate::model::{RecordKey, Revision, Scope};
use crate::replica::keys::Generation;
use crate::replica::rows::RecordRow;
use crate::replica::{decode, keys};
use crate::storage::{Scan, Table};
use crate::testing::sim::ledger::ReplicaId;
use crate::testing::sim::world::Checked;

/// What each replica has been seen to hold.
#[derive(Debug, Default)]
pub struct Reads {
    /// The server was restored: it may have gone on in the same history, or come back to it, from an older point.
    restored: bool,
    seen: BTreeMap<(ReplicaId, Scope), Seen>,
}

/// What a replica has been seen to hold of one scope.
#[derive(Debug, Default)]
struct Seen {
    history: Option<History>,
    revisions: BTreeMap<RecordKey, Revision>,
}

/// A server history, and the generation that was filled from it.
type History = (String, Generation);

/// What a replica holds of one scope: its history, and the revision of each live record; no history while another one is
/// adopted, since the generation that is read is of the former one still.
pub type Held = (Scope, Option<History>, Vec<(RecordKey, Revision)>);

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
        let foreign = row.building.as_ref().is_some_and(|building| building.shared_revision.is_some());
        let history = row.epoch.clone().filter(|_| !foreign).map(|epoch| (epoch, row.generation));
        all.push((scope, history, revisions));
    }
    Ok(all)
}

impl Reads {
    /// The server was restored.
    pub fn server_was_restored(&mut self) {
        self.restored = true;
    }

    /// A replica was set back: it may hold anything older.
    pub fn forget(&mut self, replica: &ReplicaId) {
        self.seen.retain(|(whose, _), _| whose != replica);
    }

    /// Takes note of what a replica holds.
    ///
    /// # Errors
    /// I6 if it is older than what it has held.
    pub fn take(&mut self, replica: &ReplicaId, held: Vec<Held>) -> Checked {
        for (scope, history, revisions) in held {
            let seen = self.seen.entry((replica.clone(), scope.clone())).or_default();
            let goes_on = match (&seen.history, &history) {
                // A generation that is filled anew from the same history is no older than the one before.
                (Some((before, old)), Some((now, new))) => before == now && (old == new || !self.restored),
                _ => false,
            };
            if !goes_on {
                seen.revisions.clear();
            }
            seen.history = history;
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
