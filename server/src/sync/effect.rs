//! What one write does to one record: the merge, and the two rules about conflict notes that come before it.
//!
//! The push and the replay of the log share this function, so that a replay is exact.

use std::collections::BTreeMap;

use unisono::merge::{
    CONFLICTS, History, LeafClock, LeafClocks, Merged, Refusal, StoredRecord, Trace, Undo, Write, merge,
};
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

/// Lets `write` change the record.
pub(super) fn effect(
    record: &mut Option<StoredRecord>,
    history: &History,
    write: &Write<'_>,
) -> Result<Merged, Refusal> {
    if write.event.collection.as_str() == CONFLICTS {
        if is_server(&write.author.device) {
            let note = note_record(record.as_ref(), write);
            return Ok(plain(ReceiptStatus::Applied, None, Undo::whole(record.replace(note))));
        }
        // A note that has grown since it was read stays open: what its reader resolved is not what it says now.
        let grown = || history.after(lowest_base(write.event)).iter().any(|other| is_server(&other.by.device));
        if let Some(note) = record.as_mut().filter(|note| note.alive && grown()) {
            let undo = Undo::whole(Some(note.clone()));
            note.revision = write.revision;
            return Ok(plain(ReceiptStatus::Superseded, Some(0), undo));
        }
    }
    merge(record, history, write)
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

fn plain(status: ReceiptStatus, growth: Option<i64>, undo: Undo) -> Merged {
    Merged {
        status,
        decisions: Vec::new(),
        rebase: BTreeMap::new(),
        applied_edits: BTreeMap::new(),
        trace: Trace::default(),
        as_applied: false,
        growth,
        undo,
    }
}
