//! A server of one record, and writes made of bytes: what the merge targets have in common.

use serde_json::json;
use unisono::clock::Stamp;
use unisono::merge::{
    History, Lift, LoggedWrite, Merged, Refusal, StoredRecord, Write, lift, merge, newest_stamp, relevant,
};
use unisono::model::{
    Author, CollectionName, DeviceId, EventId, Mode, Op, OpKind, Pointer, Policy, RecordId, Revision, SyncAction,
    SyncEvent, Value,
};

/// The server's clock: no stamp of these histories is bounded by it.
const NOW: u64 = 1 << 40;

/// Stamps, merges and logs the writes of one record, as the sync service does.
#[derive(Clone, Debug, Default)]
pub struct OneRecord {
    pub record: Option<StoredRecord>,
    pub log: Vec<LoggedWrite>,
    /// The highest stamp at each revision, from 1.
    highest: Vec<Stamp>,
}

/// A write that took effect.
#[derive(Debug)]
pub struct Taken {
    pub before: Option<StoredRecord>,
    pub merged: Merged,
    /// The event, with effective stamps.
    pub event: SyncEvent,
}

impl OneRecord {
    pub fn head(&self) -> Revision {
        self.log.len() as Revision
    }

    /// The visible document.
    pub fn doc(&self) -> Option<&Value> {
        self.record.as_ref().filter(|record| record.alive).map(|record| &record.doc)
    }

    /// Takes `event` from `device` in its push `push_seq`.
    ///
    /// # Errors
    /// The merge's refusal, and what the writer had not seen. Nothing is changed then.
    ///
    /// # Panics
    /// If two merges of the same differ.
    pub fn take(
        &mut self,
        mut event: SyncEvent,
        device: &DeviceId,
        push_seq: u64,
    ) -> Result<Taken, Box<(Refusal, SyncEvent)>> {
        let author = Author { user: "alice".to_owned(), device: device.clone() };
        let own = self.log.iter().rev().find(|logged| logged.by.device == *device);
        let previous = own.map(|logged| newest_stamp(&logged.event).clone());
        let highest = &self.highest;
        let mut highest_at = |revision: Revision| highest.get((revision as usize).checked_sub(1)?).cloned();
        lift(&mut event, &mut Lift { highest_at: &mut highest_at, previous: previous.as_ref(), now_ms: NOW });

        let base = event.ops.iter().map(|op| event.base_of(op)).fold(event.base, Revision::min);
        let unseen = self.log.iter().filter(|logged| logged.revision > base && relevant(logged, device));
        let history: History = unseen.cloned().collect();
        let revision = self.head() + 1;
        let write = Write { event: &event, author: &author, push_seq, position: 0, revision, horizon: 0, forgets: 0 };
        let before = self.record.clone();
        let mut again = before.clone();
        let repeated = merge(&mut again, &history, &write);
        let merged = match merge(&mut self.record, &history, &write) {
            Ok(merged) => merged,
            Err(refusal) => return Err(Box::new((refusal, event))),
        };
        let repeated = repeated.expect("a merge is a function");
        assert_eq!((&again, &repeated.decisions), (&self.record, &merged.decisions), "a merge is a function");
        let after = again.expect("a merge makes a record");
        assert_eq!(repeated.undo.revert(after), before, "a merge can be taken back");
        self.log.push(LoggedWrite {
            event: event.clone(),
            by: author,
            push_seq,
            position: 0,
            revision,
            previous: before.as_ref().map_or(0, |record| record.revision),
            applied_edits: merged.applied_edits.clone(),
            decisions: merged.decisions.clone(),
            trace: merged.trace.clone(),
        });
        let newest = newest_stamp(&event).clone();
        self.highest.push(self.highest.last().map_or(newest.clone(), |highest| highest.clone().max(newest)));
        Ok(Taken { before, merged, event })
    }
}

pub fn device(index: usize) -> DeviceId {
    DeviceId::new(["a", "b", "c", "d"][index % 4]).expect("a name")
}

/// An event on the one record, without content.
pub fn event(device: &DeviceId, number: usize, ms: u64, base: Revision, action: SyncAction) -> SyncEvent {
    SyncEvent {
        id: EventId::new(format!("e{number}")).expect("a name"),
        collection: CollectionName::new("samples").expect("a name"),
        record: RecordId::new("kick").expect("a name"),
        action,
        ops: Vec::new(),
        doc: (action == SyncAction::Create).then(|| json!({})),
        base,
        stamp: Stamp { ms, counter: 0, device: device.clone() },
        group: None,
        depends_on: Vec::new(),
        needs: Vec::new(),
        schema: 1,
        mode: Mode::Merge,
        policy: None::<Policy>,
    }
}

pub fn op(path: &str, kind: OpKind) -> Op {
    Op { path: Pointer::parse(path).expect("a pointer"), kind, base: None, stamp: None }
}
