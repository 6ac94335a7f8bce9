//! Sets: tags of a common record. A device removes its own tags only, so it knows at any moment which of them it must see
//! (I6); a few common tags come and go by everybody's hand. In the end each tag is there as often as its writer was promised:
//! once or not at all (I1, I3, I5).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{App, Attempt, Feature, Place};
use crate::model::{Scope, Value};
use crate::platform::BoxFuture;
use crate::testing::SeededRandom;
use crate::testing::sim::checks::{Ending, FinalScope, Violation};
use crate::testing::sim::config::{ACCOUNTS, Config};
use crate::testing::sim::ledger::{Entry, Ledger, Standing};

const COLLECTION: &str = "shelves";
const SHELF: &str = "shelf";
const TAGS: &str = "/tags";

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Sets;

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    place: Place,
    what: What,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    /// A tag that nobody else writes.
    Add,
    /// One of the last tags that this device has added.
    Remove { back: usize },
    /// A tag that everybody writes.
    Common { tag: u64, add: bool },
}

/// What an entry does: `(tag, whether it adds it)`.
fn effect(entry: &Entry) -> Option<(&str, bool)> {
    let effect = &entry.planned.effect;
    Some((effect["tag"].as_str()?, effect["add"].as_bool()?))
}

fn tags(shelf: &Value) -> Vec<&str> {
    shelf.pointer(TAGS).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

impl Step {
    /// The tag, and whether it is added; `None` where there is none to be removed.
    fn change(&self, app: &App) -> Option<(String, bool)> {
        match &self.what {
            What::Add => Some((app.mark.clone(), true)),
            What::Common { tag, add } => Some((format!("t{tag}"), *add)),
            What::Remove { back } => {
                let own = format!("{}-d{}-", app.replica.account, app.replica.device);
                let here = |planned: &&crate::testing::sim::ledger::Planned| {
                    planned.scope == self.place.scope() && planned.key.collection.as_str() == COLLECTION
                };
                let mut added = app.recent.iter().map(|(_, planned)| planned).filter(here).filter_map(|planned| {
                    let tag = planned.effect["tag"].as_str()?;
                    (planned.effect["add"] == json!(true) && tag.starts_with(&own)).then(|| tag.to_owned())
                });
                added.nth(*back).map(|tag| (tag, false))
            }
        }
    }
}

impl Feature for Sets {
    fn name(&self) -> &'static str {
        "sets"
    }

    fn draw(&self, random: &mut SeededRandom, _: &Config) -> Value {
        let what = match random.below(10) {
            0..=3 => What::Add,
            4..=6 => What::Remove { back: usize::try_from(random.below(3)).unwrap_or(0) },
            _ => What::Common { tag: random.below(3), add: random.chance(60) },
        };
        json!(Step { place: Place::draw(random), what })
    }

    fn prepare(&self, app: &App) -> Vec<Attempt> {
        let shared = app.replica.account == ACCOUNTS[0];
        let places = Place::BOTH.into_iter().filter(|place| *place == Place::User || shared);
        let create = |place: Place| {
            let shelves = place.collection(&app.client, COLLECTION);
            let writes = vec![place.planned(COLLECTION, SHELF, Value::Null)];
            Attempt {
                writes,
                call: Box::pin(async move { Ok(vec![Some(shelves.create(SHELF, json!({"n": 0})).await?)]) }),
            }
        };
        places.map(create).collect()
    }

    fn may_fail(&self, code: &str) -> bool {
        code == "not_found"
    }

    fn attempt(&self, app: &App, step: &Value) -> Option<Attempt> {
        let step: Step = serde_json::from_value(step.clone()).ok()?;
        let (tag, add) = step.change(app)?;
        let writes = vec![step.place.planned(COLLECTION, SHELF, json!({"tag": tag, "add": add}))];
        let edit = step.place.collection(&app.client, COLLECTION).edit(SHELF);
        let edit = if add { edit.add(TAGS, [tag]) } else { edit.remove(TAGS, [tag]) };
        Some(Attempt { writes, call: Box::pin(async move { Ok(vec![edit.commit().await?]) }) })
    }

    fn check_written<'a>(&'a self, app: &'a App, step: &'a Value) -> BoxFuture<'a, Result<(), Violation>> {
        Box::pin(async move {
            let Ok(step) = serde_json::from_value::<Step>(step.clone()) else { return Ok(()) };
            let Some((tag, add)) = step.change(app) else { return Ok(()) };
            let Ok(Some(shelf)) = step.place.collection(&app.client, COLLECTION).get(SHELF).await else {
                return Ok(());
            };
            if tags(&shelf).contains(&tag.as_str()) == add {
                return Ok(());
            }
            Err(Violation::new("I6", format!("{} wrote {step:?} and sees {shelf}", app.replica)))
        })
    }

    fn check_device<'a>(&'a self, app: &'a App, ledger: &'a Ledger) -> BoxFuture<'a, Result<(), Violation>> {
        Box::pin(async move {
            for place in Place::BOTH {
                let Ok(Some(shelf)) = place.collection(&app.client, COLLECTION).get(SHELF).await else { continue };
                let own = ledger.of(&app.replica).filter(|entry| entry.planned.scope == place.scope());
                let seen = || format!("{} in {}", app.replica, place.scope());
                check_tags(own, ledger, &shelf, "I6", seen)?;
            }
            Ok(())
        })
    }

    fn check_end(&self, end: &Ending<'_>) -> Result<(), Violation> {
        end.scopes.iter().try_for_each(|scope| check_scope(end, scope))
    }
}

