//! Dependencies: records that are made after other events, of any feature, whatever becomes of those. Where both took effect,
//! they did so in that order (I7).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{App, Attempt, Feature, Place};
use crate::model::{EventId, Value};
use crate::replica::rows::Outcome;
use crate::testing::SeededRandom;
use crate::testing::sim::checks::{Ending, FinalScope, Violation};
use crate::testing::sim::config::Config;
use crate::testing::sim::ledger::{Entry, Standing};

const COLLECTION: &str = "steps";

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Dependencies;

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    place: Place,
    /// Which of the last events it waits for, counted back.
    after: Vec<usize>,
    /// Beyond the scope, which is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    elsewhere: bool,
}

impl Feature for Dependencies {
    fn name(&self) -> &'static str {
        "dependencies"
    }

    fn draw(&self, random: &mut SeededRandom, _: &Config) -> Value {
        let count = 1 + random.below(2);
        let after = (0..count).map(|_| usize::try_from(random.below(4)).unwrap_or(0)).collect();
        json!(Step { place: Place::draw(random), after, elsewhere: random.chance(6) })
    }

    fn attempt(&self, app: &App, step: &Value) -> Option<Attempt> {
        let step: Step = serde_json::from_value(step.clone()).ok()?;
        let scope = step.place.scope();
        let known: Vec<&EventId> =
            app.recent.iter().filter(|(_, event)| (event.scope == scope) != step.elsewhere).map(|(id, _)| id).collect();
        let after: Vec<EventId> =
            step.after.iter().filter_map(|back| known.get(*back)).map(|id| (*id).clone()).collect();
        let names: Vec<_> = after.iter().map(ToString::to_string).collect();
        let id = app.mark.clone();
        if step.elsewhere {
            if after.is_empty() {
                return None;
            }
            let (client, steps) = (app.client.clone(), step.place.collection(&app.client, COLLECTION));
            return Some(Attempt::refused(async move {
                let mut stranger = EventId::new("nobody")?;
                for id in after {
                    // What is forgotten is taken for settled, wherever it was; what waits is not forgotten meanwhile.
                    let waits = |outcome: Outcome| matches!(outcome, Outcome::Pending { .. } | Outcome::Parked { .. });
                    if client.outcome(&id).await?.is_some_and(waits) {
                        stranger = id;
                    }
                }
                steps.after([stranger]).create(&id, json!({})).await.map(drop)
            }));
        }
        let writes = vec![step.place.planned(COLLECTION, &id, json!({"after": names}))];
        let steps = step.place.collection(&app.client, COLLECTION).after(after);
        Some(Attempt {
            writes,
            call: Box::pin(async move { Ok(vec![Some(steps.create(&id, json!({"by": id})).await?)]) }),
        })
    }

    fn expects(&self, step: &Value) -> Option<&'static str> {
        (step["elsewhere"] == json!(true)).then_some("event_state")
    }

    fn check_end(&self, end: &Ending<'_>) -> Result<(), Violation> {
        end.scopes.iter().try_for_each(|scope| check_order(end, scope))
    }
}

fn check_order(end: &Ending<'_>, scope: &FinalScope) -> Result<(), Violation> {
    let order: BTreeMap<&EventId, usize> = scope.log.iter().map(|write| &write.event.id).zip(0..).collect();
    // A replica that was set back has forgotten that something waited, or what for.
    let ledger = end.ledger;
    let firm = |id: &EventId| {
        ledger.fate(id) == Standing::Held
            && ledger.entry(id).is_some_and(|entry| entry.former.is_empty() && !ledger.is_replacement(id))
    };
    let waited = |entry: &&Entry| firm(&entry.id) && entry.next.is_none();
    for entry in end.entries("dependencies", scope).filter(waited) {
        let Some(at) = order.get(&entry.id) else { continue };
        for id in entry.planned.effect["after"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let Some(dependency) = EventId::new(id).ok().filter(|id| firm(id)) else { continue };
            let carrier = ledger.carrier(&dependency);
            if order.get(carrier).is_some_and(|before| before > at) {
                let what = format!("{} waited for {dependency} ({carrier}), and took effect before it", entry.id);
                return Err(Violation::new("I7", what));
            }
        }
    }
    Ok(())
}
