//! The rows of accounts follow the records: what collections hold, and the columns of a user's row that copy settings.
//!
//! They are written in the transaction of the events that change the records, so that neither is ever without the other.
//! [`differences`] compares them; the records are right.

use std::collections::BTreeMap;

use unisono::merge::CONFLICTS;
use unisono::model::{CollectionName, RecordKey, Value, value};
use unisono::settings::SETTINGS;

use crate::store::{RecordRow, ScopeBatch, ScopeReads, StoreError, UsageRow, UserRow};

/// The record of an account's profile.
const PROFILE: &str = "profile";
/// The record of an account's preferences.
const PREFERENCES: &str = "preferences";

/// By how much a push changes what collections hold.
#[derive(Debug, Default)]
pub(super) struct Growth {
    collections: BTreeMap<CollectionName, Delta>,
    /// Records that came to life, but for the server's and Unisono's own.
    created: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Delta {
    records: i64,
    bytes: i64,
}

impl Growth {
    /// Takes in one record: its canonical bytes before and after, as far as it was or is alive.
    pub(super) fn take(&mut self, key: &RecordKey, before: Option<u64>, after: Option<u64>) {
        let delta = self.collections.entry(key.collection.clone()).or_default();
        delta.records += i64::from(after.is_some()) - i64::from(before.is_some());
        delta.bytes += after.unwrap_or(0).cast_signed() - before.unwrap_or(0).cast_signed();
        self.created += u64::from(before.is_none() && after.is_some() && !key.collection.is_reserved());
    }

    /// What the collections that change hold now.
    pub(super) fn usage(&self, reads: &mut dyn ScopeReads) -> Result<Vec<UsageRow>, StoreError> {
        let changed = || self.collections.iter().filter(|(_, delta)| delta.records != 0 || delta.bytes != 0);
        let names: Vec<_> = changed().map(|(name, _)| name.clone()).collect();
        let present = reads.usage(&names)?;
        let now = |((name, delta), present): ((&CollectionName, &Delta), Option<UsageRow>)| {
            let before = present.unwrap_or_else(|| UsageRow { collection: name.clone(), records: 0, bytes: 0 });
            UsageRow {
                records: before.records.saturating_add_signed(delta.records),
                bytes: before.bytes.saturating_add_signed(delta.bytes),
                ..before
            }
        };
        Ok(changed().zip(present).map(now).collect())
    }

    /// By how many bytes `storage_used` changes.
    fn used(&self) -> i64 {
        let counted = self.collections.iter().filter(|(name, _)| name.as_str() != CONFLICTS);
        counted.map(|(_, delta)| delta.bytes).sum()
    }
}

/// Lets the row of the account whose private scope this is follow what `batch` writes to it.
pub(super) fn follow(
    reads: &mut dyn ScopeReads,
    growth: &Growth,
    batch: &mut ScopeBatch,
    now_ms: u64,
) -> Result<(), StoreError> {
    let Some(account) = reads.owner().filter(|_| !batch.records.is_empty()) else { return Ok(()) };
    let present = reads.user()?;
    let before = present.clone().unwrap_or_else(|| UserRow::new(account, now_ms));
    let mut user = UserRow {
        storage_used: before.storage_used.saturating_add_signed(growth.used()),
        total_uploads: before.total_uploads + growth.created,
        ..before
    };
    for row in &batch.records {
        copy(row, &mut user);
        if is_setting(&row.key, PREFERENCES) {
            batch.scope.sync_enabled = is_sync_enabled(row);
        }
    }
    if present.as_ref() != Some(&user) {
        batch.user = Some(UserRow { updated_at: now_ms, ..user });
    }
    Ok(())
}

/// Makes the rows again for `batch`, which holds all of the scope's records, after what was counted was dropped.
pub(super) fn rebuild(reads: &mut dyn ScopeReads, batch: &mut ScopeBatch, now_ms: u64) -> Result<(), StoreError> {
    let mut growth = Growth::default();
    for row in &batch.records {
        growth.take(&row.key, None, row.record.alive.then_some(row.canonical.len() as u64));
    }
    batch.usage = growth.usage(reads)?;
    let Some(account) = reads.owner() else { return Ok(()) };
    let present = reads.user()?;
    // Of records that are gone nobody knows how many they were, but the row.
    let total_uploads = present.as_ref().map_or(growth.created, |user| user.total_uploads);
    let row = present.unwrap_or_else(|| UserRow::new(account, now_ms));
    let mut user = UserRow { storage_used: growth.used().cast_unsigned(), total_uploads, updated_at: now_ms, ..row };
    for row in &batch.records {
        copy(row, &mut user);
    }
    batch.user = Some(user);
    Ok(())
}

fn is_setting(key: &RecordKey, record: &str) -> bool {
    key.collection.as_str() == SETTINGS && key.record.as_str() == record
}

/// Copies a record's fields into the columns that follow it, if there are any.
fn copy(row: &RecordRow, user: &mut UserRow) {
    let doc = Some(&row.record.doc).filter(|_| row.record.alive);
    if is_setting(&row.key, PROFILE) {
        let text = |name: &str| doc.and_then(|doc| doc.get(name)).and_then(Value::as_str).map(str::to_owned);
        user.email = text("email");
        user.username = text("username");
        user.avatar_url = text("avatar_url");
        user.bio = text("bio");
    } else if is_setting(&row.key, PREFERENCES) {
        user.preferences = doc.map(|_| row.canonical.clone());
    }
}

fn is_sync_enabled(row: &RecordRow) -> bool {
    let set = row.record.doc.pointer("/cloud_sync/enabled").and_then(Value::as_bool);
    set.filter(|_| row.record.alive).unwrap_or(true)
}

/// What the account's rows say otherwise than the records, in words.
pub(super) fn differences(
    reads: &mut dyn ScopeReads,
    stored: &BTreeMap<RecordKey, RecordRow>,
) -> Result<Vec<String>, StoreError> {
    let mut growth = Growth::default();
    let mut columns = UserRow::new(String::new(), 0);
    for (key, row) in stored {
        let bytes = row.record.alive.then(|| value::canonical_len(&row.record.doc) as u64);
        growth.take(key, None, bytes);
        copy(row, &mut columns);
    }
    let mut differences = Vec::new();
    let counted = growth.collections.iter().filter(|(_, delta)| delta.records > 0).map(|(name, delta)| UsageRow {
        collection: name.clone(),
        records: delta.records.cast_unsigned(),
        bytes: delta.bytes.cast_unsigned(),
    });
    if counted.collect::<Vec<_>>() != reads.collections()? {
        differences.push("what the collections hold is not what is counted".to_owned());
    }
    let user = reads.user()?;
    if user.is_none() && reads.owner().is_some() && !stored.is_empty() {
        differences.push("the user's row is missing".to_owned());
    }
    if let Some(user) = user {
        let same = user.email == columns.email
            && user.username == columns.username
            && user.avatar_url == columns.avatar_url
            && user.bio == columns.bio
            && user.preferences == columns.preferences;
        if !same {
            differences.push("the user's row is not what the settings say".to_owned());
        }
        if user.storage_used.cast_signed() != growth.used() {
            differences.push(format!("{} bytes are used, {} are counted", growth.used(), user.storage_used));
        }
    }
    Ok(differences)
}
