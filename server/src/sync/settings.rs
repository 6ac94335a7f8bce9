//! Settings as documents: the same records that devices sync, read and written a request at a time.
//!
//! A write is an event by the account's device `rest:<subject>`, judged, noted and logged like any other. Its writer has seen
//! nothing but what it names with `If-Match`: without it, what it overwrites is noted. The server is its clock, so it is later
//! than everything that the scope holds.

use std::sync::Arc;

use serde_json::Map;
use serde_json::json;
use sha2::{Digest, Sha256};
use unisono::clock::Stamp;
use unisono::environment::Environment;
use unisono::merge::apply;
use unisono::model::value::{self, hex};
use unisono::model::{
    Author, CollectionName, DeviceId, EventId, Mode, Receipt, ReceiptStatus, RecordKey, Revision, SyncAction,
    SyncEvent, Value, ops_of_patch,
};
use unisono::protocol::{Problem, ProblemCode};
use unisono::settings::{Document, Kind, SETTINGS, defaults, merged, overrides};

use super::history::Claims;
use super::intake::Intake;
use super::principal::Principal;
use super::push::Pushed;
use super::service::SyncService;
use crate::store::{self, ScopeReads, ScopeTx, StoreError, Verdict};

/// What the device under whose name requests write is called, before the account.
const REST: &str = "rest:";
/// Longest account whose name fits into a device's.
const MAX_PLAIN: usize = 200;

/// A document of settings as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingsState {
    /// The record's revision; 0 if it was never written.
    pub revision: Revision,
    /// What was chosen; an object.
    pub stored: Value,
}

impl SettingsState {
    /// The document with the defaults of `document` filled in.
    #[must_use]
    pub fn effective(&self, document: &Document) -> Value {
        merged(defaults(document.fields()), &self.stored)
    }
}

/// What becomes of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum SettingsEdit {
    /// Its known fields become these; the ones that are absent or null go back to their defaults. Unknown ones stay.
    Put(Value),
    /// An RFC 7396 merge patch over what holds; null goes back to the default.
    Patch(Value),
}

/// A write to a document of settings. Its values are checked.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingsWrite {
    /// Which.
    pub document: Document,
    /// What becomes of it.
    pub edit: SettingsEdit,
    /// The revisions of which one must be the present one; `None` for whatever it is.
    pub only_at: Option<Vec<Revision>>,
    /// The name under which a repetition is known, if it may be repeated.
    pub event: Option<EventId>,
}

impl SyncService {
    /// A document of the caller's settings.
    ///
    /// # Errors
    /// The store's troubles.
    pub async fn settings(&self, principal: &Principal, document: &Document) -> Result<SettingsState, Problem> {
        let key = record_key(document)?;
        Ok(store::read(&*self.shared.store, principal.user_scope(), move |reads| state(reads, &key)).await?)
    }

    /// Writes a document of the caller's settings: what differs from what holds. A change to nothing makes no event. Answers
    /// with the document afterwards.
    ///
    /// # Errors
    /// `412 precondition_failed`, `422 id_reused` if another request came under the same name, `422 settings_invalid` for what the
    /// sync service rejects, and the store's troubles. Nothing was written then.
    pub async fn write_settings(&self, principal: &Principal, write: SettingsWrite) -> Result<SettingsState, Problem> {
        let author = Author { user: principal.subject.clone(), device: rest_device(&principal.subject)? };
        let (scope, environment) = (principal.user_scope(), Arc::clone(&self.shared.environment));
        let (service, key, own) = (self.clone(), record_key(&write.document)?, scope.clone());
        let written = store::write(&*self.shared.store, scope, move |tx| {
            let planned = match plan(tx, &*environment, &author.device, &key, write)? {
                Ok(Plan::Write(planned)) => planned,
                Ok(Plan::Done) => return Ok((Verdict::Discard, (state(tx, &key).map(Ok)?, false))),
                Err(problem) => return Ok((Verdict::Discard, (Err(problem), false))),
            };
            let last = tx.device(&author.device)?.map_or(0, |device| device.push_seq);
            let push = service.push_of(own, author, last + 1, Claims::default(), vec![*planned]);
            let (verdict, Pushed { answer, news }) = push.run(tx, &*environment)?;
            let receipt = answer.map(|mut answer| answer.receipts.pop());
            let outcome = match receipt.and_then(|receipt| settled(receipt.as_ref())) {
                Ok(()) => Ok(state(tx, &key)?),
                Err(problem) => Err(problem),
            };
            Ok((verdict, (outcome, news)))
        });
        let (outcome, news) = written.await?;
        if news {
            self.shared.hints.tell(&principal.user_scope());
        }
        outcome
    }
}

