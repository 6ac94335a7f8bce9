//! What one write does to one record: the merge, and the two rules about conflict notes that come before it.
//!
//! The push and the replay of the log share this function, so that a replay is exact.

use std::collections::BTreeMap;

use unisono::merge::{CONFLICTS, LeafClock, LeafClocks, LoggedWrite, Merged, Refusal, StoredRecord, Write, merge};
use unisono::model::{DeviceId, ReceiptStatus, Revision, SyncEvent};

/// The device under whose name the server writes.
pub(super) const SERVER: &str = "server";

/// The lowest base in an event: what its writer had surely seen.
pub(super) fn lowest_base(event: &SyncEvent) -> Revision {
    event.ops.iter().filter_map(|op| op.base).fold(event.base, Revision::min)
}

/// The highest base in an event.
pub(super) fn highest_base(event: &SyncEvent) -> Revision {
    event.ops.iter().filter_map(|op| op.base).fold(event.base, Revision::max)
}

/// Whether `device` is the server itself.
pub(super) fn is_server(device: &DeviceId) -> bool {
    device.as_str() == SERVER
}

/// The record after `write`.
pub(super) fn effect(
    record: Option<&StoredRecord>,
    unseen: &[LoggedWrite],
    write: &Write<'_>,
) -> Result<Merged, Refusal> {
    if write.event.collection.as_str() == CONFLICTS {
        if is_server(&write.author.device) {
            return Ok(plain(ReceiptStatus::Applied, note_record(record, write)));
        }
        // A note that has grown since it was read stays open: what its reader resolved is not what it says now.
        if let Some(record) = record.filter(|record| record.alive)
            && unseen.iter().any(|other| is_server(&other.by.device))
        {
            let record = StoredRecord { revision: write.revision, ..record.clone() };
            return Ok(plain(ReceiptStatus::Superseded, record));
        }
    }
    merge(record, unseen, write)
}

/// A note as the server writes it: whole, whatever was there.
pub(super) fn note_record(record: Option<&StoredRecord>, write: &Write<'_>) -> StoredRecord {
    let clock = LeafClock {
        revision: write.revision,
        stamp: write.event.stamp.clone(),
        user: write.author.user.clone(),
        device: write.author.device.clone(),
        push_seq: write.push_seq,
        position: write.position,
    };
    StoredRecord {
        doc: write.event.doc.clone().unwrap_or_default(),
        alive: true,
        revision: write.revision,
        floor: record.map_or(0, |record| record.floor),
        floor_clock: record.and_then(|record| record.floor_clock.clone()),
        floor_yields: record.is_some_and(|record| record.floor_yields),
        clocks: LeafClocks { common: Some(clock), ..LeafClocks::default() },
        stamp: write.event.stamp.clone(),
        by: write.author.clone(),
        schema: write.event.schema,
        group: None,
    }
}

fn plain(status: ReceiptStatus, record: StoredRecord) -> Merged {
    Merged { status, record, decisions: Vec::new(), rebase: BTreeMap::new(), applied_edits: BTreeMap::new() }
}
