//! Policies: a transaction makes a record and patches it, once or several times, while the client has policies on its fields, so
//! that one write becomes several events. What shows right after it (I6), and in the end on the server (I8), is what RFC 7396
//! makes of the document and the patches, one after the other.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{App, Attempt, Feature, Place};
use crate::Client;
use crate::client::ClientBuilder;
use crate::error::Result as CallResult;
use crate::model::{EventId, Policy, RecordKey, Scope, Value};
use crate::platform::BoxFuture;
use crate::replica::rows::OutcomeRow;
use crate::replica::{decode, keys};
use crate::storage::{Scan, StorageError, Table};
use crate::testing::SeededRandom;
use crate::testing::sim::checks::{Ending, Violation};
use crate::testing::sim::config::Config;
use crate::testing::sim::ledger::position_of;

const COLLECTION: &str = "policied";
const NAMES: [&str; 3] = ["name", "bpm", "meta"];

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Policies;

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    place: Place,
    doc: Value,
    patches: Vec<Value>,
}

/// Gives a client its policies.
pub(in crate::testing::sim) fn declare(builder: ClientBuilder) -> ClientBuilder {
    builder.policy(COLLECTION, Policy::LastWriteWins).field_policy(COLLECTION, "/bpm", Policy::ServerWins).field_policy(
        COLLECTION,
        "/meta/name",
        Policy::ClientWins,
    )
}

/// An object of at most three members, which nests no deeper than `depth`.
fn object(random: &mut SeededRandom, depth: u64, nulls: bool) -> Value {
    let mut fields = serde_json::Map::new();
    for name in NAMES {
        if random.chance(55) {
            let value = match random.below(6) {
                0 if nulls => Value::Null,
                1..=3 if depth > 0 => object(random, depth - 1, nulls),
                _ => json!(random.below(100)),
            };
            fields.insert(name.to_owned(), value);
        }
    }
    Value::Object(fields)
}

/// RFC 7396, section 2, word by word.
fn merge_patch(target: Value, patch: &Value) -> Value {
    let Some(members) = patch.as_object() else { return patch.clone() };
    let mut target = if let Value::Object(fields) = target { fields } else { serde_json::Map::new() };
    for (name, value) in members {
        let before = target.remove(name);
        if !value.is_null() {
            target.insert(name.clone(), merge_patch(before.unwrap_or(Value::Null), value));
        }
    }
    Value::Object(target)
}

impl Step {
    fn result(&self) -> Value {
        self.patches.iter().fold(self.doc.clone(), merge_patch)
    }
}

impl Feature for Policies {
    fn name(&self) -> &'static str {
        "policies"
    }

    fn share(&self) -> u64 {
        50
    }

    fn splits(&self) -> bool {
        true
    }

    fn draw(&self, random: &mut SeededRandom, _: &Config) -> Value {
        let doc = object(random, 2, false);
        let patches = (0..=random.below(3)).map(|_| object(random, 2, true)).collect();
        json!(Step { place: Place::draw(random), doc, patches })
    }

    fn may_fail(&self, _: &str) -> bool {
        false
    }

    fn attempt(&self, app: &App, step: &Value) -> Option<Attempt> {
        let step: Step = serde_json::from_value(step.clone()).ok()?;
        let (id, records) = (app.mark.clone(), step.place.collection(&app.client, COLLECTION));
        let made = step.place.planned(COLLECTION, &id, json!({"doc": step.result()}));
        let mut group = app.client.transaction().create(&records, &id, step.doc);
        for patch in step.patches {
            group = group.update(&records, &id, patch);
        }
        let (client, scope, key) = (app.client.clone(), made.scope.clone(), made.key.clone());
        let call = Box::pin(async move {
            group.commit().await?;
            Ok(events_of(&client, &scope, &key).await?.into_iter().map(Some).collect())
        });
        Some(Attempt { writes: vec![made], call })
    }

    fn check_written<'a>(&'a self, app: &'a App, step: &'a Value) -> BoxFuture<'a, Result<(), Violation>> {
        Box::pin(async move {
            let Ok(step) = serde_json::from_value::<Step>(step.clone()) else { return Ok(()) };
            let Ok(seen) = step.place.collection(&app.client, COLLECTION).get(&app.mark).await else { return Ok(()) };
            if seen.as_ref() == Some(&step.result()) {
                return Ok(());
            }
            let what = format!("{} wrote {step:?}, which is {}, and sees {seen:?}", app.replica, step.result());
            Err(Violation::new("I6", what))
        })
    }

    fn check_end(&self, end: &Ending<'_>) -> Result<(), Violation> {
        for scope in end.scopes {
            for entry in end.entries("policies", scope) {
                let held = scope.state.get(&entry.planned.key);
                if held.is_some_and(|held| *held != entry.planned.effect["doc"]) {
                    let what = format!("{} is {held:?}, and {:?} was written", entry.planned.key, entry.planned.effect);
                    return Err(Violation::new("I8", what));
                }
            }
        }
        Ok(())
    }
}

/// The events that a replica knows on a record, in the order of its queue. The disk may fail once at each read.
async fn events_of(client: &Client, scope: &Scope, key: &RecordKey) -> CallResult<Vec<EventId>> {
    let rows = loop {
        let read = client.replica().storage().scan(Scan::prefix(Table::Outcome, b"")).await;
        match read {
            Ok(rows) => break rows,
            Err(StorageError::Suspended | StorageError::Closed(_)) => return Ok(Vec::new()),
            Err(_) => {}
        }
    };
    let mut events = Vec::new();
    for row in rows {
        let outcome: OutcomeRow = decode(&row.value)?;
        if (&outcome.scope, &outcome.key) == (scope, key) {
            events.extend(keys::outcome_id_of(&row.key).map(|id| (position_of(&outcome.state), id)));
        }
    }
    events.sort();
    Ok(events.into_iter().map(|(_, id)| id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_rfc_7396() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"a": "foo"}), json!(null), json!(null)),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            assert_eq!(merge_patch(target.clone(), &patch), result, "{target} {patch}");
        }
    }
}
