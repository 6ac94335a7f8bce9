//! Intake: raw events become events, one by one, so that a malformed one harms no other.

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use unisono::clock::Stamp;
use unisono::error::InvalidCode;
use unisono::limits::{MAX_GROUP_EVENTS, MAX_PUSH_BYTES, MAX_PUSH_BYTES_HARD, MAX_PUSH_EVENTS};
use unisono::model::value::hex;
use unisono::model::{CollectionName, EventId, GroupId, Pointer, RecordId, RecordKey, SyncEvent, Value};
use unisono::protocol::{Problem, ProblemCode};

/// One event of a push.
pub(super) struct Intake {
    pub(super) id: EventId,
    /// Identifies its content.
    pub(super) hash: String,
    /// The record, where it could be read.
    pub(super) key: Option<RecordKey>,
    /// The group, where it could be read.
    pub(super) group: Option<GroupId>,
    /// The admitted event, or why it is rejected.
    pub(super) content: Result<SyncEvent, Fault>,
}

/// Why an event is rejected whatever the records are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// What is wrong with an event's content.
    pub(super) fn of(error: &unisono::Error) -> Self {
        let code = match error {
            unisono::Error::Invalid { code, .. } => code.as_str(),
            _ => InvalidCode::EventShape.as_str(),
        };
        Self::new(code, error.to_string())
    }
}

/// Reads a push's events.
///
/// # Errors
/// `413 push_too_large`; `400 malformed_event` if the id of one cannot be read, since then no receipt can name it.
pub(super) fn take_in(raw: &[Box<RawValue>]) -> Result<Vec<Intake>, Problem> {
    let bytes: usize = raw.iter().map(|event| event.get().len()).sum();
    if raw.len() > MAX_GROUP_EVENTS || bytes > MAX_PUSH_BYTES_HARD {
        return Err(too_large());
    }
    let mut events = raw.iter().map(|event| read(event.get())).collect::<Result<Vec<_>, _>>()?;
    if (raw.len() > MAX_PUSH_EVENTS || bytes > MAX_PUSH_BYTES) && units(&events).count() > 1 {
        return Err(too_large());
    }
    refuse_split_groups(&mut events);
    Ok(events)
}

fn too_large() -> Problem {
    Problem::of(ProblemCode::PushTooLarge, "the push has more events or bytes than allowed")
}

/// The push's units: single events, and groups, which stand or fall as one.
pub(super) fn units(events: &[Intake]) -> impl Iterator<Item = &[Intake]> {
    events.chunk_by(|one, next| one.group.is_some() && one.group == next.group)
}

/// Identifies a push by its events.
pub(super) fn push_hash(events: &[Intake]) -> String {
    let mut hash = Sha256::new();
    for event in events {
        hash.update((event.id.as_str().len() as u64).to_be_bytes());
        hash.update(event.id.as_str());
        hash.update(event.hash.as_bytes());
    }
    hex(&hash.finalize())
}

/// Members that stand apart cannot be applied as one: none of them is.
fn refuse_split_groups(events: &mut [Intake]) {
    let mut seen = std::collections::BTreeSet::new();
    let split: std::collections::BTreeSet<GroupId> =
        units(events).filter_map(|unit| unit[0].group.clone()).filter(|group| !seen.insert(group.clone())).collect();
    for event in events.iter_mut().filter(|event| event.group.as_ref().is_some_and(|group| split.contains(group))) {
        event.content = Err(Fault::new("invalid_event", "the members of a group must stand together"));
    }
}

fn read(raw: &str) -> Result<Intake, Problem> {
    match serde_json::from_str::<SyncEvent>(raw) {
        Ok(mut event) => {
            let admitted = event.admit().map_err(|error| Fault::of(&error));
            Ok(Intake {
                id: event.id.clone(),
                hash: event.payload_hash(),
                key: Some(event.key()),
                group: event.group.clone(),
                content: admitted.map(|()| event),
            })
        }
        Err(error) => diagnose(raw, &error),
    }
}

