//! Counters: every device counts on a common record, in one event in its own field and in a common one. So it knows at any
//! moment what its own field must show (I6), the common field is the sum of the others in every state that anybody ever sees
//! (I8), and in the end each increment has counted once (I1, I3).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{App, Attempt, Feature, Place};
use crate::error::Result;
use crate::model::{EventId, OpKind, Scope, Value};
use crate::platform::BoxFuture;
use crate::testing::SeededRandom;
use crate::testing::sim::checks::{Ending, FinalScope, Violation};
use crate::testing::sim::config::{ACCOUNTS, Config};
use crate::testing::sim::ledger::{Entry, Ledger, ReplicaId, Standing};

const COLLECTION: &str = "counters";
const TALLY: &str = "tally";
const ALL: &str = "all";

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Counters;

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    place: Place,
    by: i64,
}

fn own(replica: &ReplicaId) -> String {
    format!("{}-d{}", replica.account, replica.device)
}

fn attempt(place: Place, effect: Value, call: BoxFuture<'static, Result<Option<EventId>>>) -> Attempt {
    let writes = vec![place.planned(COLLECTION, TALLY, effect)];
    Attempt { writes, call: Box::pin(async move { Ok(vec![call.await?]) }) }
}

/// By how much an entry counts.
fn by(entry: &Entry) -> i64 {
    entry.planned.effect["by"].as_i64().unwrap_or(0)
}

impl Feature for Counters {
    fn name(&self) -> &'static str {
        "counters"
    }

    fn draw(&self, random: &mut SeededRandom, _: &Config) -> Value {
        let by = i64::try_from(random.below(9)).unwrap_or(0) + 1;
        json!(Step { place: Place::draw(random), by })
    }

    fn prepare(&self, app: &App) -> Vec<Attempt> {
        let mut places = vec![Place::User];
        if app.replica.account == ACCOUNTS[0] {
            places.push(Place::Workspace);
        }
        let create = |place: Place| {
            let collection = place.collection(&app.client, COLLECTION);
            let call = Box::pin(async move { collection.create(TALLY, json!({ALL: 0})).await.map(Some) });
            attempt(place, json!({"by": 0}), call)
        };
        places.into_iter().map(create).collect()
    }

    fn may_fail(&self, code: &str) -> bool {
        code == "not_found"
    }

    fn attempt(&self, app: &App, step: &Value) -> Option<Attempt> {
        let Step { place, by } = serde_json::from_value(step.clone()).ok()?;
        let edit = place.collection(&app.client, COLLECTION).edit(TALLY);
        let edit = edit.increment(format!("/{}", own(&app.replica)), by).increment(format!("/{ALL}"), by);
        Some(attempt(place, json!({"by": by}), Box::pin(edit.commit())))
    }

    fn check_device<'a>(&'a self, app: &'a App, ledger: &'a Ledger) -> BoxFuture<'a, Result<(), Violation>> {
        Box::pin(async move {
            for place in Place::BOTH {
                let tally = place.collection(&app.client, COLLECTION).get(TALLY).await;
                let Ok(Some(tally)) = tally else { continue };
                check_whole(&app.replica, &tally)?;
                check_own(app, ledger, place, &tally)?;
            }
            Ok(())
        })
    }

    fn check_end(&self, end: &Ending<'_>) -> Result<(), Violation> {
        end.scopes.iter().try_for_each(|scope| check_log(end, scope))
    }
}

/// Each count is in its device's field and in the common one, or in neither.
fn check_whole(replica: &ReplicaId, tally: &Value) -> Result<(), Violation> {
    let parts: i64 = tally
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != ALL)
        .filter_map(|(_, count)| count.as_i64())
        .sum();
    if tally[ALL] == json!(parts) {
        return Ok(());
    }
    Err(Violation::new("I8", format!("an event shows by halves on {replica}: {tally}")))
}

/// A device sees its own counts, each once; those that it was made to forget, and those that it dropped, only if the server
/// had got them.
fn check_own(app: &App, ledger: &Ledger, place: Place, tally: &Value) -> Result<(), Violation> {
    let scope = place.scope();
    let mine = || {
        let counts = |entry: &&Entry| entry.feature == "counters" && entry.planned.scope == scope;
        ledger.of(&app.replica).filter(counts).filter(|entry| !ledger.is_replacement(&entry.id))
    };
    let held: i64 = mine().filter(|entry| ledger.fate(&entry.id) == Standing::Held).map(by).sum();
    // Once for each event that may have carried it to the server, but for the one that must show.
    let loosely = |entry: &Entry| {
        let held = ledger.fate(&entry.id) == Standing::Held;
        let carriers = ledger.carriers(&entry.id);
        // An older copy does not know that the event is on the server already, and shows it on top.
        let sent_before = held && entry.former.contains(ledger.carrier(&entry.id)) || ledger.may_show_twice(entry);
        carriers.len() - usize::from(held) + usize::from(sent_before)
    };
    let loose: i64 = mine().map(|entry| by(entry) * i64::try_from(loosely(entry)).unwrap_or(i64::MAX)).sum();
    let loose = loose + untold(ledger, &scope);
    let seen = tally.get(own(&app.replica)).and_then(Value::as_i64).unwrap_or(0);
    if (held..=held + loose).contains(&seen) {
        return Ok(());
    }
    let what = format!("{} has counted {held} (and perhaps {loose} more) in {scope}, and sees {tally}", app.replica);
    Err(Violation::new("I6", what))
}

/// What calls that never returned may have counted.
fn untold(ledger: &Ledger, scope: &Scope) -> i64 {
    ledger
        .untold()
        .iter()
        .filter(|write| write.scope == *scope && write.key.collection.as_str() == COLLECTION)
        .filter_map(|write| write.effect["by"].as_i64())
        .sum()
}

/// The server has counted what the devices were promised: each log entry as much as the writes that it carries, and the
/// state is the sum of the log.
fn check_log(end: &Ending<'_>, scope: &FinalScope) -> Result<(), Violation> {
    let key = Place::key(COLLECTION, TALLY);
    let ledger = end.ledger;
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for write in scope.log.iter().filter(|write| write.event.key() == key) {
        let mut counted = 0;
        for op in &write.event.ops {
            let OpKind::Inc { by } = op.kind else { continue };
            let field = op.path.as_str().trim_start_matches('/').to_owned();
            counted += if field == ALL { by } else { 0 };
            *sums.entry(field).or_default() += by;
        }
        let id = &write.event.id;
        let carried = |entry: &&Entry| *ledger.carrier(&entry.id) == *id && !ledger.is_replacement(&entry.id);
        let promised: i64 = end.entries("counters", scope).filter(carried).map(by).sum();
        let loose: i64 = end
            .entries("counters", scope)
            .filter(|entry| !carried(entry) && ledger.carriers(&entry.id).contains(id))
            .map(by)
            .sum::<i64>()
            + untold(ledger, &scope.scope);
        if !(promised..=promised + loose).contains(&counted) {
            let what =
                format!("{id} counts {counted} on the server, and {promised} (perhaps {loose} more) was written");
            return Err(Violation::new("I3", what));
        }
    }
    let none = Value::Null;
    let tally = scope.state.get(&key).unwrap_or(&none);
    for (field, sum) in &sums {
        let kept = tally.get(field).and_then(Value::as_i64).unwrap_or(0);
        if kept != *sum {
            return Err(Violation::new("I3", format!("{field} is {kept} in {}, and {sum} was counted", scope.scope)));
        }
    }
    Ok(())
}
