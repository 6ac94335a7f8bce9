//! Fields: records that are made, changed leaf by leaf and deleted by everybody, also under names that two devices choose at
//! once, strictly, and under every policy. Every value is written once only, so that whoever sees one can tell whose it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{App, Attempt, Feature, Place};
use crate::client::WriteOptions;
use crate::merge::LoggedWrite;
use crate::model::{Mode, OpKind, Policy, RecordKey, SyncAction, SyncEvent, Value};
use crate::platform::BoxFuture;
use crate::testing::SeededRandom;
use crate::testing::sim::checks::{Ending, FinalScope, Violation};
use crate::testing::sim::config::Config;
use crate::testing::sim::ledger::{Entry, Standing};

const COLLECTION: &str = "samples";
const LEAVES: [&str; 3] = ["/name", "/note", "/meta/key"];

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Fields;

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    place: Place,
    record: u64,
    what: What,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    strict: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<Policy>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Create,
    Set {
        leaf: usize,
    },
    Unset {
        leaf: usize,
    },
    /// Two leaves and a nested one, as a merge patch.
    Patch,
    /// The parent becomes a leaf.
    Flatten,
    Delete,
}

impl Step {
    fn record(&self) -> String {
        format!("r{}", self.record)
    }

    fn leaf(number: usize) -> &'static str {
        LEAVES[number % LEAVES.len()]
    }
}

impl Feature for Fields {
    fn name(&self) -> &'static str {
        "fields"
    }

    fn draw(&self, random: &mut SeededRandom, config: &Config) -> Value {
        let leaf = usize::try_from(random.below(LEAVES.len() as u64)).unwrap_or(0);
        let what = match random.below(20) {
            0..=4 => What::Create,
            5..=10 => What::Set { leaf },
            11 | 12 => What::Unset { leaf },
            13..=15 => What::Patch,
            16 => What::Flatten,
            _ => What::Delete,
        };
        let policies =
            [Policy::LastWriteWins, Policy::ServerWins, Policy::ClientWins, Policy::DeleteWins, Policy::UpdateWins];
        let policy = random.chance(15).then(|| policies[usize::try_from(random.below(5)).unwrap_or(0)]);
        json!(Step {
            place: Place::draw(random),
            record: random.below(config.records),
            what,
            strict: random.chance(12),
            policy,
        })
    }

    fn attempt(&self, app: &App, step: &Value) -> Option<Attempt> {
        let step: Step = serde_json::from_value(step.clone()).ok()?;
        let mode = if step.strict { Mode::Strict } else { Mode::Merge };
        let options = WriteOptions { mode, policy: step.policy, ..WriteOptions::default() };
        let samples = step.place.collection(&app.client, COLLECTION).with(options);
        let (id, mark) = (step.record(), app.mark.clone());
        let writes = vec![step.place.planned(COLLECTION, &id, json!({"mark": mark, "what": step.what}))];
        let call = async move {
            let written = match step.what {
                What::Create => samples.create(&id, json!({"name": mark, "meta": {"by": mark}})).await.map(Some),
                What::Set { leaf } => samples.edit(&id).set(Step::leaf(leaf), mark).commit().await,
                What::Unset { leaf } => samples.edit(&id).unset(Step::leaf(leaf)).commit().await,
                What::Patch => samples.update(&id, json!({"note": mark, "name": null, "meta": {"key": mark}})).await,
                What::Flatten => samples.edit(&id).set("/meta", mark).commit().await,
                What::Delete => samples.delete(&id).await.map(Some),
            };
            Ok(vec![written?])
        };
        Some(Attempt { writes, call: Box::pin(call) })
    }

    fn check_written<'a>(&'a self, app: &'a App, step: &'a Value) -> BoxFuture<'a, Result<(), Violation>> {
        Box::pin(async move {
            let Ok(step) = serde_json::from_value::<Step>(step.clone()) else { return Ok(()) };
            let Ok(seen) = step.place.collection(&app.client, COLLECTION).get(step.record()).await else {
                return Ok(());
            };
            let mark = json!(app.mark);
            let leaf = |path: &str| seen.as_ref().and_then(|doc| doc.pointer(path)).cloned();
            let shows = match step.what {
                What::Create => leaf("/name").as_ref() == Some(&mark) && leaf("/meta/by").as_ref() == Some(&mark),
                What::Set { leaf: at } => leaf(Step::leaf(at)).as_ref() == Some(&mark),
                What::Unset { leaf: at } => seen.is_some() && leaf(Step::leaf(at)).is_none(),
                What::Patch => leaf("/note").as_ref() == Some(&mark) && leaf("/name").is_none(),
                What::Flatten => leaf("/meta").as_ref() == Some(&mark),
                What::Delete => seen.is_none(),
            };
            if shows {
                return Ok(());
            }
            let what = format!("{} wrote {} by {step:?} and sees {seen:?}", app.replica, app.mark);
            Err(Violation::new("I6", what))
        })
    }

    fn check_end(&self, end: &Ending<'_>) -> Result<(), Violation> {
        end.scopes.iter().try_for_each(|scope| {
            check_arrival(end, scope)?;
            check_provenance(scope)
        })
    }
}

