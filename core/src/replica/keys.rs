//! Row keys. Names hold no U+0000, so a zero byte ends each; numbers are big-endian; therefore bytes sort as names and
//! numbers do, and everything that belongs together lies together.

use crate::model::{CollectionName, EventId, RecordId, RecordKey, Revision, Scope};
use crate::storage::{RowKey, Table};

/// A generation of a scope's records: a re-bootstrap fills a fresh one beside the one that is read, then swaps.
pub type Generation = u32;

fn scope_prefix(scope: &Scope) -> Vec<u8> {
    let mut key = scope.to_string().into_bytes();
    key.push(0);
    key
}

/// All records of a scope's generation.
#[must_use]
pub fn generation_prefix(scope: &Scope, generation: Generation) -> Vec<u8> {
    let mut key = scope_prefix(scope);
    key.extend(generation.to_be_bytes());
    key
}

/// All records of a collection.
#[must_use]
pub fn collection_prefix(scope: &Scope, generation: Generation, collection: &CollectionName) -> Vec<u8> {
    let mut key = generation_prefix(scope, generation);
    key.extend(collection.as_str().as_bytes());
    key.push(0);
    key
}

/// A record's row.
#[must_use]
pub fn record(scope: &Scope, generation: Generation, record: &RecordKey) -> RowKey {
    let mut key = collection_prefix(scope, generation, &record.collection);
    key.extend(record.record.as_str().as_bytes());
    RowKey { table: Table::Record, key }
}

/// The record id at the end of a record row's key, given its collection's prefix.
#[must_use]
pub fn record_id_of(key: &[u8], collection_prefix: &[u8]) -> Option<RecordId> {
    RecordId::new(std::str::from_utf8(key.strip_prefix(collection_prefix)?).ok()?).ok()
}

/// The collection and record at the end of a record row's key, given its generation's prefix.
#[must_use]
pub fn record_key_of(key: &[u8], generation_prefix: &[u8]) -> Option<RecordKey> {
    let rest = std::str::from_utf8(key.strip_prefix(generation_prefix)?).ok()?;
    let (collection, record) = rest.split_once('\0')?;
    Some(RecordKey { collection: CollectionName::new(collection).ok()?, record: RecordId::new(record).ok()? })
}

/// The scope and generation at the beginning of a record row's or an index entry's key.
#[must_use]
pub fn generation_of(key: &[u8]) -> Option<(Scope, Generation)> {
    let end = key.iter().position(|byte| *byte == 0)?;
    let scope = std::str::from_utf8(&key[..end]).ok()?.parse().ok()?;
    let generation = key.get(end + 1..end + 5)?.try_into().ok()?;
    Some((scope, Generation::from_be_bytes(generation)))
}

/// All entries of one index: `scope 0 generation collection 0 name 0`, then the encoded values, then the record id.
#[must_use]
pub fn index_prefix(scope: &Scope, generation: Generation, collection: &CollectionName, name: &str) -> Vec<u8> {
    let mut key = collection_prefix(scope, generation, collection);
    key.extend(name.as_bytes());
    key.push(0);
    key
}

/// All unsettled events of a scope, in queue order.
#[must_use]
pub fn event_prefix(scope: &Scope) -> Vec<u8> {
    scope_prefix(scope)
}

/// An unsettled event.
#[must_use]
pub fn event(scope: &Scope, position: u64) -> RowKey {
    let mut key = event_prefix(scope);
    key.extend(position.to_be_bytes());
    RowKey { table: Table::Event, key }
}

/// What became of an event.
#[must_use]
pub fn outcome(id: &EventId) -> RowKey {
    RowKey { table: Table::Outcome, key: id.as_str().as_bytes().to_vec() }
}

/// The event of an outcome's key.
#[must_use]
pub fn outcome_id_of(key: &[u8]) -> Option<EventId> {
    EventId::new(std::str::from_utf8(key).ok()?).ok()
}

/// All settled events of a scope that are still kept, by revision.
#[must_use]
pub fn settled_prefix(scope: &Scope) -> Vec<u8> {
    scope_prefix(scope)
}

/// The revision of a settled event's key.
#[must_use]
pub fn settled_revision_of(key: &[u8]) -> Option<Revision> {
    key.last_chunk().map(|bytes| Revision::from_be_bytes(*bytes))
}

/// A settled event.
#[must_use]
pub fn settled(scope: &Scope, revision: Revision) -> RowKey {
    let mut key = settled_prefix(scope);
    key.extend(revision.to_be_bytes());
    RowKey { table: Table::Settled, key }
}

/// The replica's own row: identity, device, clock, queue totals.
#[must_use]
pub fn replica() -> RowKey {
    RowKey { table: Table::Meta, key: b"replica".to_vec() }
}

/// The number of the replica's last commit: another one than was read before, and somebody has written meanwhile.
#[must_use]
pub fn commits() -> RowKey {
    RowKey { table: Table::Meta, key: b"commits".to_vec() }
}

/// The prefix of all scopes' rows.
pub const SCOPES: &[u8] = b"scope\0";

/// A scope's row: cursor, epoch, generation, push_seq.
#[must_use]
pub fn scope(scope: &Scope) -> RowKey {
    let mut key = SCOPES.to_vec();
    key.extend(scope.to_string().into_bytes());
    RowKey { table: Table::Meta, key }
}

/// All values that a scope's conflict notes refer to and that are kept here.
#[must_use]
pub fn lost_values(scope: &Scope) -> Vec<u8> {
    let mut key = b"value\0".to_vec();
    key.extend(scope_prefix(scope));
    key
}

/// A value to which a conflict note refers.
#[must_use]
pub fn lost_value(scope: &Scope, note: &RecordId, sha256: &str) -> RowKey {
    let mut key = lost_values(scope);
    key.extend(note.as_str().as_bytes());
    key.push(0);
    key.extend(sha256.as_bytes());
    RowKey { table: Table::Meta, key }
}

/// The note and the hash at the end of a lost value's key, given its scope's prefix.
#[must_use]
pub fn lost_value_of<'k>(key: &'k [u8], scope_prefix: &[u8]) -> Option<(RecordId, &'k str)> {
    let (note, sha256) = std::str::from_utf8(key.strip_prefix(scope_prefix)?).ok()?.split_once('\0')?;
    Some((RecordId::new(note).ok()?, sha256))
}

/// The row that says which indexes have been built.
#[must_use]
pub fn indexes() -> RowKey {
    RowKey { table: Table::Meta, key: b"indexes".to_vec() }
}

/// The digest of a generation.
#[must_use]
pub fn digest(scope: &Scope, generation: Generation) -> RowKey {
    let mut key = b"digest\0".to_vec();
    key.extend(generation_prefix(scope, generation));
    RowKey { table: Table::Meta, key }
}

/// The scope at the end of a scope row's key.
#[must_use]
pub fn scope_of(key: &[u8]) -> Option<Scope> {
    std::str::from_utf8(key.strip_prefix(SCOPES)?).ok()?.parse().ok()
}