fn record_key(document: &Document) -> Result<RecordKey, Problem> {
    let invalid = |error: unisono::Error| {
        Problem::of(ProblemCode::InvalidRequest, "there is no such document").detail(error.to_string())
    };
    let collection = CollectionName::new(SETTINGS).map_err(invalid)?;
    Ok(RecordKey { collection, record: document.record().map_err(invalid)? })
}

/// The device under whose name an account's requests write. Devices of that kind push nothing themselves.
fn rest_device(subject: &str) -> Result<DeviceId, Problem> {
    let name = if subject.len() <= MAX_PLAIN { subject.to_owned() } else { hex(&Sha256::digest(subject)) };
    DeviceId::new(format!("{REST}{name}")).map_err(|error| {
        Problem::of(ProblemCode::InvalidRequest, "the account has no usable name").detail(error.to_string())
    })
}

/// Whether a device is one of those.
pub(super) fn is_rest(device: &DeviceId) -> bool {
    device.as_str().starts_with(REST)
}

fn state(reads: &mut dyn ScopeReads, key: &RecordKey) -> Result<SettingsState, StoreError> {
    let row = reads.records(std::slice::from_ref(key))?.pop().flatten();
    let empty = || Value::Object(Map::new());
    Ok(match row {
        None => SettingsState { revision: 0, stored: empty() },
        Some(row) if row.record.alive => SettingsState { revision: row.record.revision, stored: row.record.doc },
        Some(row) => SettingsState { revision: row.record.revision, stored: empty() },
    })
}

enum Plan {
    /// There is nothing to be written, or it was written before.
    Done,
    Write(Box<Intake>),
}

/// What a write comes to against what is stored now.
fn plan(
    tx: &mut dyn ScopeTx,
    environment: &dyn Environment,
    device: &DeviceId,
    key: &RecordKey,
    write: SettingsWrite,
) -> Result<Result<Plan, Problem>, StoreError> {
    let hash = request_hash(&write);
    if let Some(event) = &write.event
        && let Some(settled) = tx.settled(std::slice::from_ref(event))?.pop().flatten()
    {
        let reused = || Problem::of(ProblemCode::IdReused, "another request was made under this Idempotency-Key");
        return Ok(if settled.payload_hash == hash { Ok(Plan::Done) } else { Err(reused()) });
    }
    let row = tx.records(std::slice::from_ref(key))?.pop().flatten();
    let SettingsState { revision, stored } = state(tx, key)?;
    if write.only_at.as_ref().is_some_and(|named| !named.contains(&revision)) {
        let problem = Problem::of(ProblemCode::PreconditionFailed, "the document has changed since it was read");
        return Ok(Err(problem.detail(format!("its ETag is \"{revision}\""))));
    }
    let effective = merged(defaults(write.document.fields()), &stored);
    let patch = match write.edit {
        SettingsEdit::Patch(patch) => patch,
        SettingsEdit::Put(body) => replacing(&write.document, body, &stored),
    };
    let ops = match ops_of_patch(overrides(patch, &effective, &stored), &stored) {
        Ok(ops) if ops.is_empty() => return Ok(Ok(Plan::Done)),
        Ok(ops) => ops,
        Err(error) => return Ok(Err(Problem::of(ProblemCode::SettingsInvalid, error.to_string()))),
    };
    let alive = row.as_ref().is_some_and(|row| row.record.alive);
    let strict = write.only_at.is_some();
    // A delete is nothing that it overwrites: whoever looks at the document sees the defaults.
    let floor = row.map_or(0, |row| row.record.floor);
    let (ms, counter) = tx.scope()?.and_then(|scope| scope.highest).map_or((0, 0), |highest| highest.instant());
    let now_ms = environment.now_ms();
    let stamp = if now_ms > ms {
        Stamp { ms: now_ms, counter: 0, device: device.clone() }
    } else {
        Stamp::above(ms, counter, device.clone())
    };
    let mut event = SyncEvent {
        id: write.event.unwrap_or_else(|| EventId::generate(environment)),
        collection: key.collection.clone(),
        record: key.record.clone(),
        action: if alive { SyncAction::Update } else { SyncAction::Create },
        doc: (!alive).then(|| {
            let mut doc = Value::Object(Map::new());
            apply(&mut doc, &ops);
            doc
        }),
        ops: if alive { ops } else { Vec::new() },
        base: if strict { revision } else { floor },
        stamp,
        group: None,
        depends_on: Vec::new(),
        needs: Vec::new(),
        schema: 1,
        mode: if strict { Mode::Strict } else { Mode::Merge },
        policy: None,
    };
    let content = event.admit().map(|()| event.clone());
    Ok(match content {
        Ok(content) => Ok(Plan::Write(Box::new(Intake {
            id: event.id,
            hash,
            key: Some(key.clone()),
            group: None,
            content: Ok(content),
        }))),
        Err(error) => Err(Problem::of(ProblemCode::SettingsInvalid, error.to_string())),
    })
}

