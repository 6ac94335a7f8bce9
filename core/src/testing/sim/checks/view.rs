//! What an app has written shows, however long ago that was and whatever was pulled beneath it (I6): all that was never sent, and
//! all that the server has refused (I12), wholly. Of what the server may hold already the feed tells.

use std::collections::BTreeMap;

use super::Violation;
use crate::Client;
use crate::error::Result as CallResult;
use crate::model::{Op, OpKind, Pointer, RecordKey, Scope, SyncAction, SyncEvent, Value, leaves_of};
use crate::replica::rows::QueueEntry;

/// Codes of the server's own refusals: it does not hold such an event.
const REFUSALS: [&str; 3] = ["conflict", "type_mismatch", "skipped"];

/// Looks at the view of every record on which events wait.
///
/// # Errors
/// The storage's.
pub async fn hidden(client: &Client, scope: &Scope, queue: &[(u64, QueueEntry)]) -> CallResult<Option<Violation>> {
    let mut lanes: BTreeMap<RecordKey, Vec<&QueueEntry>> = BTreeMap::new();
    for (_, entry) in queue {
        lanes.entry(entry.event.key()).or_default().push(entry);
    }
    for (key, lane) in lanes {
        let row = client.replica().record(scope, &key).await?;
        let view = row.as_ref().and_then(|row| row.view());
        for (at, entry) in lane.iter().enumerate() {
            let later: Vec<_> = lane[at + 1..].iter().map(|later| &later.event).collect();
            if must_show(entry)
                && let Some(what) = missing(&entry.event, &later, view)
            {
                let parked = entry.parked.as_ref().map_or("unsent", |why| why.code.as_str());
                let what = format!("{} ({parked}) on {key} of {scope} does not show {what}: {view:?}", entry.event.id);
                return Ok(Some(Violation::new("I6", what)));
            }
        }
    }
    Ok(None)
}

/// Whether the server is known not to hold an event.
fn must_show(entry: &QueueEntry) -> bool {
    let refused = entry.parked.as_ref().is_some_and(|why| REFUSALS.contains(&why.code.as_str()));
    let unsent = entry.parked.is_none() && !entry.frozen && entry.settled.is_none();
    refused || unsent
}

/// What of an event a view does not show, though no later event on the record has touched it.
fn missing(event: &SyncEvent, later: &[&SyncEvent], view: Option<&Value>) -> Option<String> {
    if later.iter().any(|later| later.action != SyncAction::Update) {
        return None;
    }
    if event.action == SyncAction::Delete {
        return view.map(|_| "that the record is deleted".to_owned());
    }
    let Some(view) = view else { return Some("anything".to_owned()) };
    let touched = |path: &Pointer, ops: &[Op]| ops.iter().any(|op| overlap(&op.path, path));
    let touched_later = |path: &Pointer| later.iter().any(|later| touched(path, &later.ops));
    for (path, value) in event.doc.iter().flat_map(leaves_of) {
        if !touched(&path, &event.ops) && !touched_later(&path) && path.find(view) != Some(&value) {
            return Some(format!("{value} at {path}"));
        }
    }
    for (at, op) in event.ops.iter().enumerate() {
        let moot = touched(&op.path, &event.ops[at + 1..]) || touched_later(&op.path);
        if !moot && !shows(&op.kind, op.path.find(view)) && !enters_array(view, &op.path) {
            return Some(format!("{op:?}"));
        }
    }
    None
}

fn shows(kind: &OpKind, there: Option<&Value>) -> bool {
    let elements = there.and_then(Value::as_array);
    let holds = |value: &Value| elements.is_some_and(|elements| elements.contains(value));
    match kind {
        OpKind::Set { value } => there == Some(value),
        OpKind::Unset => there.is_none(),
        // An operation that fits no longer has no effect: what its field became is another writer's.
        OpKind::Add { values } => there.is_some_and(|there| !there.is_array()) || values.iter().all(holds),
        OpKind::Remove { values } => !values.iter().any(holds),
        OpKind::Inc { .. } => there.is_some(),
        OpKind::Text { .. } => true,
    }
}

fn overlap(one: &Pointer, other: &Pointer) -> bool {
    let within =
        |path: &str, place: &str| path == place || path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/'));
    within(one.as_str(), other.as_str()) || within(other.as_str(), one.as_str())
}

/// What leads into an array has no effect.
fn enters_array(view: &Value, path: &Pointer) -> bool {
    let mut place = Some(view);
    for key in path.keys() {
        match place {
            Some(Value::Array(_)) => return true,
            other => place = other.and_then(|value| value.get(&*key)),
        }
    }
    false
}
