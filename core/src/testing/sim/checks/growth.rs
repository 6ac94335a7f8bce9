//! What must hold of a replica's disk when nothing is left to do: it has grown with its records, not with its writes (I13).

use super::Violation;
use crate::error::Result as CallResult;
use crate::replica::rows::{Outcome, OutcomeRow, RecordRow};
use crate::replica::{Replica, decode, keys};
use crate::storage::{Row, Scan, Storage, Table};
use crate::testing::sim::world::{Checked, World};

/// Outcomes that two syncs are sure to have looked at.
const SWEPT: usize = 1_000;

impl World<'_> {
    /// No replica keeps what nobody can need.
    ///
    /// # Errors
    /// I13.
    pub fn check_growth(&mut self) -> Checked {
        for number in 0..self.devices.len() {
            let Some(client) = self.devices[number].client.clone() else { continue };
            let replica = self.devices[number].replica();
            let found = self.env.block_on(superfluous(&client.replica()));
            let found = found.map_err(|error| Violation::new("run", format!("{replica} cannot be read: {error}")))?;
            if let Some(what) = found {
                return Err(Violation::new("I13", format!("{replica} keeps {what}")));
            }
        }
        Ok(())
    }
}

/// A row that could go.
async fn superfluous(replica: &Replica) -> CallResult<Option<String>> {
    let mut queued = 0;
    for scope in replica.scopes().await? {
        let row = replica.scope(&scope).await?;
        if !row.retired.is_empty() {
            return Ok(Some(format!("the generations {:?} of {scope}, which nobody reads", row.retired)));
        }
        let settled = rows(replica, Table::Settled, &keys::settled_prefix(&scope)).await?;
        let backup = row.backup_revision;
        if settled.iter().any(|row| keys::settled_revision_of(&row.key).is_none_or(|revision| revision <= backup)) {
            return Ok(Some(format!("a settled event of {scope} that the backups hold")));
        }
        queued += rows(replica, Table::Event, &keys::event_prefix(&scope)).await?.len();
    }
    for table in [Table::Record, Table::Index] {
        for row in rows(replica, table, b"").await? {
            let Some((scope, generation)) = keys::generation_of(&row.key) else {
                return Ok(Some(format!("a row of {} without a scope", table.name())));
            };
            let scope_row = replica.scope(&scope).await?;
            let building = scope_row.building.as_ref().map(|building| building.generation);
            if generation != scope_row.generation && Some(generation) != building {
                return Ok(Some(format!("a {} row of generation {generation} of {scope}", table.name())));
            }
            if table == Table::Record {
                let record: RecordRow = decode(&row.value)?;
                if record.doc.is_none() && record.pending.is_empty() {
                    let key = keys::record_key_of(&row.key, &keys::generation_prefix(&scope, generation));
                    return Ok(Some(format!("a row of {key:?} in {scope}, which is deleted: {record:?}")));
                }
            }
        }
    }
    let events = rows(replica, Table::Event, b"").await?.len();
    if events != queued {
        return Ok(Some(format!("{events} events, of which {queued} are in a queue")));
    }
    old_outcome(replica).await
}

async fn old_outcome(replica: &Replica) -> CallResult<Option<String>> {
    let stored = rows(replica, Table::Outcome, b"").await?;
    if stored.len() > SWEPT {
        return Ok(None);
    }
    for row in stored {
        let outcome: OutcomeRow = decode(&row.value)?;
        let backup = replica.scope(&outcome.scope).await?.backup_revision;
        let leads_on = match &outcome.state {
            Outcome::ReplacedBy { id } => replica.outcome(id).await?.is_some(),
            _ => false,
        };
        if outcome.is_forgettable(backup) && !leads_on {
            return Ok(Some(format!("what became of an old event: {outcome:?}")));
        }
    }
    Ok(None)
}

async fn rows(replica: &Replica, table: Table, prefix: &[u8]) -> CallResult<Vec<Row>> {
    Ok(replica.storage().scan(Scan::prefix(table, prefix)).await?)
}