/// Each tag of one writer is there once, or was removed. What a device was made to forget, or has dropped, may be either.
fn check_tags<'l>(
    entries: impl Iterator<Item = &'l Entry>,
    ledger: &Ledger,
    shelf: &Value,
    invariant: &str,
    whose: impl Fn() -> String,
) -> Result<(), Violation> {
    let mut expected: BTreeMap<&str, Option<bool>> = BTreeMap::new();
    for entry in entries.filter(|entry| entry.feature == "sets" && !ledger.is_replacement(&entry.id)) {
        let Some((tag, add)) = effect(entry) else { continue };
        let fate = ledger.fate(&entry.id);
        if fate == Standing::Unsent {
            continue;
        }
        let firm = fate == Standing::Held && entry.former.is_empty();
        let before = expected.get(tag).copied().unwrap_or(Some(false));
        // What may or may not have happened leaves no doubt where it would change nothing.
        let after = if firm { Some(add) } else { before.filter(|there| *there == add) };
        expected.insert(tag, after);
    }
    let shown = tags(shelf);
    for (tag, there) in expected.into_iter().filter(|(tag, _)| tag.contains("-d")) {
        let count = shown.iter().filter(|shown| **shown == tag).count();
        if count > 1 || there.is_some_and(|there| there != (count == 1)) {
            let what = format!("{tag} shows {count} times to {}, and should: {there:?}: {shelf}", whose());
            return Err(Violation::new(invariant, what));
        }
    }
    Ok(())
}

fn check_scope(end: &Ending<'_>, scope: &FinalScope) -> Result<(), Violation> {
    let Some(shelf) = scope.state.get(&Place::key(COLLECTION, SHELF)) else { return Ok(()) };
    let shown = tags(shelf);
    if let Some(tag) = shown.iter().find(|tag| shown.iter().filter(|other| other == tag).count() > 1) {
        return Err(Violation::new("I3", format!("{tag} is twice in {}", scope.scope)));
    }
    let sealed = |entry: &&Entry| scope.scope != Scope::User && end.expelled.contains(&entry.replica.account);
    let entries = end.entries("sets", scope).filter(|entry| !sealed(entry));
    check_tags(entries, end.ledger, shelf, "I1", || format!("everybody in {}", scope.scope))
}
