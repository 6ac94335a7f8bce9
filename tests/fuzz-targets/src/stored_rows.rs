//! Rows of a replica: what is stored is read as it was written, or refused.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use unisono::merge::{LoggedWrite, StoredRecord};
use unisono::model::RecordKey;
use unisono::replica::keys;
use unisono::replica::rows::{DigestRow, OutcomeRow, QueueEntry, RecordRow, ReplicaRow, ScopeRow, SettledRow};

/// A byte that names the kind, then the stored form (or a key): what can be read is written again to a form that reads the
/// same, and that form is its own.
///
/// # Panics
/// If not.
pub fn stored_rows(data: &[u8]) {
    let Some((kind, stored)) = data.split_first() else { return };
    match kind % 10 {
        0 => form::<QueueEntry>(stored),
        1 => form::<RecordRow>(stored),
        2 => form::<OutcomeRow>(stored),
        3 => form::<SettledRow>(stored),
        4 => form::<ScopeRow>(stored),
        5 => form::<ReplicaRow>(stored),
        6 => form::<StoredRecord>(stored),
        7 => form::<LoggedWrite>(stored),
        8 => digest(stored),
        _ => key(stored),
    }
}

fn form<T: Serialize + DeserializeOwned + PartialEq + Debug>(stored: &[u8]) {
    let Ok(row) = serde_json::from_slice::<T>(stored) else { return };
    let written = serde_json::to_vec(&row).expect("a row serializes");
    let again: T = serde_json::from_slice(&written).expect("and comes back");
    assert_eq!(again, row);
    assert_eq!(serde_json::to_vec(&again).expect("a row serializes"), written);
}

fn digest(stored: &[u8]) {
    match DigestRow::from_bytes(stored) {
        Some(row) => {
            assert_eq!(stored.len(), 4096);
            assert_eq!(row.to_bytes(), stored);
        }
        None => assert_ne!(stored.len(), 4096),
    }
}

/// A key that can be read is the key of what was read.
fn key(stored: &[u8]) {
    if let Some((scope, generation)) = keys::generation_of(stored) {
        let prefix = keys::generation_prefix(&scope, generation);
        assert!(stored.starts_with(&prefix));
        if let Some(RecordKey { collection, record }) = keys::record_key_of(stored, &prefix) {
            let collection_prefix = keys::collection_prefix(&scope, generation, &collection);
            assert_eq!(keys::record_id_of(stored, &collection_prefix), Some(record.clone()));
            assert_eq!(keys::record(&scope, generation, &RecordKey { collection, record }).key, stored);
        }
    }
    if let Some(scope) = keys::scope_of(stored) {
        assert_eq!(keys::scope(&scope).key, stored);
    }
}
