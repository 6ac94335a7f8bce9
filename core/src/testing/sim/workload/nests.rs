//! Nests: a counter and a set below objects that are assigned, removed and made anew while others count and tag. A rule of its
//! own, made of nothing but the log, says what must be there in the end (I3): what a later writer had seen may be gone; what
//! met an assignment of its parent counts, or a conflict tells of it; everything else counts, once.
//!
//! A step counts by a power of 16, so that the sum tells how often each of them is in it.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{App, Attempt, Feature, Place};
use crate::merge::LoggedWrite;
use crate::model::{Op, OpKind, Value};
use crate::testing::SeededRandom;
use crate::testing::sim::checks::{Ending, FinalScope, Violation};
use crate::testing::sim::config::{ACCOUNTS, Config};

const COLLECTION: &str = "nests";
const NEST: &str = "nest";
const STATS: &str = "/stats";
const PLAYS: &str = "/stats/plays";
const META: &str = "/meta";
const TAGS: &str = "/meta/tags";
/// Hexadecimal digits of a sum that are told apart.
const DIGITS: u32 = 15;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Nests;

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    place: Place,
    what: What,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    /// Counts by 16 to this power.
    Count { digit: u32 },
    /// Sets the counter to 0.
    Zero,
    /// The counter becomes a text.
    Text,
    /// The counter is removed.
    Uncount,
    /// The counter's parent becomes an object with a counter of 0.
    Stats,
    /// It becomes a text.
    Flatten,
    /// It is removed.
    Unstats,
    /// A tag that nobody else writes.
    Tag,
    /// The set's parent becomes an object with one tag.
    Meta,
    /// It is removed.
    Unmeta,
    /// The set is removed.
    Untag,
}

impl Feature for Nests {
    fn name(&self) -> &'static str {
        "nests"
    }

    fn draw(&self, random: &mut SeededRandom, _: &Config) -> Value {
        let digit = u32::try_from(random.below(u64::from(DIGITS))).unwrap_or(0);
        let what = match random.below(24) {
            0..=8 => What::Count { digit },
            9 => What::Zero,
            10 => What::Text,
            11 => What::Uncount,
            12 | 13 => What::Stats,
            14 => What::Flatten,
            15 => What::Unstats,
            16..=19 => What::Tag,
            20 | 21 => What::Meta,
            22 => What::Unmeta,
            _ => What::Untag,
        };
        json!(Step { place: Place::draw(random), what })
    }

    fn prepare(&self, app: &App) -> Vec<Attempt> {
        let shared = app.replica.account == ACCOUNTS[0];
        let places = Place::BOTH.into_iter().filter(|place| *place == Place::User || shared);
        let create = |place: Place| {
            let nests = place.collection(&app.client, COLLECTION);
            let writes = vec![place.planned(COLLECTION, NEST, Value::Null)];
            let doc = json!({"stats": {"plays": 0}, "meta": {"tags": []}});
            Attempt { writes, call: Box::pin(async move { Ok(vec![Some(nests.create(NEST, doc).await?)]) }) }
        };
        places.map(create).collect()
    }

    fn attempt(&self, app: &App, step: &Value) -> Option<Attempt> {
        let Step { place, what } = serde_json::from_value(step.clone()).ok()?;
        let edit = place.collection(&app.client, COLLECTION).edit(NEST);
        let mark = app.mark.clone();
        let edit = match what {
            What::Count { digit } => edit.increment(PLAYS, 16_i64.pow(digit.min(DIGITS - 1))),
            What::Zero => edit.set(PLAYS, 0),
            What::Text => edit.set(PLAYS, mark),
            What::Uncount => edit.unset(PLAYS),
            What::Stats => edit.set(STATS, json!({"plays": 0})),
            What::Flatten => edit.set(STATS, mark),
            What::Unstats => edit.unset(STATS),
            What::Tag => edit.add(TAGS, [mark]),
            What::Meta => edit.set(META, json!({"tags": [mark]})),
            What::Unmeta => edit.unset(META),
            What::Untag => edit.unset(TAGS),
        };
        let writes = vec![place.planned(COLLECTION, NEST, json!({"what": what}))];
        Some(Attempt { writes, call: Box::pin(async move { Ok(vec![edit.commit().await?]) }) })
    }

    fn check_end(&self, end: &Ending<'_>) -> Result<(), Violation> {
        end.scopes.iter().try_for_each(|scope| {
            let log = History::of(scope);
            let none = Value::Null;
            let nest = scope.state.get(&Place::key(COLLECTION, NEST)).unwrap_or(&none);
            check_count(scope, &log, nest)?;
            check_tags(scope, &log, nest)
        })
    }
}

/// Every operation on the nest, in the order in which the server took them.
struct History<'l>(Vec<Touch<'l>>);

/// One operation.
#[derive(Clone, Copy)]
struct Touch<'l> {
    write: &'l LoggedWrite,
    op: &'l Op,
    /// Its place in its event.
    at: usize,
}

/// What became of an operation that adds something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lot {
    /// It must be there.
    Counts,
    /// It must be there, or a conflict tells of it.
    CountsOrIsNoted,
    /// Somebody who had seen it has taken it away.
    MayBeGone,
}

