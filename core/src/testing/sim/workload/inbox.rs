//! The conflict inbox: whoever reads it marks notes as resolved, with or without a value of his own, in one transaction.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{App, Attempt, Feature, Place};
use crate::Client;
use crate::error::Result as CallResult;
use crate::model::{RecordKey, Scope, Value};
use crate::platform::BoxFuture;
use crate::replica::rows::RecordRow;
use crate::replica::{decode, keys};
use crate::storage::{Scan, Table};
use crate::testing::SeededRandom;
use crate::testing::sim::checks::Violation;
use crate::testing::sim::config::Config;
use crate::testing::sim::ledger::Planned;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Inbox;

/// An open note.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// Where.
    pub scope: Scope,
    /// Its record.
    pub key: RecordKey,
    /// What it says.
    pub doc: Value,
}

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    /// Which of the open notes: round again if there are fewer.
    note: usize,
    /// A value is written as well, where the note is about a leaf that holds texts.
    write: bool,
}

/// All open notes that a client sees.
pub(in crate::testing::sim) async fn open_notes(client: &Client) -> CallResult<Vec<Note>> {
    let replica = client.replica();
    let mut notes = Vec::new();
    for scope in Place::BOTH.map(Place::scope) {
        let prefix = keys::generation_prefix(&scope, replica.generation(&scope).await?);
        for row in replica.storage().scan(Scan::prefix(Table::Record, &prefix)).await? {
            let Some(key) = keys::record_key_of(&row.key, &prefix) else { continue };
            if key.collection.as_str() == crate::merge::CONFLICTS {
                let record: RecordRow = decode(&row.value)?;
                let open = record.view().filter(|doc| doc["resolved"] != json!(true)).cloned();
                notes.extend(open.map(|doc| Note { scope: scope.clone(), key, doc }));
            }
        }
    }
    Ok(notes)
}

impl Step {
    fn chosen<'a>(&self, app: &'a App) -> Option<&'a Note> {
        app.notes.get(self.note % app.notes.len().max(1))
    }
}

/// The record and leaf that a note is about, if that leaf takes any text.
fn leaf(note: &Note) -> Option<(Place, String, String)> {
    let text = |name: &str| note.doc[name].as_str().map(str::to_owned);
    let place = Place::BOTH.into_iter().find(|place| place.scope() == note.scope)?;
    let (record, path) = (text("record")?, text("path")?);
    (note.doc["collection"] == json!("samples")).then_some((place, record, path))
}

impl Feature for Inbox {
    fn name(&self) -> &'static str {
        "inbox"
    }

    fn draw(&self, random: &mut SeededRandom, _: &Config) -> Value {
        json!(Step { note: usize::try_from(random.below(8)).unwrap_or(0), write: random.chance(50) })
    }

    fn attempt(&self, app: &App, step: &Value) -> Option<Attempt> {
        let step: Step = serde_json::from_value(step.clone()).ok()?;
        let note = step.chosen(app)?.clone();
        let (mut group, mut writes) = (app.client.transaction(), Vec::new());
        if let Some((place, record, path)) = leaf(&note).filter(|_| step.write) {
            let samples = place.collection(&app.client, "samples");
            group = group.edit(&samples, &record, |edit| edit.set(path, app.mark.clone()));
            writes.push(place.planned("samples", &record, json!({"mark": app.mark})));
        }
        group = group.resolve(&note.scope, note.key.record.as_str());
        writes.push(Planned { scope: note.scope, key: note.key, effect: Value::Null });
        Some(Attempt { writes, call: Box::pin(group.commit()) })
    }

    fn check_written<'a>(&'a self, app: &'a App, step: &'a Value) -> BoxFuture<'a, Result<(), Violation>> {
        Box::pin(async move {
            let Ok(step) = serde_json::from_value::<Step>(step.clone()) else { return Ok(()) };
            let Some(note) = step.chosen(app) else { return Ok(()) };
            match open_notes(&app.client).await {
                Ok(open) if open.iter().any(|other| (&other.scope, &other.key) == (&note.scope, &note.key)) => {
                    Err(Violation::new("I6", format!("{} resolved {note:?}, and sees it open", app.replica)))
                }
                _ => Ok(()),
            }
        })
    }
}
