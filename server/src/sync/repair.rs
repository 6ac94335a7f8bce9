//! Repair: a scope's records made again from its log, and a new history where the log itself has lost something.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use unisono::environment::Environment;
use unisono::merge::{CONFLICTS, referred};
use unisono::model::{DigestSum, Revision, bucket_of};

use super::accounts;
use super::history::{begin, fresh_epoch};
use super::inbox::is_open_note;
use super::replay::replay;
use super::verify::verify;
use crate::store::{AuditRow, CommitRow, NoteValues, RecordRow, ScopeBatch, ScopeReads, ScopeRow, ScopeTx, StoreError};

/// Log rows read at once.
const STEP: usize = 500;

/// What became of a scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Whether its records were made again from the log.
    pub rebuilt: bool,
    /// The revision after which its history was cut off, and how many revisions that took. Devices that have them send them
    /// again.
    pub cut: Option<(Revision, u64)>,
    /// Whether a new history began, which makes devices compare and send again.
    pub new_epoch: bool,
    /// What is still wrong, in words.
    pub left: Vec<String>,
}

/// Repairs the scope of `tx`. A log that is whole makes everything again. One with a hole is left alone, unless `cut` allows to
/// end the history before the hole: what devices do not have of the rest any more is lost then.
///
/// # Errors
/// The store's.
pub fn repair(tx: &mut dyn ScopeTx, environment: &dyn Environment, cut: bool) -> Result<Repaired, StoreError> {
    let Some(scope) = tx.scope()? else { return Ok(Repaired::default()) };
    // A scope whose own row was lost has none of the head that it had.
    let headless = scope.epoch.is_empty();
    let (whole, newest) = contiguous(tx)?;
    let head = if headless { newest } else { scope.revision.max(newest) };
    let hole = (whole < head).then_some(whole);
    if hole.is_none() && !headless && verify(tx)?.is_empty() {
        return Ok(Repaired::default());
    }
    if hole.is_some() && !cut {
        let mut left = vec![format!("the log's revision {} is lost, of {head}", whole + 1)];
        left.extend(verify(tx).unwrap_or_else(|error| vec![error.to_string()]));
        return Ok(Repaired { left, ..Repaired::default() });
    }
    tx.reset(hole)?;
    let scope = rebuild(tx, environment, ScopeRow { revision: whole, ..scope })?;
    let new_epoch = headless || hole.is_some();
    if new_epoch {
        begin(tx, environment, ScopeRow { epoch: fresh_epoch(environment), ..scope }, whole, None)?;
    }
    let cut = hole.map(|hole| (hole, head - hole));
    Ok(Repaired { rebuilt: true, cut, new_epoch, left: verify(tx)? })
}

/// Up to where the log has every revision, and its newest.
fn contiguous(reads: &mut dyn ScopeReads) -> Result<(Revision, Revision), StoreError> {
    let (mut whole, mut newest) = (0, 0);
    loop {
        let writes = reads.log_after(newest, STEP)?;
        if writes.is_empty() {
            return Ok((whole, newest));
        }
        for write in writes {
            newest = write.revision;
            whole += u64::from(write.revision == whole + 1);
        }
    }
}

/// Makes records, totals and digests again, and writes them.
fn rebuild(tx: &mut dyn ScopeTx, environment: &dyn Environment, scope: ScopeRow) -> Result<ScopeRow, StoreError> {
    let purged = tx.purges()?.iter().map(|purge| purge.up_to).max().unwrap_or(0);
    let records: Vec<_> = replay(tx)?.into_iter().map(|(key, record)| RecordRow::new(key, record)).collect();
    let mut buckets = BTreeMap::<u8, DigestSum>::new();
    let mut scope = ScopeRow {
        highest: tx.highest_at(scope.revision)?,
        horizon: scope.horizon.max(purged),
        digest: DigestSum::default(),
        records: 0,
        tombstones: 0,
        bytes: 0,
        conflicts: 0,
        ..scope
    };
    let mut values = Vec::new();
    for row in &records {
        buckets.entry(bucket_of(&row.key)).or_default().add(row.digest);
        scope.digest.add(row.digest);
        scope.conflicts += u64::from(is_open_note(&row.key, &row.record));
        if row.record.alive {
            scope.records += 1;
            scope.bytes += row.canonical.len() as u64;
        } else {
            scope.tombstones += 1;
        }
        if row.key.collection.as_str() == CONFLICTS {
            let kept: BTreeSet<_> = referred(&row.record.doc).iter().map(|value| value.sha256.to_owned()).collect();
            values.push(NoteValues { note: row.key.record.clone(), kept, fresh: Vec::new() });
        }
    }
    let audit = AuditRow::new(environment.now_ms(), "operator", "repair", json!({"revision": scope.revision}));
    let commit = last_commit(tx, environment, scope.revision)?;
    let mut batch = ScopeBatch {
        records,
        values,
        buckets: buckets.into_iter().collect(),
        commit,
        audit: vec![audit],
        ..ScopeBatch::new(scope.clone())
    };
    accounts::rebuild(tx, &mut batch, environment.now_ms())?;
    tx.save(batch)?;
    Ok(scope)
}

/// The commit that ends the history, if it is not there: it was cut in two, or its row is lost.
fn last_commit(
    tx: &mut dyn ScopeTx,
    environment: &dyn Environment,
    head: Revision,
) -> Result<Option<CommitRow>, StoreError> {
    if head == 0 || tx.commit_at(head)?.is_some() {
        return Ok(None);
    }
    let mut nonce = [0; 8];
    environment.random(&mut nonce);
    let at_ms = tx.commit_before(head)?.map_or_else(|| environment.now_ms(), |before| before.at_ms);
    Ok(Some(CommitRow { revision: head, nonce: u64::from_be_bytes(nonce), at_ms }))
}
