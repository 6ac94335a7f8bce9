//! The conflict inbox: one open note per leaf, written by the server in the transaction of the event that met the conflict.

use std::collections::BTreeMap;

use unisono::clock::Stamp;
use unisono::merge::{CONFLICTS, Decision, StoredRecord, fold_note, note_id};
use unisono::model::{
    Author, CollectionName, DeviceId, EventId, Mode, OpKind, RecordId, RecordKey, Revision, SyncAction, SyncEvent,
    Value,
};
use unisono::settings::{SETTINGS, check_event};

use super::effect::SERVER;
use super::intake::Fault;

/// Whether a record is a note that waits for its user.
pub(super) fn is_open_note(key: &RecordKey, record: &StoredRecord) -> bool {
    key.collection.as_str() == CONFLICTS && record.alive && !is_resolved(&record.doc)
}

fn is_resolved(note: &Value) -> bool {
    note.get("resolved").and_then(Value::as_bool).unwrap_or(false)
}

/// The server as an author.
pub(super) fn server_author() -> Author {
    Author { user: SERVER.to_owned(), device: DeviceId::new(SERVER).expect("the server's name is a device id") }
}

/// The name of the note `id`.
pub(super) fn note_key(id: RecordId) -> RecordKey {
    RecordKey { collection: CollectionName::new(CONFLICTS).expect("the inbox has a collection's name"), record: id }
}

/// The notes that decisions about `key` belong to. Conflicts about notes make none.
pub(super) fn notes_of<'d>(
    key: &RecordKey,
    floor: Revision,
    decisions: &'d [Decision],
) -> BTreeMap<RecordId, Vec<&'d Decision>> {
    let mut notes: BTreeMap<RecordId, Vec<&Decision>> = BTreeMap::new();
    if key.collection.as_str() != CONFLICTS {
        for decision in decisions {
            notes.entry(note_id(key, decision.path.as_ref(), floor)).or_default().push(decision);
        }
    }
    notes
}

/// The document of a note after `decisions`: on top of the open note, if there is one.
pub(super) fn fold(
    present: Option<&StoredRecord>,
    key: &RecordKey,
    floor: Revision,
    decisions: &[&Decision],
) -> Option<Value> {
    let open = present.filter(|record| record.alive && !is_resolved(&record.doc)).map(|record| record.doc.clone());
    decisions.iter().fold(open, |note, decision| Some(fold_note(note.as_ref(), key, floor, decision)))
}

/// The event that makes `doc` the note's document.
pub(super) fn note_event(
    id: EventId,
    note: &RecordKey,
    present: Option<&StoredRecord>,
    doc: Option<Value>,
    stamp: Stamp,
) -> SyncEvent {
    SyncEvent {
        id,
        collection: note.collection.clone(),
        record: note.record.clone(),
        action: SyncAction::Create,
        ops: Vec::new(),
        doc,
        base: present.map_or(0, |record| record.revision),
        stamp,
        group: None,
        depends_on: Vec::new(),
        needs: Vec::new(),
        schema: 1,
        mode: Mode::Merge,
        policy: None,
    }
}

/// Who may write what in the collections of Unisono: an app resolves a conflict note or deletes it, and settings have their
/// documented shapes; nothing else is taken.
pub(super) fn check_collection(event: &SyncEvent) -> Result<(), Fault> {
    match event.collection.as_str() {
        CONFLICTS if resolves(event) => Ok(()),
        SETTINGS => check_event(event).map_err(|refusal| Fault::new("settings_invalid", refusal.to_string())),
        name if name.starts_with('$') => {
            Err(Fault::new("reserved_name", "collections that begin with `$` are Unisono's own"))
        }
        _ => Ok(()),
    }
}

fn resolves(event: &SyncEvent) -> bool {
    match event.action {
        SyncAction::Create => false,
        SyncAction::Delete => true,
        SyncAction::Update => event
            .ops
            .iter()
            .all(|op| op.path.as_str() == "/resolved" && matches!(op.kind, OpKind::Set { value: Value::Bool(true) })),
    }
}
