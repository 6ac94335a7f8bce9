//! Limits: a counter that is filled and emptied in steps so large that two devices together overflow it. Neither sees that
//! before the server does, which then refuses one of them; what it took adds up (I3, I12).

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{App, Attempt, Feature, Place};
use crate::model::{OpKind, Value};
use crate::testing::SeededRandom;
use crate::testing::sim::checks::{Ending, Violation};
use crate::testing::sim::config::{ACCOUNTS, Config};

const COLLECTION: &str = "limits";
const BRIM: &str = "brim";
/// Four of them fit below the largest 64-bit integer and two above the smallest; one more does not.
const LARGE: i64 = i64::MAX / 2;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Limits;

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    place: Place,
    fill: bool,
}

impl Feature for Limits {
    fn name(&self) -> &'static str {
        "limits"
    }

    fn draw(&self, random: &mut SeededRandom, _: &Config) -> Value {
        json!(Step { place: Place::draw(random), fill: random.chance(70) })
    }

    fn prepare(&self, app: &App) -> Vec<Attempt> {
        let shared = app.replica.account == ACCOUNTS[0];
        let places = Place::BOTH.into_iter().filter(|place| *place == Place::User || shared);
        let create = |place: Place| {
            let limits = place.collection(&app.client, COLLECTION);
            let writes = vec![place.planned(COLLECTION, BRIM, Value::Null)];
            Attempt {
                writes,
                call: Box::pin(async move { Ok(vec![Some(limits.create(BRIM, json!({"n": 0})).await?)]) }),
            }
        };
        places.map(create).collect()
    }

    fn may_fail(&self, code: &str) -> bool {
        matches!(code, "not_found" | "type_mismatch")
    }

    fn attempt(&self, app: &App, step: &Value) -> Option<Attempt> {
        let Step { place, fill } = serde_json::from_value(step.clone()).ok()?;
        let by = if fill { LARGE } else { -LARGE };
        let writes = vec![place.planned(COLLECTION, BRIM, json!({"by": by}))];
        let edit = place.collection(&app.client, COLLECTION).edit(BRIM).increment("/n", by);
        Some(Attempt { writes, call: Box::pin(async move { Ok(vec![edit.commit().await?]) }) })
    }

    fn check_end(&self, end: &Ending<'_>) -> Result<(), Violation> {
        let key = Place::key(COLLECTION, BRIM);
        for scope in end.scopes {
            let Some(brim) = scope.state.get(&key) else { continue };
            let ops = scope.log.iter().filter(|write| write.event.key() == key).flat_map(|write| &write.event.ops);
            let sum: i128 = ops.map(|op| if let OpKind::Inc { by } = op.kind { i128::from(by) } else { 0 }).sum();
            let held = brim["n"].as_i64().map(i128::from).or(brim["n"].as_u64().map(i128::from));
            if held != Some(sum) {
                let what = format!("{} counts {brim}, and {sum} was taken", scope.scope);
                return Err(Violation::new("I3", what));
            }
        }
        Ok(())
    }
}
