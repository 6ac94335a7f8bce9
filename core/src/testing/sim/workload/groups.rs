//! Groups: two records that transactions alone write, both by the same amount. Wherever a replica is consistent, and to the
//! writer at any time, they are equal (I8).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{App, Attempt, Feature, Place};
use crate::model::{EventId, RecordKey, Value};
use crate::platform::BoxFuture;
use crate::replica::rows::Outcome;
use crate::testing::SeededRandom;
use crate::testing::sim::checks::{Ending, FinalScope, Violation};
use crate::testing::sim::config::{ACCOUNTS, Config};
use crate::testing::sim::ledger::{Entry, Ledger, Standing};

const COLLECTION: &str = "pairs";
const PAIR: [&str; 2] = ["left", "right"];

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Groups;

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    place: Place,
    by: i64,
    /// Other records that the transaction makes besides.
    more: u64,
    /// The second half is to be refused if another writer was there before: then so is the first.
    #[serde(default)]
    strict: bool,
}

fn own(app: &App) -> String {
    format!("{}-d{}", app.replica.account, app.replica.device)
}

impl Feature for Groups {
    fn name(&self) -> &'static str {
        "groups"
    }

    fn draw(&self, random: &mut SeededRandom, _: &Config) -> Value {
        let by = i64::try_from(random.below(9)).unwrap_or(0) + 1;
        let more = if random.chance(30) { random.below(4) } else { 0 };
        json!(Step { place: Place::draw(random), by, more, strict: random.chance(25) })
    }

    fn prepare(&self, app: &App) -> Vec<Attempt> {
        let shared = app.replica.account == ACCOUNTS[0];
        let places = Place::BOTH.into_iter().filter(|place| *place == Place::User || shared);
        let create = |place: Place| {
            let pairs = place.collection(&app.client, COLLECTION);
            let mut group = app.client.transaction();
            for id in PAIR {
                group = group.create(&pairs, id, json!({"n": 0}));
            }
            let writes = PAIR.iter().map(|id| place.planned(COLLECTION, id, Value::Null)).collect();
            Attempt { writes, call: Box::pin(group.commit()) }
        };
        places.map(create).collect()
    }

    fn may_fail(&self, code: &str) -> bool {
        code == "not_found"
    }

    fn attempt(&self, app: &App, step: &Value) -> Option<Attempt> {
        let Step { place, by, more, strict } = serde_json::from_value(step.clone()).ok()?;
        let pairs = place.collection(&app.client, COLLECTION);
        let mut group = app.client.transaction();
        let mut writes = Vec::new();
        for (id, pairs) in PAIR.into_iter().zip([pairs.clone(), if strict { pairs.strict() } else { pairs.clone() }]) {
            let field = format!("/{}", own(app));
            group = group.edit(&pairs, id, |edit| edit.increment("/n", by).increment(field, by));
            writes.push(place.planned(COLLECTION, id, json!({"by": by})));
        }
        for number in 0..more {
            let id = format!("{}-{number}", app.mark);
            group = group.create(&pairs, &id, json!({"by": app.mark}));
            writes.push(place.planned(COLLECTION, &id, json!({"made": true})));
        }
        Some(Attempt { writes, call: Box::pin(group.commit()) })
    }

    fn check_device<'a>(&'a self, app: &'a App, ledger: &'a Ledger) -> BoxFuture<'a, Result<(), Violation>> {
        Box::pin(async move {
            // What a replica was made to forget it pulls like anybody else's.
            let forgot =
                ledger.of(&app.replica).any(|entry| matches!(entry.standing, Standing::Lost | Standing::Unsent));
            // An older copy does not know that a group was replaced since, and shows what it had parked on top.
            let outdated = |entry: &Entry| matches!(entry.last, Some(Outcome::Pending { .. } | Outcome::Parked { .. }));
            if ledger.of(&app.replica).any(|entry| !entry.former.is_empty() && outdated(entry)) {
                return Ok(());
            }
            for place in Place::BOTH {
                let status = app.client.status();
                let consistent = status.scopes.get(&place.scope()).is_some_and(|scope| scope.consistent);
                let pairs = place.collection(&app.client, COLLECTION);
                let (Ok(left), Ok(right)) = (pairs.get(PAIR[0]).await, pairs.get(PAIR[1]).await) else { continue };
                let field = own(app);
                let own = |half: &Option<Value>| half.as_ref().and_then(|half| half.get(&field).cloned());
                let whole = left == right || !consistent;
                let own_whole = own(&left) == own(&right) || (forgot && !consistent);
                if !whole || !own_whole {
                    let what = format!("a group shows by halves on {}: {left:?} and {right:?}", app.replica);
                    return Err(Violation::new("I8", what));
                }
            }
            Ok(())
        })
    }

    fn check_end(&self, end: &Ending<'_>) -> Result<(), Violation> {
        end.scopes.iter().try_for_each(|scope| check_server(end, scope))
    }
}

/// On the server: the pair is equal, and of each transaction all is in the log or nothing, in one piece.
fn check_server(end: &Ending<'_>, scope: &FinalScope) -> Result<(), Violation> {
    let [left, right] = PAIR.map(|id| scope.state.get(&Place::key(COLLECTION, id)));
    if left != right {
        return Err(Violation::new(
            "I8",
            format!("a group is applied by halves in {}: {left:?}, {right:?}", scope.scope),
        ));
    }
    let logged: BTreeSet<&EventId> = scope.log.iter().map(|write| &write.event.id).collect();
    // Of each call, by record: after a set-back an event and its replacement may both be known.
    let mut units: BTreeMap<u64, BTreeMap<&RecordKey, bool>> = BTreeMap::new();
    for entry in end.entries("groups", scope).filter(|entry| entry.next.is_none() && entry.standing != Standing::Unsent)
    {
        *units.entry(entry.unit).or_default().entry(&entry.planned.key).or_default() |= logged.contains(&entry.id);
    }
    let halved = |there: &BTreeMap<_, bool>| there.values().any(|there| *there) && !there.values().all(|there| *there);
    match units.iter().find(|(_, there)| halved(there)) {
        None => Ok(()),
        Some((unit, there)) => {
            Err(Violation::new("I8", format!("of the events of call {unit} in the log are {there:?}")))
        }
    }
}
