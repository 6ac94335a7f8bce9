//! Reads of the replica, beside the writer.

use std::sync::Arc;

use super::keys::{self, Generation};
use super::rows::{DigestRow, OutcomeRow, QueueEntry, RecordRow, ReplicaRow, ScopeRow};
use super::txn::decode;
use super::writer::Shared;
use crate::environment::SharedEnvironment;
use crate::error::{Error, Result};
use crate::model::{EventId, RecordKey, Scope};
use crate::query::IndexSet;
use crate::storage::{RowKey, Scan, Storage, Table};

/// Reads what is committed.
#[derive(Clone, Debug)]
pub struct Replica {
    shared: Arc<Shared>,
}

impl Replica {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The storage.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.shared.storage
    }

    /// The world.
    #[must_use]
    pub fn environment(&self) -> &SharedEnvironment {
        &self.shared.environment
    }

    /// The declared indexes.
    #[must_use]
    pub fn indexes(&self) -> &Arc<IndexSet> {
        &self.shared.indexes
    }

    /// The replica row.
    pub async fn replica(&self) -> Result<Arc<ReplicaRow>> {
        if let Some(row) = self.shared.cached(|cache| Some(cache.replica.clone())) {
            return Ok(row);
        }
        let row = self.read(keys::replica()).await?.map(Arc::new);
        row.ok_or_else(|| Error::Internal("the replica row is missing".into()))
    }

    /// A scope's row; a default one for a scope that was never used.
    pub async fn scope(&self, scope: &Scope) -> Result<Arc<ScopeRow>> {
        if let Some(row) = self.shared.cached(|cache| Some(cache.scopes.get(scope)?.row.clone())) {
            return Ok(row);
        }
        Ok(Arc::new(self.read(keys::scope(scope)).await?.unwrap_or_default()))
    }

    /// The scopes that the replica knows; `user` always.
    pub async fn scopes(&self) -> Result<Vec<Scope>> {
        let rows = self.shared.storage.scan(Scan::prefix(Table::Meta, keys::SCOPES)).await?;
        let mut scopes = vec![Scope::User];
        scopes.extend(rows.iter().filter_map(|row| keys::scope_of(&row.key)).filter(|scope| *scope != Scope::User));
        Ok(scopes)
    }

    /// The generation that is read.
    pub async fn generation(&self, scope: &Scope) -> Result<Generation> {
        Ok(self.scope(scope).await?.generation)
    }

    /// The digest of the generation that is read.
    pub async fn digest(&self, scope: &Scope) -> Result<DigestRow> {
        let generation = self.generation(scope).await?;
        let row = self.shared.storage.get(vec![keys::digest(scope, generation)]).await?.pop().flatten();
        Ok(row.and_then(|row| DigestRow::from_bytes(&row.value)).unwrap_or_default())
    }

    /// The replica row as last committed by this process; never touches the disk.
    #[must_use]
    pub fn snapshot(&self) -> Arc<ReplicaRow> {
        self.shared.snapshot()
    }

    /// A record's row.
    pub async fn record(&self, scope: &Scope, key: &RecordKey) -> Result<Option<RecordRow>> {
        Ok(self.record_in(scope, key).await?.1)
    }

    /// A record's row, and the generation that it was read in.
    pub async fn record_in(&self, scope: &Scope, key: &RecordKey) -> Result<(Generation, Option<RecordRow>)> {
        let mut generation = self.generation(scope).await?;
        loop {
            let row = self.read(keys::record(scope, generation, key)).await?;
            // A re-bootstrap may have swapped the generation, and cleared this one, meanwhile.
            let now = self.generation(scope).await?;
            if now == generation {
                return Ok((generation, row));
            }
            generation = now;
        }
    }

    /// What became of an event.
    pub async fn outcome(&self, id: &EventId) -> Result<Option<OutcomeRow>> {
        self.read(keys::outcome(id)).await
    }

    /// An unsettled event.
    pub async fn entry(&self, scope: &Scope, position: u64) -> Result<Option<QueueEntry>> {
        self.read(keys::event(scope, position)).await
    }

    /// Up to `limit` unsettled events after position `after`, in queue order.
    pub async fn entries(&self, scope: &Scope, after: u64, limit: usize) -> Result<Vec<(u64, QueueEntry)>> {
        let scan =
            Scan::prefix(Table::Event, &keys::event_prefix(scope)).after(&keys::event(scope, after).key).limit(limit);
        self.shared
            .storage
            .scan(scan)
            .await?
            .into_iter()
            .map(|row| Ok((super::txn::position_of(&row.key)?, decode(&row.value)?)))
            .collect()
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, row: RowKey) -> Result<Option<T>> {
        let row = self.shared.storage.get(vec![row]).await?.pop().flatten();
        Ok(row.map(|row| decode(&row.value)).transpose()?)
    }
}