impl What {
    /// The leaves that it gives its mark.
    fn marked(&self) -> Vec<&'static str> {
        match self {
            Self::Create => vec!["/name", "/meta/by"],
            Self::Set { leaf } => vec![Step::leaf(*leaf)],
            Self::Patch => vec!["/note", "/meta/key"],
            Self::Flatten => vec!["/meta"],
            Self::Unset { .. } | Self::Delete => Vec::new(),
        }
    }

    /// Whether it writes at, above or below `leaf`.
    fn touches(&self, leaf: &str) -> bool {
        let overlaps = |place: &str| leaf.starts_with(place) || place.starts_with(leaf);
        match self {
            Self::Create | Self::Delete => true,
            Self::Unset { leaf } => overlaps(Step::leaf(*leaf)),
            Self::Patch => self.marked().into_iter().chain(["/name"]).any(overlaps),
            Self::Set { .. } | Self::Flatten => self.marked().into_iter().any(overlaps),
        }
    }
}

/// What was written is in the event that carries it in the end, but for what later writes of the same event took the place of (I1).
fn check_arrival(end: &Ending<'_>, scope: &FinalScope) -> Result<(), Violation> {
    let ledger = end.ledger;
    let logged: BTreeMap<_, _> = scope.log.iter().map(|write| (&write.event.id, &write.event)).collect();
    let what = |entry: &Entry| serde_json::from_value::<What>(entry.planned.effect["what"].clone()).ok();
    let entries: Vec<_> = end.entries("fields", scope).collect();
    for (at, entry) in entries.iter().enumerate() {
        let firm = ledger.fate(&entry.id) == Standing::Held && entry.former.is_empty();
        let carrier = ledger.carrier(&entry.id);
        let (Some(event), Some(wrote)) = (logged.get(carrier), what(entry)) else { continue };
        let mark = entry.planned.effect["mark"].as_str().unwrap_or_default();
        let replaced = |leaf: &str| {
            let later = entries[at + 1..].iter().filter(|later| ledger.carrier(&later.id) == carrier);
            later.filter_map(|later| what(later)).any(|later| later.touches(leaf))
        };
        let left = wrote.marked().into_iter().find(|leaf| !replaced(leaf));
        if let Some(leaf) = left.filter(|_| firm && !writes(event, mark)) {
            let what = format!("{mark} was written at {leaf} of {}, and is not in {event:?}", entry.planned.key);
            return Err(Violation::new("I1", what));
        }
    }
    Ok(())
}

/// Every value that is visible was written there, and not before a delete that its writer had not seen (I5).
fn check_provenance(scope: &FinalScope) -> Result<(), Violation> {
    for (key, doc) in scope.state.iter().filter(|(key, _)| key.collection.as_str() == COLLECTION) {
        let log: Vec<_> = scope.log.iter().filter(|write| write.event.key() == *key).collect();
        let mut values = Vec::new();
        strings(doc, &mut values);
        for value in values {
            check_value(scope, key, value, &log)?;
        }
    }
    Ok(())
}

fn check_value(scope: &FinalScope, key: &RecordKey, value: &str, log: &[&LoggedWrite]) -> Result<(), Violation> {
    let writers: Vec<_> = log.iter().filter(|write| writes(&write.event, value)).collect();
    if writers.is_empty() {
        return Err(Violation::new("I9", format!("{key} in {} shows {value}, which nobody wrote there", scope.scope)));
    }
    // Other policies let an update win over a delete.
    let plain =
        |write: &&&LoggedWrite| matches!(write.event.policy, None | Some(Policy::LastWriteWins | Policy::DeleteWins));
    if log.iter().any(|write| !plain(&write)) {
        return Ok(());
    }
    let deletes = || log.iter().filter(|write| write.event.action == SyncAction::Delete);
    let outlived = |write: &&&&LoggedWrite| deletes().all(|delete| may_outlive(write, delete, value, log));
    if writers.iter().any(|write| outlived(&write)) {
        return Ok(());
    }
    let what = format!("{key} in {} shows {value}, which was written before a delete", scope.scope);
    Err(Violation::new("I5", what))
}

/// Whether what `write` wrote may be visible though there is `delete`: its writer had seen it, or made the record anew, then or
/// in an earlier event.
fn may_outlive(write: &LoggedWrite, delete: &LoggedWrite, value: &str, log: &[&LoggedWrite]) -> bool {
    let op = write.event.ops.iter().find(|op| op_writes(&op.kind, value));
    let base = op.map_or(write.event.base, |op| write.event.base_of(op));
    delete.revision < write.revision
        && (base >= delete.revision || write.by.device == delete.by.device || makes_anew(write, delete, log))
}

/// Whether `write`'s device has made the record anew after `delete`, in this event or before it.
fn makes_anew(write: &LoggedWrite, delete: &LoggedWrite, log: &[&LoggedWrite]) -> bool {
    log.iter().any(|made| {
        let span = delete.revision + 1..=write.revision;
        made.event.action == SyncAction::Create && made.by.device == write.by.device && span.contains(&made.revision)
    })
}

fn writes(event: &SyncEvent, value: &str) -> bool {
    let mut created = Vec::new();
    if let Some(doc) = &event.doc {
        strings(doc, &mut created);
    }
    created.contains(&value) || event.ops.iter().any(|op| op_writes(&op.kind, value))
}

fn op_writes(kind: &OpKind, value: &str) -> bool {
    matches!(kind, OpKind::Set { value: set } if set.as_str() == Some(value))
}

/// All strings in a document.
fn strings<'d>(doc: &'d Value, found: &mut Vec<&'d str>) {
    match doc {
        Value::String(text) => found.push(text),
        Value::Array(values) => values.iter().for_each(|value| strings(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| strings(value, found)),
        _ => {}
    }
}