/// The parts of an event by which a receipt and a lane are named; everything else may be anything.
#[derive(Deserialize)]
struct Envelope {
    id: EventId,
}

#[derive(Deserialize)]
struct Lane {
    collection: CollectionName,
    record: RecordId,
}

#[derive(Deserialize)]
struct Member {
    group: Option<GroupId>,
}

/// Finds out what is wrong with an event that does not parse.
fn diagnose(raw: &str, error: &serde_json::Error) -> Result<Intake, Problem> {
    let Envelope { id } = serde_json::from_str(raw).map_err(|_| {
        Problem::of(ProblemCode::MalformedEvent, "an event has no readable id").detail("every event needs an `id`")
    })?;
    let lane: Option<Lane> = serde_json::from_str(raw).ok();
    let group = serde_json::from_str::<Member>(raw).ok().and_then(|member| member.group);
    Ok(Intake {
        id,
        hash: hex(&Sha256::digest(raw)),
        key: lane.map(|lane| RecordKey { collection: lane.collection, record: lane.record }),
        group,
        content: Err(fault(raw, error)),
    })
}

fn fault(raw: &str, error: &serde_json::Error) -> Fault {
    let text = error.to_string();
    let Ok(event) = serde_json::from_str::<Value>(raw) else {
        // The JSON itself: what no backend can hold, or what no parser should follow.
        let code = if text.contains("surrogate") || text.contains("hex escape") {
            InvalidCode::LoneSurrogate.as_str()
        } else if text.contains("number out of range") {
            InvalidCode::Number.as_str()
        } else if text.contains("recursion limit") {
            InvalidCode::NestingTooDeep.as_str()
        } else {
            InvalidCode::EventShape.as_str()
        };
        return Fault::new(code, text);
    };
    if let Some(what) = unknown_word(&event) {
        return Fault::new("unsupported", what);
    }
    match broken_name(&event) {
        Some(error) => Fault::of(&error),
        None => Fault::new(InvalidCode::EventShape.as_str(), text),
    }
}

/// A word that this build does not know; a newer one may.
fn unknown_word(event: &Value) -> Option<String> {
    let unknown = |what: &str, word: Option<&Value>, known: &[&str]| {
        let word = word?.as_str()?;
        (!known.contains(&word)).then(|| format!("this server does not know the {what} `{word}`"))
    };
    let ops = event.get("ops").and_then(Value::as_array).into_iter().flatten();
    unknown("action", event.get("action"), &["create", "update", "delete"])
        .or_else(|| unknown("mode", event.get("mode"), &["merge", "strict"]))
        .or_else(|| {
            let policies = ["last_write_wins", "server_wins", "client_wins", "delete_wins", "update_wins"];
            unknown("policy", event.get("policy"), &policies)
        })
        .or_else(|| {
            ops.map(|op| op.get("op"))
                .find_map(|op| unknown("operation", op, &["set", "unset", "inc", "add", "remove", "text"]))
        })
}

/// The first name, place or stamp that breaks the model's rules.
fn broken_name(event: &Value) -> Option<unisono::Error> {
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let list = |name: &str| event.get(name).and_then(Value::as_array).into_iter().flatten();
    let ops = || list("ops");
    text("collection")
        .and_then(|name| CollectionName::new(name).err())
        .or_else(|| text("record").and_then(|name| RecordId::new(name).err()))
        .or_else(|| text("group").and_then(|name| GroupId::new(name).err()))
        .or_else(|| text("stamp").and_then(|stamp| stamp.parse::<Stamp>().err()))
        .or_else(|| list("depends_on").filter_map(Value::as_str).find_map(|id| EventId::new(id).err()))
        .or_else(|| ops().filter_map(|op| op.get("path")?.as_str()).find_map(|path| Pointer::parse(path).err()))
        .or_else(|| ops().filter_map(|op| op.get("stamp")?.as_str()).find_map(|stamp| stamp.parse::<Stamp>().err()))
}
