//! Building the indexes that an app declares over the records that are there already.
//!
//! From the moment [`register`] returns, the write path keeps every declared index up to date for the records that it
//! writes ([`IndexSet::diff`]); building adds the entries of all others, batch by batch. Its progress is stored with each
//! batch, so that it goes on where it was stopped, and an entry may be written twice without harm. A row of
//! [`keys::indexes`] says which indexes are complete; only these may answer queries.

use serde::Serialize;

use super::index::{IndexDefinition, IndexSet};
use crate::error::Error;
use crate::model::value::{hex, unhex};
use crate::model::{RecordId, Scope};
use crate::reading;
use crate::replica::keys::{self, Generation};
use crate::replica::rows::RecordRow;
use crate::replica::{decode, encode};
use crate::storage::{Batch, Row, RowKey, Rows, Scan, Storage, StorageError, Table, successor, transact};

/// Records that one batch of a build reads.
const BATCH_RECORDS: usize = 256;

/// What is stored about one index.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct IndexRow {
    #[serde(flatten)]
    definition: IndexDefinition,
    /// Present while it is built: the key of the last record that it covers, as hex; empty at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    building: Option<String>,
}

reading::fields!(IndexRow { collection, name, paths, building = None } => Self {
    definition: IndexDefinition { collection, name, paths },
    building,
});

/// What is stored about all indexes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BuiltIndexes {
    indexes: Vec<IndexRow>,
}

reading::fields!(BuiltIndexes { indexes });

/// What sets the declared indexes apart from the built ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PendingBuilds {
    /// Declared and not complete: to be built.
    pub build: Vec<IndexDefinition>,
    /// Stored, but not declared any more, or with other fields: to be dropped.
    pub drop: Vec<IndexDefinition>,
}

/// Compares the declared indexes with the stored ones.
#[must_use]
pub fn pending_builds(declared: &IndexSet, built: &BuiltIndexes) -> PendingBuilds {
    let is_declared = |definition: &IndexDefinition| declared.of(&definition.collection).contains(definition);
    let is_complete = |definition: &&IndexDefinition| {
        built.indexes.iter().any(|row| row.definition == **definition && row.building.is_none())
    };
    PendingBuilds {
        build: declared.iter().filter(|definition| !is_complete(definition)).cloned().collect(),
        drop: built.indexes.iter().map(|row| &row.definition).filter(|stored| !is_declared(stored)).cloned().collect(),
    }
}

/// The declared indexes that are complete and may answer queries.
#[must_use]
pub fn ready_indexes(declared: &IndexSet, built: &BuiltIndexes) -> IndexSet {
    let pending = pending_builds(declared, built).build;
    declared.without(&pending)
}

/// What the replica stores about its indexes.
///
/// # Errors
/// Those of the storage.
pub async fn built_indexes(storage: &dyn Storage) -> Result<BuiltIndexes, Error> {
    let row = storage.get(vec![keys::indexes()]).await?.pop().flatten();
    Ok(row.map(|row| decode(&row.value)).transpose()?.unwrap_or_default())
}

/// Drops the indexes that are not declared any more and enters the new ones as to be built. To be called at open, before
/// the first write: an index that writers do not know would fall behind unnoticed.
///
/// # Errors
/// Those of the storage.
pub async fn register(storage: &dyn Storage, declared: &IndexSet) -> Result<BuiltIndexes, Error> {
    let declared = declared.clone();
    let register = move |rows: &mut dyn Rows| {
        let mut built = stored(rows)?;
        let pending = pending_builds(&declared, &built);
        let known = |definition: &&IndexDefinition| built.indexes.iter().any(|row| row.definition == **definition);
        let new: Vec<_> = pending.build.iter().filter(|definition| !known(definition)).cloned().collect();
        let mut batch = Batch::default();
        if new.is_empty() && pending.drop.is_empty() {
            return Ok((built, batch));
        }
        for (scope, generation) in generations(rows)? {
            let prefix =
                |dropped: &IndexDefinition| RowKey { table: Table::Index, key: dropped.prefix(&scope, generation) };
            batch.clear.extend(pending.drop.iter().map(prefix));
        }
        built.indexes.retain(|row| !pending.drop.contains(&row.definition));
        let to_build = |definition| IndexRow { definition, building: Some(String::new()) };
        built.indexes.extend(new.into_iter().map(to_build));
        batch.put.push((keys::indexes(), encode(&built)));
        Ok((built, batch))
    };
    Ok(transact(storage, register).await?)
}

