//! Replay: the records of a scope, made again from its log. They must be the stored ones.

use std::collections::BTreeMap;

use unisono::merge::{History, LoggedWrite, StoredRecord, Write};
use unisono::model::{RecordKey, Revision};

use super::effect::effect;
use crate::store::{ScopeReads, StoreError};

/// Log rows read at once.
const STEP: usize = 500;

/// Merges every write of the log again, purges included, and returns the records. Needs memory for the whole log: a tool for
/// tests and for an operator who doubts the database.
///
/// # Errors
/// `storage_corrupt` if a logged write is refused now, and the store's.
pub fn replay(reads: &mut dyn ScopeReads) -> Result<BTreeMap<RecordKey, StoredRecord>, StoreError> {
    let mut records: BTreeMap<RecordKey, StoredRecord> = BTreeMap::new();
    let mut histories: BTreeMap<RecordKey, History> = BTreeMap::new();
    let mut purges = reads.purges()?.into_iter().peekable();
    let (mut at, mut horizon) = (0, 0);
    loop {
        let writes = reads.log_after(at, STEP)?;
        let ended = writes.is_empty();
        for write in writes {
            while let Some(purge) = purges.next_if(|purge| purge.revision < write.revision) {
                drop_tombstones(&mut records, &mut histories, purge.up_to);
                horizon = purge.up_to.max(horizon);
            }
            at = write.revision;
            redo(&mut records, &mut histories, write, horizon)?;
        }
        if ended {
            for purge in purges {
                drop_tombstones(&mut records, &mut histories, purge.up_to);
            }
            return Ok(records);
        }
    }
}

fn redo(
    records: &mut BTreeMap<RecordKey, StoredRecord>,
    histories: &mut BTreeMap<RecordKey, History>,
    logged: LoggedWrite,
    horizon: Revision,
) -> Result<(), StoreError> {
    let key = logged.event.key();
    let history = histories.entry(key.clone()).or_default();
    let write = Write {
        event: &logged.event,
        author: &logged.by,
        push_seq: logged.push_seq,
        position: logged.position,
        revision: logged.revision,
        horizon,
        forgets: logged.trace.forgot,
    };
    let mut record = records.remove(&key);
    effect(&mut record, history, &write).map_err(|refusal| {
        StoreError::Corrupt(format!("the log's revision {} is refused now: {refusal:?}", logged.revision))
    })?;
    records.extend(record.map(|record| (key, record)));
    history.push(logged);
    Ok(())
}

fn drop_tombstones(
    records: &mut BTreeMap<RecordKey, StoredRecord>,
    histories: &mut BTreeMap<RecordKey, History>,
    up_to: u64,
) {
    records.retain(|key, record| {
        let kept = record.alive || record.revision > up_to;
        if !kept {
            histories.remove(key);
        }
        kept
    });
}
