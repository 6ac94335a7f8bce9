//! Glass: records of one digest bucket, one of which a device's disk may damage ([`Damage`](super::super::DeviceMishap::Damage)).
//! The bucket is read anew in parts while others go on writing to it, and must be the server's in the end (I4). Nothing else is
//! said of what a damaged record shows meanwhile.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{App, Attempt, Feature, Place};
use crate::model::{RecordKey, Value, bucket_of};
use crate::testing::SeededRandom;
use crate::testing::sim::config::{ACCOUNTS, Config};

/// The collection.
pub(in crate::testing::sim) const COLLECTION: &str = "glass";
/// Records of the bucket.
const PANES: usize = 4;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Glass;

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    place: Place,
    pane: usize,
}

/// The records: names that share a bucket.
fn panes() -> Vec<RecordKey> {
    let keys = || (0..).map(|number| Place::key(COLLECTION, &format!("g{number}")));
    let bucket = keys().next().map(|key| bucket_of(&key));
    keys().filter(|key| Some(bucket_of(key)) == bucket).take(PANES).collect()
}

impl Feature for Glass {
    fn name(&self) -> &'static str {
        COLLECTION
    }

    fn share(&self) -> u64 {
        40
    }

    fn draw(&self, random: &mut SeededRandom, _: &Config) -> Value {
        let pane = usize::try_from(random.below(PANES as u64)).unwrap_or(0);
        json!(Step { place: Place::draw(random), pane })
    }

    fn prepare(&self, app: &App) -> Vec<Attempt> {
        let shared = app.replica.account == ACCOUNTS[0];
        let places = Place::BOTH.into_iter().filter(|place| *place == Place::User || shared);
        let create = |place: Place, key: RecordKey| {
            let glass = place.collection(&app.client, COLLECTION);
            let id = key.record.to_string();
            let writes = vec![place.planned(COLLECTION, &id, Value::Null)];
            Attempt {
                writes,
                call: Box::pin(async move { Ok(vec![Some(glass.create(&id, json!({"by": "nobody"})).await?)]) }),
            }
        };
        places.flat_map(|place| panes().into_iter().map(move |key| create(place, key))).collect()
    }

    fn attempt(&self, app: &App, step: &Value) -> Option<Attempt> {
        let Step { place, pane } = serde_json::from_value(step.clone()).ok()?;
        let id = panes().get(pane)?.record.to_string();
        let edit = place.collection(&app.client, COLLECTION).edit(&id).set("/by", app.mark.clone());
        let writes = vec![place.planned(COLLECTION, &id, json!({"by": app.mark}))];
        Some(Attempt { writes, call: Box::pin(async move { Ok(vec![edit.commit().await?]) }) })
    }
}