/// Builds one batch of the first index that is not complete. Returns whether there is more to build.
///
/// # Errors
/// Those of the storage; what was built so far stays built.
pub async fn build_step(storage: &dyn Storage) -> Result<bool, Error> {
    Ok(transact(storage, |rows| {
        let mut built = stored(rows)?;
        let mut batch = Batch::default();
        let Some(row) = built.indexes.iter_mut().find(|row| row.building.is_some()) else { return Ok((false, batch)) };
        let position = unhex(row.building.as_deref().unwrap_or_default())
            .ok_or_else(|| StorageError::Corrupt("the position of an index build".to_owned()))?;
        row.building = cover(rows, &row.definition, &position, &mut batch)?.map(|key| hex(&key));
        let more = built.indexes.iter().any(|row| row.building.is_some());
        batch.put.push((keys::indexes(), encode(&built)));
        Ok((more, batch))
    })
    .await?)
}

/// Registers the declared indexes and builds them all. Returns those that may answer queries: all.
///
/// # Errors
/// Those of the storage; what was built so far stays built.
pub async fn build_indexes(storage: &dyn Storage, declared: &IndexSet) -> Result<IndexSet, Error> {
    register(storage, declared).await?;
    while build_step(storage).await? {}
    Ok(ready_indexes(declared, &built_indexes(storage).await?))
}

/// Adds to `batch` the entries of the next records after the key `position`. Returns the key up to which the index is then
/// complete; `None` if that is the end.
fn cover(
    rows: &mut dyn Rows,
    definition: &IndexDefinition,
    position: &[u8],
    batch: &mut Batch,
) -> Result<Option<Vec<u8>>, StorageError> {
    for (scope, generation) in generations(rows)? {
        let prefix = keys::collection_prefix(&scope, generation, &definition.collection);
        let mut scan = Scan::prefix(Table::Record, &prefix).limit(BATCH_RECORDS);
        if position.starts_with(&prefix) {
            scan = scan.after(position);
        } else if position > prefix.as_slice() {
            continue;
        }
        let records = rows.scan(&scan)?;
        for row in &records {
            if let Some(key) = entry_of(definition, &scope, generation, row, &prefix)? {
                batch.put.push((RowKey { table: Table::Index, key }, Vec::new()));
            }
        }
        if let Some(last) = records.into_iter().last() {
            return Ok(Some(last.key));
        }
    }
    Ok(None)
}

fn entry_of(
    definition: &IndexDefinition,
    scope: &Scope,
    generation: Generation,
    row: &Row,
    prefix: &[u8],
) -> Result<Option<Vec<u8>>, StorageError> {
    let id: RecordId =
        keys::record_id_of(&row.key, prefix).ok_or_else(|| StorageError::Corrupt("a record row's key".to_owned()))?;
    let record = decode::<RecordRow>(&row.value)?;
    Ok(record.view().map(|view| definition.entry(scope, generation, &id, view)))
}

/// Every generation that holds records, in the order of their keys. Reads one row for each.
fn generations(rows: &mut dyn Rows) -> Result<Vec<(Scope, Generation)>, StorageError> {
    let mut found = Vec::new();
    let mut scan = Scan::prefix(Table::Record, &[]).limit(1);
    loop {
        let first = rows.scan(&scan)?;
        let Some(row) = first.first() else { return Ok(found) };
        let (scope, generation) =
            keys::generation_of(&row.key).ok_or_else(|| StorageError::Corrupt("a record row's key".to_owned()))?;
        let Some(next) = successor(&keys::generation_prefix(&scope, generation)) else { return Ok(found) };
        found.push((scope, generation));
        scan.lower = std::ops::Bound::Included(next);
    }
}

fn stored(rows: &mut dyn Rows) -> Result<BuiltIndexes, StorageError> {
    let row = rows.get(&[keys::indexes()])?.pop().flatten();
    Ok(row.map(|row| decode(&row.value)).transpose()?.unwrap_or_default())
}