/// Tells a repeated request from another one under the same name.
fn request_hash(write: &SettingsWrite) -> String {
    let (method, body) = match &write.edit {
        SettingsEdit::Put(body) => ("put", body),
        SettingsEdit::Patch(body) => ("patch", body),
    };
    let request = json!({"document": write.document.to_string(), "method": method, "body": body});
    hex(&Sha256::digest(value::canonical(&request)))
}

/// The patch that makes the known fields those of `body`.
fn replacing(document: &Document, mut body: Value, stored: &Value) -> Value {
    for field in document.fields() {
        let (given, chosen) = (body.pointer(field.path), stored.pointer(field.path));
        let dropped: Vec<String> = match (given, chosen) {
            (_, None) => continue,
            (None | Some(Value::Null), Some(_)) => vec![field.path.to_owned()],
            // An object of switches is one field.
            (Some(Value::Object(given)), Some(Value::Object(chosen))) if matches!(field.kind, Kind::Switches(_)) => {
                let gone = chosen.keys().filter(|name| !given.contains_key(*name));
                gone.map(|name| format!("{}/{}", field.path, name.replace('~', "~0").replace('/', "~1"))).collect()
            }
            _ => continue,
        };
        dropped.iter().for_each(|path| remove(&mut body, path));
    }
    body
}

/// Puts null at `path`, where the patch has objects on the way or nothing.
fn remove(patch: &mut Value, path: &str) {
    let mut place = patch;
    for name in path.split('/').skip(1) {
        let name = name.replace("~1", "/").replace("~0", "~");
        let Value::Object(members) = place else { return };
        place = members.entry(name).or_insert_with(|| Value::Object(Map::new()));
    }
    *place = Value::Null;
}

/// What the receipt of a write says to whoever made it.
fn settled(receipt: Option<&Receipt>) -> Result<(), Problem> {
    let Some(receipt) = receipt else {
        return Err(StoreError::Internal("a write without a receipt".to_owned()).into());
    };
    match receipt.status {
        status if status.is_settled() => Ok(()),
        ReceiptStatus::Conflict => {
            Err(Problem::of(ProblemCode::PreconditionFailed, "the document has changed since it was read"))
        }
        _ => {
            let problem = Problem::of(ProblemCode::SettingsInvalid, "the settings were not taken");
            Err(problem.detail(receipt.message.clone().unwrap_or_default()))
        }
    }
}
