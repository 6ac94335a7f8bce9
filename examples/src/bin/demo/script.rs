//! What the two devices do while they are offline: the same records, seen by neither from the other.

use serde_json::{Value, json};
use unisono_examples::library::Sample;

use crate::wire::{Change, Edit};

/// One encounter: what each device does to one record.
#[derive(Debug)]
pub struct Encounter {
    pub title: &'static str,
    pub record: String,
    pub a: Change,
    pub b: Change,
}

/// The offline work of both devices.
#[derive(Debug)]
pub struct Script {
    pub encounters: Vec<Encounter>,
    /// Besides: A rates every third record of the rest, …
    pub ratings: Vec<Edit>,
    /// … and B tags every fourth, so that every twelfth gets both.
    pub tags: Vec<Edit>,
}

/// Fewest records that the script can be played with.
pub const MIN_RECORDS: usize = 24;

impl Script {
    /// The script for a library; `None` if it has fewer than [`MIN_RECORDS`] records.
    pub fn new(samples: &[Sample]) -> Option<Self> {
        if samples.len() < MIN_RECORDS {
            return None;
        }
        // Spread over the library, so that different kinds of samples are met.
        let mut cast = samples.iter().step_by(samples.len() / 5);
        let mut next = || cast.next();
        let (many, name, counter, tags, delete) = (next()?, next()?, next()?, next()?, next()?);
        let set = |path: &str, value: Value| Change::Set { path: path.into(), value };
        let renamed = |sample: &Sample, with: &str| {
            let old = sample.doc["name"].as_str().unwrap_or(&sample.id);
            set("/name", json!(format!("{old} ({with})")))
        };
        let encounters = vec![
            Encounter {
                title: "different fields",
                record: many.id.clone(),
                a: set("/rating", json!(5)),
                b: set("/note", json!("long tail, cut at 2 s")),
            },
            Encounter {
                title: "the same field",
                record: name.id.clone(),
                a: renamed(name, "dry"),
                b: renamed(name, "room"),
            },
            Encounter {
                title: "a counter",
                record: counter.id.clone(),
                a: Change::Increment { path: "/plays".into(), by: 3 },
                b: Change::Increment { path: "/plays".into(), by: 4 },
            },
            Encounter { title: "tags", record: tags.id.clone(), a: added(["808", "club"]), b: added(["club", "dark"]) },
            Encounter {
                title: "delete against edit",
                record: delete.id.clone(),
                a: Change::Delete,
                b: set("/rating", json!(4)),
            },
            Encounter {
                title: "one new name, twice",
                record: "field_rain.flac".into(),
                a: Change::Create { doc: field_recording(json!({"name": "field rain", "recorder": "A"})) },
                b: Change::Create { doc: field_recording(json!({"name": "rain on tin", "place": "shed"})) },
            },
        ];
        let met = |id: &str| encounters.iter().any(|encounter| encounter.record == id);
        let rest: Vec<_> = samples.iter().filter(|sample| !met(&sample.id)).collect();
        let ratings = rest
            .iter()
            .step_by(3)
            .zip((1..=5).cycle())
            .map(|(sample, stars)| Edit { record: sample.id.clone(), change: set("/rating", json!(stars)) });
        let ratings = ratings.collect();
        let tags = rest.iter().step_by(4).map(|sample| Edit {
            record: sample.id.clone(),
            change: added([sample.doc["category"].as_str().unwrap_or("misc"), "live set"]),
        });
        let tags = tags.collect();
        Some(Self { encounters, ratings, tags })
    }

    /// Everything that A does.
    pub fn of_a(&self) -> Vec<Edit> {
        let own = self.encounters.iter().map(|met| Edit { record: met.record.clone(), change: met.a.clone() });
        own.chain(self.ratings.iter().cloned()).collect()
    }

    /// Everything that B does.
    pub fn of_b(&self) -> Vec<Edit> {
        let own = self.encounters.iter().map(|met| Edit { record: met.record.clone(), change: met.b.clone() });
        own.chain(self.tags.iter().cloned()).collect()
    }
}

fn added<'a>(tags: impl IntoIterator<Item = &'a str>) -> Change {
    Change::Add { path: "/tags".into(), values: tags.into_iter().map(str::to_owned).collect() }
}

fn field_recording(mut own: Value) -> Value {
    let common =
        json!({"category": "field", "kind": "one-shot", "format": "FLAC", "sample_rate": 48_000, "channels": 2});
    if let (Some(own), Some(common)) = (own.as_object_mut(), common.as_object()) {
        own.extend(common.clone());
    }
    own
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use unisono_examples::library::Library;

    use super::*;

    #[test]
    fn the_encounters_are_about_records_of_their_own() {
        let library = Library::embedded().unwrap();
        for count in [MIN_RECORDS, 25, 207, 1_000] {
            let samples: Vec<_> = library.samples().take(count).collect();
            let script = Script::new(&samples).unwrap();
            let met: BTreeSet<_> = script.encounters.iter().map(|met| &met.record).collect();
            assert_eq!(met.len(), script.encounters.len(), "{count} records");
            assert!(script.ratings.iter().chain(&script.tags).all(|edit| !met.contains(&edit.record)));
        }
        let few: Vec<_> = library.samples().take(MIN_RECORDS - 1).collect();
        assert!(Script::new(&few).is_none());
    }

    #[test]
    fn some_records_are_rated_by_one_and_tagged_by_the_other() {
        let samples: Vec<_> = Library::embedded().unwrap().samples().take(207).collect();
        let script = Script::new(&samples).unwrap();
        let rated: BTreeSet<_> = script.ratings.iter().map(|edit| &edit.record).collect();
        assert!(script.tags.iter().any(|edit| rated.contains(&edit.record)));
    }
}
