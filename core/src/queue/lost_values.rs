//! The values to which conflict notes refer because they are too large to travel with them.
//!
//! The server keeps each beside its note. A device that has the value when the note comes, because it wrote it or still holds
//! the record as it was, keeps it too, at once: what it has lost can be read offline. Others fetch it when somebody looks.
//! Here as on the server a value goes with the last reference to it.

use crate::error::Result;
use crate::merge::{CONFLICTS, Referred, referred};
use crate::model::{Change, OpKind, Pointer, RecordKey, Scope, SyncEvent, Value, value};
use crate::replica::keys::{self, Generation};
use crate::replica::rows::SettledRow;
use crate::replica::{Txn, decode};
use crate::storage::{Scan, Table};

/// Keeps what `note` refers to, as far as it is here. Comes before the changes that were pulled with the note are confirmed:
/// they take the place of what has lost.
pub(crate) fn keep_lost_values(txn: &mut Txn<'_>, scope: &Scope, note: &Change) -> Result<()> {
    let Some(doc) = note.doc.as_ref().filter(|_| note.collection.as_str() == CONFLICTS) else { return Ok(()) };
    let name = |field: &str| doc.get(field).and_then(Value::as_str);
    let path = name("path").and_then(|path| Pointer::parse(path).ok());
    for wanted in referred(doc) {
        let (Some(collection), Some(record)) = (name("collection"), name("record")) else { return Ok(()) };
        let (Ok(collection), Ok(record)) = (collection.parse(), record.parse()) else { return Ok(()) };
        let key = RecordKey { collection, record };
        if let Some(found) = find(txn, scope, &key, path.as_ref(), wanted)? {
            txn.set_raw(keys::lost_value(scope, &note.record, wanted.sha256), Some(value::canonical(&found)));
        }
    }
    Ok(())
}

fn find(
    txn: &mut Txn<'_>,
    scope: &Scope,
    key: &RecordKey,
    path: Option<&Pointer>,
    wanted: Referred<'_>,
) -> Result<Option<Value>> {
    let generation = txn.scope(scope)?.generation;
    let row = txn.record(scope, generation, key)?;
    if let Some(found) = row.doc.as_ref().and_then(|doc| at(doc, path)).filter(|held| is(held, wanted)) {
        return Ok(Some(found.clone()));
    }
    for position in row.pending.clone() {
        if let Some(entry) = txn.entry(scope, position)?
            && let Some(found) = written(&entry.event, path, wanted)
        {
            return Ok(Some(found.clone()));
        }
    }
    let settled = Scan::prefix(Table::Settled, &keys::settled(scope, wanted.revision).key);
    for row in txn.scan_stored(&settled)? {
        let settled: SettledRow = decode(&row.value)?;
        if let Some(found) = written(&settled.event, path, wanted).filter(|_| settled.event.key() == *key) {
            return Ok(Some(found.clone()));
        }
    }
    Ok(None)
}

/// The wanted value, where `event` wrote it at `path` or as a part of something above.
fn written<'e>(event: &'e SyncEvent, path: Option<&Pointer>, wanted: Referred<'_>) -> Option<&'e Value> {
    let below = |op: &Pointer, value: &'e Value| {
        let rest = path?.as_str().strip_prefix(op.as_str())?;
        if rest.is_empty() { Some(value) } else { Pointer::parse(rest).ok()?.find(value) }
    };
    let set = event.ops.iter().filter_map(|op| match &op.kind {
        OpKind::Set { value } => below(&op.path, value),
        _ => None,
    });
    event.doc.iter().filter_map(|doc| at(doc, path)).chain(set).find(|value| is(value, wanted))
}

fn at<'v>(doc: &'v Value, path: Option<&Pointer>) -> Option<&'v Value> {
    path.map_or(Some(doc), |path| path.find(doc))
}

/// Whether `found` is the wanted value; its length tells most others apart.
fn is(found: &Value, wanted: Referred<'_>) -> bool {
    value::canonical_len(found) as u64 == wanted.bytes && value::hash_hex(found) == wanted.sha256
}

/// Drops what a note referred to in its state `before`, and in its state `after` does no more.
pub(crate) fn drop_lost_values(
    txn: &mut Txn<'_>,
    scope: &Scope,
    note: &RecordKey,
    before: Option<&Value>,
    after: Option<&Value>,
) {
    let kept = after.map(referred).unwrap_or_default();
    for gone in before.map(referred).unwrap_or_default() {
        if kept.iter().all(|still| still.sha256 != gone.sha256) {
            txn.set_raw(keys::lost_value(scope, &note.record, gone.sha256), None);
        }
    }
}

/// Drops what no note of `generation` refers to: a generation that was filled anew has not heard of each note that went.
pub(crate) fn sweep_lost_values(txn: &mut Txn<'_>, scope: &Scope, generation: Generation) -> Result<()> {
    let prefix = keys::lost_values(scope);
    for row in txn.scan_stored(&Scan::prefix(Table::Meta, &prefix))? {
        let Some((note, sha256)) = keys::lost_value_of(&row.key, &prefix) else { continue };
        let key = RecordKey { collection: CONFLICTS.parse()?, record: note };
        let held = txn.record(scope, generation, &key)?.doc.as_ref();
        if !held.map(referred).unwrap_or_default().iter().any(|referred| referred.sha256 == sha256) {
            txn.set_raw(keys::lost_value(scope, &key.record, sha256), None);
        }
    }
    Ok(())
}
