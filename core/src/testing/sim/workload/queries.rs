//! Queries: records that are found by an index, in an order, and in pages, at any moment what a look at every record finds (I4
//! of the index; I6), also where the filter changes from one page to the next.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{App, Attempt, Feature, Place};
use crate::Collection;
use crate::client::Reading;
use crate::error::Result as CallResult;
use crate::model::Value;
use crate::platform::BoxFuture;
use crate::query::{Filter, QueryPage, and, eq, ge, is_in};
use crate::testing::SeededRandom;
use crate::testing::sim::checks::Violation;
use crate::testing::sim::config::Config;
use crate::testing::sim::ledger::Ledger;

/// The collection; [`INDEX`] is declared on it.
pub(in crate::testing::sim) const COLLECTION: &str = "library";
/// The fields of the index.
pub(in crate::testing::sim) const INDEX: [&str; 2] = ["/category", "/bpm"];
const CATEGORIES: [&str; 3] = ["bd", "sn", "hh"];

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Queries;

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    place: Place,
    record: u64,
    what: What,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Create { category: usize, bpm: u64 },
    Move { category: usize },
    Tempo { bpm: u64 },
    NoTempo,
    Delete,
}

impl Feature for Queries {
    fn name(&self) -> &'static str {
        "queries"
    }

    fn draw(&self, random: &mut SeededRandom, _: &Config) -> Value {
        let category = usize::try_from(random.below(CATEGORIES.len() as u64)).unwrap_or(0);
        let bpm = 100 + random.below(6);
        let what = match random.below(12) {
            0..=4 => What::Create { category, bpm },
            5 | 6 => What::Move { category },
            7 | 8 => What::Tempo { bpm },
            9 => What::NoTempo,
            _ => What::Delete,
        };
        json!(Step { place: Place::draw(random), record: random.below(7), what })
    }

    fn attempt(&self, app: &App, step: &Value) -> Option<Attempt> {
        let Step { place, record, what } = serde_json::from_value(step.clone()).ok()?;
        let (id, library) = (format!("q{record}"), place.collection(&app.client, COLLECTION));
        let category = |at: usize| CATEGORIES[at % CATEGORIES.len()];
        let writes = vec![place.planned(COLLECTION, &id, Value::Null)];
        let call = async move {
            let written = match what {
                What::Create { category: at, bpm } => {
                    library.create(&id, json!({"category": category(at), "bpm": bpm})).await.map(Some)
                }
                What::Move { category: at } => library.update(&id, json!({"category": category(at)})).await,
                What::Tempo { bpm } => library.edit(&id).set("/bpm", bpm).commit().await,
                What::NoTempo => library.edit(&id).unset("/bpm").commit().await,
                What::Delete => library.delete(&id).await.map(Some),
            };
            Ok(vec![written?])
        };
        Some(Attempt { writes, call: Box::pin(call) })
    }

    fn check_device<'a>(&'a self, app: &'a App, ledger: &'a Ledger) -> BoxFuture<'a, Result<(), Violation>> {
        Box::pin(async move {
            for place in Place::BOTH {
                let library = place.collection(&app.client, COLLECTION);
                // A scope that is lost cannot be read.
                let Ok(answers) = ask(&library, ledger.entries().len()).await else { continue };
                for (question, found, expected) in answers {
                    if found != expected {
                        let what = format!("{} finds {found:?} by {question}, and there is {expected:?}", app.replica);
                        return Err(Violation::new("I6", what));
                    }
                }
            }
            Ok(())
        })
    }
}

/// How a filter changes: from which of the filters to which, in which order.
const TURNS: [(usize, usize, &[&str]); 6] = [
    (2, 1, &["/category", "/bpm"]),
    (2, 0, &["/category", "/bpm"]),
    (2, 1, &["/category"]),
    (1, 2, &["/category", "/bpm"]),
    (0, 2, &["/bpm"]),
    (2, 1, &["/bpm"]),
];

/// Records by id.
type Found = Vec<(String, Value)>;
type Answer = (String, Found, Found);

/// Each question with what the query finds, in pages of two, and what there is. The `turn` decides in which pagination the
/// filter changes.
async fn ask(library: &Collection, turn: usize) -> CallResult<Vec<Answer>> {
    // Record by record, past every index and every plan.
    let mut there = Found::new();
    for number in 0..7 {
        let id = format!("q{number}");
        there.extend(library.get(&id).await?.map(|doc| (id, doc)));
    }
    let filters = [
        eq("/category", CATEGORIES[0]),
        and([eq("/category", CATEGORIES[1]), ge("/bpm", 102)]),
        is_in("/category", CATEGORIES),
    ];
    let mut answers = Vec::new();
    for filter in &filters {
        let page = library.query().filter(filter.clone()).order_by("/bpm").limit(2).page().await?;
        let found = read_on(library, &["/bpm"], filter, page).await?;
        answers.push((format!("{filter:?}"), found, expected(&there, &["/bpm"], filter, None)));
    }
    let (first, then, order) = TURNS[turn % TURNS.len()];
    let (first, then) = (&filters[first], &filters[then]);
    let page = ordered(library, order).filter(first.clone()).limit(2).page().await?;
    if let Some((last, next)) = page.records.last().zip(page.next) {
        let last = (last.id.to_string(), last.doc.clone());
        let page = ordered(library, order).filter(then.clone()).limit(2).after(next).page().await?;
        let found = read_on(library, order, then, page).await?;
        let question = format!("{first:?} up to {last:?}, then {then:?}, ordered by {order:?}");
        answers.push((question, found, expected(&there, order, then, Some(&last))));
    }
    Ok(answers)
}

fn ordered(library: &Collection, order: &[&str]) -> Reading {
    order.iter().fold(library.query(), |query, path| query.order_by(*path))
}

/// A page and all that come after it.
async fn read_on(library: &Collection, order: &[&str], filter: &Filter, mut page: QueryPage) -> CallResult<Found> {
    let mut found = Found::new();
    loop {
        found.extend(page.records.into_iter().map(|record| (record.id.to_string(), record.doc)));
        let Some(next) = page.next else { return Ok(found) };
        page = ordered(library, order).filter(filter.clone()).limit(2).after(next).page().await?;
    }
}

/// What of `there` a query must find after `last`.
fn expected(there: &Found, order: &[&str], filter: &Filter, last: Option<&(String, Value)>) -> Found {
    // What has no tempo comes first, then by number; ids decide between equals.
    let place = |(id, doc): &(String, Value)| {
        let fields: Vec<_> = order.iter().map(|path| doc.pointer(path).map(Value::to_string)).collect();
        (fields, id.clone())
    };
    let after = |record: &&(String, Value)| last.is_none_or(|last| place(record) > place(last));
    let mut expected: Found = there.iter().filter(|(_, doc)| filter.matches(doc)).filter(after).cloned().collect();
    expected.sort_by_key(place);
    expected
}