impl<'l> History<'l> {
    fn of(scope: &'l FinalScope) -> Self {
        let key = Place::key(COLLECTION, NEST);
        let writes = scope.log.iter().filter(|write| write.event.key() == key);
        Self(
            writes
                .flat_map(|write| write.event.ops.iter().enumerate().map(move |(at, op)| Touch { write, op, at }))
                .collect(),
        )
    }

    /// What the rule says of `touch`, which adds something at a path.
    fn lot(&self, touch: Touch<'l>) -> Lot {
        let takers = || self.0.iter().filter(|taker| taker.takes_from(touch));
        if takers().any(|taker| taker.saw(touch)) {
            Lot::MayBeGone
        } else if takers().any(|taker| !touch.saw(*taker) && !taker.is_number_at(touch)) {
            Lot::CountsOrIsNoted
        } else {
            Lot::Counts
        }
    }

    /// Whether some conflict tells that `touch` has lost: by itself, or in a value that lost with all that had been added to it.
    fn tells_of(&self, touch: Touch<'l>, is_in: impl Fn(&Value) -> bool) -> bool {
        let mut losers = self.0.iter().flat_map(|other| &other.write.decisions).map(|decision| &decision.loser);
        losers.any(|loser| loser.revision == touch.write.revision || loser.value.as_ref().is_some_and(&is_in))
    }
}

impl Touch<'_> {
    /// Whether its writer had seen what `other` did.
    fn saw(self, other: Touch<'_>) -> bool {
        let (mine, theirs) = (self.write, other.write);
        let before = (theirs.revision, other.at) < (mine.revision, self.at);
        mine.event.base_of(self.op) >= theirs.revision || mine.by.device == theirs.by.device && before
    }

    /// Whether it assigns or removes at the path of `other`, or above.
    fn takes_from(self, other: Touch<'_>) -> bool {
        let assigns = matches!(self.op.kind, OpKind::Set { .. } | OpKind::Unset);
        assigns && (self.op.path == other.op.path || other.op.path.is_below(&self.op.path))
    }

    /// A concurrent number keeps what is counted beside it on top.
    fn is_number_at(self, other: Touch<'_>) -> bool {
        let number = matches!(&self.op.kind, OpKind::Set { value } if value.is_number());
        number && self.op.path == other.op.path
    }
}

fn digits_of(number: u64) -> [u64; DIGITS as usize] {
    std::array::from_fn(|at| number >> (4 * at) & 0xf)
}

/// What a counter, or its parent, counts.
fn counted_in(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.get("plays")?.as_u64()).unwrap_or(0)
}

fn check_count(scope: &FinalScope, log: &History<'_>, nest: &Value) -> Result<(), Violation> {
    // Per digit: what must be counted, what may be, and what some conflict has to tell of if it is not.
    let mut bounds = [(0, 0, 0, 0); DIGITS as usize];
    for touch in &log.0 {
        let OpKind::Inc { by } = touch.op.kind else { continue };
        let lot = log.lot(*touch);
        for (at, digit) in digits_of(u64::try_from(by).unwrap_or(0)).into_iter().enumerate() {
            let is_in = |loser: &Value| digits_of(counted_in(loser))[at] >= digit;
            let bound = &mut bounds[at];
            bound.0 += if lot == Lot::Counts { digit } else { 0 };
            bound.1 += digit;
            bound.2 += if lot == Lot::MayBeGone { 0 } else { digit };
            bound.3 += if lot == Lot::CountsOrIsNoted && log.tells_of(*touch, is_in) { digit } else { 0 };
        }
    }
    if bounds.iter().any(|(_, most, _, _)| *most > 0xf) {
        // The sum does not tell them apart.
        return Ok(());
    }
    let counted = digits_of(nest.pointer(PLAYS).and_then(Value::as_u64).unwrap_or(0));
    for (digit, ((must, most, told, noted), counted)) in bounds.into_iter().zip(counted).enumerate() {
        if !(must..=most).contains(&counted) || counted + noted < told {
            let what = format!(
                "of the counts by 16^{digit} in {} {must} to {most} are due, all but {noted} of {told} if no conflict tells of \
                 them, and {counted} are in {nest}",
                scope.scope
            );
            return Err(Violation::new("I3", what));
        }
    }
    Ok(())
}

/// Whether a set, or its parent, holds a tag.
fn holds(value: &Value, tag: &Value) -> bool {
    let set = value.as_array().or_else(|| value.get("tags")?.as_array());
    set.is_some_and(|set| set.contains(tag))
}

fn check_tags(scope: &FinalScope, log: &History<'_>, nest: &Value) -> Result<(), Violation> {
    let shown: Vec<_> = nest.pointer(TAGS).and_then(Value::as_array).into_iter().flatten().collect();
    for touch in &log.0 {
        let OpKind::Add { values } = &touch.op.kind else { continue };
        let lot = log.lot(*touch);
        for tag in values {
            let count = shown.iter().filter(|shown| **shown == tag).count();
            let missing = match lot {
                Lot::Counts => count == 0,
                Lot::CountsOrIsNoted => count == 0 && !log.tells_of(*touch, |loser| holds(loser, tag)),
                Lot::MayBeGone => false,
            };
            if missing || count > 1 {
                let what = format!("{tag} is {count} times in {} of {}, and no conflict tells why", nest, scope.scope);
                return Err(Violation::new("I3", what));
            }
        }
    }
    Ok(())
}
