//! Large documents, up to the limit, in a few seeds: made, grown, and counted on many times in one transaction. Whatever is
//! accepted is small enough for the server (I12), and no answer to a push tells more than a client can hold (I13).

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{App, Attempt, Feature, Place};
use crate::limits::MAX_DOCUMENT_BYTES;
use crate::model::Value;
use crate::testing::SeededRandom;
use crate::testing::sim::config::Config;

const COLLECTION: &str = "large";
const RECORDS: u64 = 2;
/// Bytes that are left for the other fields.
const REST: usize = 256;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Large;

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    record: u64,
    what: What,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    /// The text becomes one of so many 64ths of what a document may hold.
    Grow { size: usize },
    /// So many increments in one transaction.
    Burst { events: usize },
    /// One edit that sets the text so many times, each time to one that is nearly as long as a document may be.
    Flood { times: usize },
}

/// A text of `size` 64ths of what a document may hold; another one for each `number`.
fn text(size: usize, number: usize) -> String {
    format!("{number}{}", "x".repeat((MAX_DOCUMENT_BYTES - REST) / 64 * size.min(64)))
}

impl Feature for Large {
    fn name(&self) -> &'static str {
        "large"
    }

    fn share(&self) -> u64 {
        1
    }

    fn draw(&self, random: &mut SeededRandom, _: &Config) -> Value {
        let pick = |random: &mut SeededRandom, most: u64| usize::try_from(1 + random.below(most)).unwrap_or(1);
        let what = match random.below(4) {
            0 => What::Grow { size: pick(random, 64) },
            1 => What::Flood { times: 4 + pick(random, 4) },
            _ => What::Burst { events: pick(random, 16) },
        };
        json!(Step { record: random.below(RECORDS), what })
    }

    fn prepare(&self, app: &App) -> Vec<Attempt> {
        let create = |record: u64| {
            let (id, large) = (format!("l{record}"), Place::User.collection(&app.client, COLLECTION));
            let writes = vec![Place::User.planned(COLLECTION, &id, Value::Null)];
            let doc = json!({"n": 0, "text": text(60, 0)});
            Attempt { writes, call: Box::pin(async move { Ok(vec![Some(large.create(&id, doc).await?)]) }) }
        };
        (0..RECORDS).map(create).collect()
    }

    fn may_fail(&self, code: &str) -> bool {
        // A replica that has lost its store knows no record yet.
        matches!(code, "not_found" | "push_too_large")
    }

    fn attempt(&self, app: &App, step: &Value) -> Option<Attempt> {
        let Step { record, what } = serde_json::from_value(step.clone()).ok()?;
        let (id, large) = (format!("l{record}"), Place::User.collection(&app.client, COLLECTION));
        let planned = || Place::User.planned(COLLECTION, &id, Value::Null);
        Some(match what {
            What::Grow { size } => {
                let edit = large.edit(&id).set("/text", text(size, 0));
                Attempt { writes: vec![planned()], call: Box::pin(async move { Ok(vec![edit.commit().await?]) }) }
            }
            What::Flood { times } => {
                let edit = (0..times).fold(large.edit(&id), |edit, number| edit.set("/text", text(63, number)));
                Attempt { writes: vec![planned()], call: Box::pin(async move { Ok(vec![edit.commit().await?]) }) }
            }
            What::Burst { events } => {
                let writes = (0..events).map(|_| planned()).collect();
                let count = |group: crate::client::Transaction| group.edit(&large, &id, |edit| edit.increment("/n", 1));
                let group = (0..events).fold(app.client.transaction(), |group, _| count(group));
                Attempt { writes, call: Box::pin(group.commit()) }
            }
        })
    }
}
