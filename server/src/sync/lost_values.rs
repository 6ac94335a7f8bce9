//! Lost values: what a conflict note only refers to, one by one, or all of them in the place of their references.

use unisono::merge::{CONFLICTS, referred};
use unisono::model::{Change, RecordId, RecordKey, Value, value};

use crate::store::{RecordRow, ScopeReads, StoreError};

/// The value with the hash `sha256` to which the note refers; `None` if it does not.
pub(super) fn lost_value(
    reads: &mut dyn ScopeReads,
    note: &RecordId,
    sha256: &str,
) -> Result<Option<Value>, StoreError> {
    let text = reads.note_value(note, sha256)?;
    text.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| StoreError::Corrupt(format!("a lost value cannot be read: {error}")))
}

/// Puts the values that the notes among `changes` refer to in the place of their references, up to `budget` bytes of them; at
/// least the first note gets its. Returns how many of the changes are complete.
pub(super) fn put_in_place(
    reads: &mut dyn ScopeReads,
    changes: &mut [Change],
    budget: usize,
) -> Result<usize, StoreError> {
    let mut bytes = 0usize;
    for (place, change) in changes.iter_mut().enumerate() {
        let Some(note) = change.doc.as_mut().filter(|_| change.collection.as_str() == CONFLICTS) else { continue };
        let wanted: usize =
            referred(note).iter().map(|referred| usize::try_from(referred.bytes).unwrap_or(usize::MAX)).sum();
        if bytes > 0 && bytes.saturating_add(wanted) > budget {
            return Ok(place);
        }
        bytes = bytes.saturating_add(wanted);
        resolve(note, &mut |sha256| lost_value(reads, &change.record, sha256))?;
    }
    Ok(changes.len())
}

type Find<'f> = &'f mut dyn FnMut(&str) -> Result<Option<Value>, StoreError>;

fn resolve(note: &mut Value, find: Find<'_>) -> Result<(), StoreError> {
    resolve_one(note, ("base_ref", "base"), find)?;
    if let Some(winner) = note.get_mut("winner") {
        resolve_one(winner, ("value_ref", "value"), find)?;
    }
    for loser in note.get_mut("losers").and_then(Value::as_array_mut).into_iter().flatten() {
        resolve_one(loser, ("value_ref", "value"), find)?;
    }
    Ok(())
}

fn resolve_one(side: &mut Value, (reference, whole): (&str, &str), find: Find<'_>) -> Result<(), StoreError> {
    let Some(sha256) = side.get(reference).and_then(|named| named.get("sha256")?.as_str()) else { return Ok(()) };
    if let Some(found) = find(sha256)?
        && let Some(side) = side.as_object_mut()
    {
        side.remove(reference);
        side.insert(whole.to_owned(), found);
    }
    Ok(())
}

/// What is wrong with the values that a stored note refers to, in words.
pub(super) fn differences(
    reads: &mut dyn ScopeReads,
    key: &RecordKey,
    row: &RecordRow,
) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    if key.collection.as_str() != CONFLICTS || !row.record.alive {
        return Ok(found);
    }
    for wanted in referred(&row.record.doc) {
        let kept = lost_value(reads, &key.record, wanted.sha256)?;
        if kept.is_none_or(|kept| value::hash_hex(&kept) != wanted.sha256) {
            found.push(format!("{key} refers to the value {}, which is not kept", wanted.sha256));
        }
    }
    Ok(found)
}
