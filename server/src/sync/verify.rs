//! Verification: whether what is stored of a scope is what its log makes of it.

use std::collections::BTreeMap;

use unisono::model::{DigestSum, RecordKey, bucket_of};

use super::accounts;
use super::inbox::is_open_note;
use super::lost_values;
use super::replay::replay;
use crate::store::{RecordRow, ScopeReads, ScopeRow, StoreError};

/// Records read at once.
const STEP: usize = 500;

/// Compares records with a replay of the log, and totals, digests and lost values with the records. Returns what differs, in
/// words. Needs memory for the whole scope.
///
/// # Errors
/// The store's.
pub fn verify(reads: &mut dyn ScopeReads) -> Result<Vec<String>, StoreError> {
    let Some(scope) = reads.scope()? else { return Ok(Vec::new()) };
    let mut stored = BTreeMap::new();
    let mut at = 0;
    loop {
        let rows = reads.records_after(at, STEP)?;
        let Some(last) = rows.last() else { break };
        at = last.record.revision;
        stored.extend(rows.into_iter().map(|row| (row.key.clone(), row)));
    }
    let mut differences = Vec::new();
    compare_records(reads, &stored, &mut differences)?;
    compare_totals(&scope, &stored, &mut differences);
    compare_digests(reads, &scope, &stored, &mut differences)?;
    differences.extend(accounts::differences(reads, &stored)?);
    for (key, row) in &stored {
        differences.extend(lost_values::differences(reads, key, row)?);
    }
    Ok(differences)
}

fn compare_records(
    reads: &mut dyn ScopeReads,
    stored: &BTreeMap<RecordKey, RecordRow>,
    differences: &mut Vec<String>,
) -> Result<(), StoreError> {
    let replayed = replay(reads)?;
    for (key, record) in &replayed {
        match stored.get(key) {
            None => differences.push(format!("{key} is in the log, but not stored")),
            Some(row) if row.record != *record => differences.push(format!("{key} is not what the log makes of it")),
            Some(_) => {}
        }
    }
    for key in stored.keys().filter(|key| !replayed.contains_key(*key)) {
        differences.push(format!("{key} is stored, but not in the log"));
    }
    Ok(())
}

fn compare_totals(scope: &ScopeRow, stored: &BTreeMap<RecordKey, RecordRow>, differences: &mut Vec<String>) {
    let live = || stored.values().filter(|row| row.record.alive);
    let open = stored.iter().filter(|(key, row)| is_open_note(key, &row.record)).count();
    let totals = [
        ("live records", scope.records, live().count() as u64),
        ("tombstones", scope.tombstones, (stored.len() - live().count()) as u64),
        ("bytes", scope.bytes, live().map(|row| row.canonical.len() as u64).sum()),
        ("open conflicts", scope.conflicts, open as u64),
    ];
    for (what, kept, counted) in totals {
        if kept != counted {
            differences.push(format!("{counted} {what} are stored, {kept} are counted"));
        }
    }
}

fn compare_digests(
    reads: &mut dyn ScopeReads,
    scope: &ScopeRow,
    stored: &BTreeMap<RecordKey, RecordRow>,
    differences: &mut Vec<String>,
) -> Result<(), StoreError> {
    let mut sums = BTreeMap::<u8, DigestSum>::new();
    let mut total = DigestSum::default();
    for row in stored.values() {
        // Computed anew from the document: the stored share is under suspicion too.
        let share = RecordRow::new(row.key.clone(), row.record.clone()).digest;
        sums.entry(bucket_of(&row.key)).or_default().add(share);
        total.add(share);
    }
    if scope.digest != total {
        differences.push("the scope's digest is not that of its records".to_owned());
    }
    let kept = reads.buckets(&(0..=u8::MAX).collect())?;
    for bucket in 0..=u8::MAX {
        if kept.get(&bucket).copied().unwrap_or_default() != sums.get(&bucket).copied().unwrap_or_default() {
            differences.push(format!("the digest of bucket {bucket} is not that of its records"));
        }
    }
    Ok(())
}
