//! Plays the scenarios in `scenarios/` (their form: `scenarios/README.md`), as an app in Rust would: SQLite files, real HTTP.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;
use unisono::client::{Conflict, Edit, Target, Watch};
use unisono::model::{EventId, OpKind, TextEdit, Value, parse_value, value};
use unisono::query::Record;
use unisono::settings::{Level, Settings};
use unisono::storage::SqliteStorage;
use unisono::transport::HttpTransport;
use unisono::{Client, Collection, Error};
use unisono_tests::http_server::{HttpServer, token};

#[derive(Deserialize)]
struct Scenario {
    name: String,
    account: String,
    devices: Vec<String>,
    steps: Vec<Step>,
}

/// One step; which fields it has is told by `do`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    r#do: String,
    device: String,
    #[serde(default = "samples")]
    collection: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    doc: Value,
    #[serde(default)]
    docs: BTreeMap<String, Value>,
    seen: Option<String>,
    #[serde(default)]
    strict: bool,
    #[serde(default)]
    patch: Value,
    #[serde(default)]
    options: Value,
    #[serde(default)]
    ops: Vec<Op>,
    #[serde(default)]
    record: Value,
    #[serde(default)]
    path: Value,
    level: Option<String>,
    #[serde(default, deserialize_with = "present")]
    expect: Option<Value>,
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Op {
    path: String,
    #[serde(flatten)]
    kind: OpKind,
}

fn samples() -> String {
    "samples".into()
}

/// Tells an expected null from nothing expected.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

struct Device {
    path: PathBuf,
    client: Client,
    watches: BTreeMap<String, Watch>,
    reads: BTreeMap<String, Record>,
}

impl Device {
    /// The record that a step is to, and what its writer has seen of it.
    fn target(&self, step: &Step) -> Target {
        Target::new(&step.id, step.seen.as_ref().map(|name| self.reads[name].seen()))
    }
}

struct Stage {
    address: String,
    account: String,
    devices: BTreeMap<String, Device>,
}

impl Stage {
    async fn open(&self, path: &Path) -> Client {
        Client::builder()
            .storage(SqliteStorage::open(path).unwrap())
            .transport(HttpTransport::new(format!("http://{}", self.address)).unwrap())
            .account(&self.account)
            .token(token(&self.account, 600).expose_secret())
            .build()
            .await
            .unwrap()
    }

    /// Takes a step; what it gives, where that is compared.
    async fn take(&mut self, step: &Step) -> Result<Option<Value>, Error> {
        if step.r#do == "reopen" {
            let client = self.open(&self.devices[&step.device].path).await;
            let device = self.devices.get_mut(&step.device).unwrap();
            (device.client, device.watches) = (client, BTreeMap::new());
            return Ok(None);
        }
        let device = self.devices.get_mut(&step.device).unwrap();
        let mut samples = device.client.collection(&step.collection);
        if step.strict {
            samples = samples.strict();
        }
        let (id, target) = (&step.id, device.target(step));
        let changed = |id: Option<EventId>| Some(Value::from(id.is_some()));
        match step.r#do.as_str() {
            "create" => samples.create(id, step.doc.clone()).await.map(|_| None),
            "put" => samples.put(target, step.doc.clone()).await.map(changed),
            "put_many" => {
                let written = samples.put_many(step.docs.clone()).await?;
                let changed = step.docs.keys().cloned().zip(written.into_iter().map(|id| Value::from(id.is_some())));
                Ok(Some(changed.collect()))
            }
            "update" => samples.update(target, step.patch.clone()).await.map(changed),
            "save" => {
                let old = &device.reads[step.seen.as_ref().expect("a read")];
                samples.save(old, step.doc.clone()).await.map(changed)
            }
            "edit" => edited(samples.edit(target), &step.ops).commit().await.map(changed),
            "delete" => samples.delete(target).await.map(|_| None),
            "record" => {
                let Some(record) = samples.record(id).await? else { return Ok(Some(Value::Null)) };
                let told = json!({"doc": record.doc, "state": record.state});
                device.reads.insert(step.name.clone(), record);
                Ok(Some(told))
            }
            "get" => Ok(Some(samples.get(id).await?.unwrap_or_default())),
            "query" => Ok(Some(ids(&samples.query_from_json(step.options.clone())?.all().await?))),
            "watch" => {
                device.watches.insert(step.name.clone(), samples.query_from_json(step.options.clone())?.watch()?);
                Ok(None)
            }
            "next" => {
                let update = device.watches.get_mut(&step.name).unwrap().next().await?;
                Ok(Some(ids(&update.expect("the client is open").records)))
            }
            "sync" => {
                let report = device.client.sync_now().await?;
                Ok(Some(json!({
                    "pushed": report.pushed, "pulled": report.pulled,
                    "conflicts": report.conflicts, "parked": report.parked, "repaired": report.repaired,
                })))
            }
            "status" => {
                let status = device.client.status();
                let (state, pending, parked) = (status.state.name(), status.pending, status.parked);
                let withheld = status.withheld;
                Ok(Some(json!({"state": state, "pending": pending, "parked": parked, "withheld": withheld})))
            }
            "setting" => {
                let (document, path) = (document(&device.client, step)?, step.path.as_str().expect("a pointer"));
                let value = document.get().await?.pointer(path).cloned();
                Ok(Some(json!({"value": value, "level": document.level(path).await?})))
            }
            "choose" => document(&device.client, step)?.update(step.patch.clone()).await.map(changed),
            "reset" => {
                let path = step.path.as_str().expect("a pointer");
                document(&device.client, step)?.reset(path).await.map(|any| Some(any.into()))
            }
            "conflicts" => Ok(Some(notes(&device.client.conflicts().await?))),
            "resolve" => {
                let note = open_note(&device.client, step).await?;
                device.client.resolve(note.id.as_str()).await.map(|_| None)
            }
            "conflict_value" => {
                let note = open_note(&device.client, step).await?;
                let sha256 = note.doc["losers"][0]["value_ref"]["sha256"].as_str().expect("a reference");
                device.client.conflict_value(&note.id, sha256).await.map(Some)
            }
            "close" => device.client.close().await.map(|()| None),
            "state" => Ok(Some(state(&samples).await?)),
            unknown => panic!("there is no step {unknown:?}"),
        }
    }
}

/// The settings that a step is about: the preferences, or the app's group that it names, with its defaults.
fn document(client: &Client, step: &Step) -> Result<Settings, Error> {
    let settings = client.settings();
    let document =
        if step.name.is_empty() { settings.preferences() } else { settings.group(&step.name, step.doc.clone())? };
    match step.level.as_deref() {
        None => Ok(document),
        Some("device") => document.at(Level::Device),
        Some("user") => document.at(Level::User),
        Some(unknown) => panic!("no step chooses at the level {unknown:?}"),
    }
}

/// The one open note on a step's record and path.
async fn open_note(client: &Client, step: &Step) -> Result<Conflict, Error> {
    let open = client.conflicts().await?;
    let note = open.into_iter().find(|note| note.doc["record"] == step.record && note.doc["path"] == step.path);
    Ok(note.expect("an open note"))
}

/// Writes out what stands for a repeated text.
fn written_out(value: Value) -> Value {
    match value {
        Value::Object(fields) => match (fields.get("$times").and_then(Value::as_u64), fields.get("text")) {
            (Some(times), Some(Value::String(text))) => text.repeat(usize::try_from(times).unwrap()).into(),
            _ => fields.into_iter().map(|(name, value)| (name, written_out(value))).collect(),
        },
        Value::Array(items) => items.into_iter().map(written_out).collect(),
        other => other,
    }
}

fn edited(edit: Edit, ops: &[Op]) -> Edit {
    ops.iter().fold(edit, |edit, Op { path, kind }| match kind.clone() {
        OpKind::Set { value } => edit.set(path, value),
        OpKind::Unset => edit.unset(path),
        OpKind::Inc { by } => edit.increment(path, by),
        OpKind::Add { values } => edit.add(path, values),
        OpKind::Remove { values } => edit.remove(path, values),
        OpKind::Text { edit: TextEdit(components) } => edit.text(path, TextEdit(components)),
    })
}

fn ids(records: &[Record]) -> Value {
    records.iter().map(|record| Value::from(record.id.as_str())).collect()
}

fn notes(conflicts: &[Conflict]) -> Value {
    let told = |note: &Conflict| json!({"collection": note.collection, "record": note.record, "path": note.path});
    let mut open: Vec<_> = conflicts.iter().map(told).collect();
    open.sort_by_key(text);
    open.into()
}

async fn state(samples: &Collection) -> Result<Value, Error> {
    Ok(samples.all().await?.into_iter().map(|record| (record.id.to_string(), record.doc)).collect())
}

/// The canonical text, by which values are compared.
fn text(value: &Value) -> String {
    String::from_utf8(value::canonical(value)).unwrap()
}

/// Keeps of what a step gave what is expected of it: of reports and statuses, the fields that are named.
fn named(given: Value, expected: &Value, step: &str) -> Value {
    match (given, expected) {
        (Value::Object(given), Value::Object(expected)) if matches!(step, "sync" | "status" | "record") => {
            given.into_iter().filter(|(field, _)| expected.contains_key(field)).collect()
        }
        (given, _) => given,
    }
}

async fn play(file: &Path) {
    let parsed = written_out(parse_value(&std::fs::read_to_string(file).unwrap()).unwrap());
    let scenario: Scenario = serde_json::from_value(parsed).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = HttpServer::start(folder.path(), "127.0.0.1:0").await;
    let mut stage = Stage { address: server.address().to_owned(), account: scenario.account, devices: BTreeMap::new() };
    for name in scenario.devices {
        let path = folder.path().join(format!("{name}.db"));
        let client = stage.open(&path).await;
        stage.devices.insert(name, Device { path, client, watches: BTreeMap::new(), reads: BTreeMap::new() });
    }
    for (number, step) in scenario.steps.iter().enumerate() {
        let place = format!("{}, step {}: {} on {}", scenario.name, number + 1, step.r#do, step.device);
        match (stage.take(step).await, &step.error) {
            (Ok(given), None) => {
                if let Some(expected) = &step.expect {
                    let given = named(given.expect("something to compare"), expected, &step.r#do);
                    assert_eq!(text(&given), text(expected), "{place}");
                }
            }
            (Err(error), Some(expected)) => {
                let told = json!({
                    "code": error.code(), "kind": error.kind().as_str(), "retryable": error.retryable(),
                });
                assert_eq!(text(&told), text(expected), "{place}: {error}");
            }
            (Ok(given), Some(_)) => panic!("{place} did not fail, it gave {given:?}"),
            (Err(error), None) => panic!("{place}: {error}"),
        }
    }
    for device in stage.devices.values() {
        device.client.close().await.unwrap();
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_gives_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    assert!(!files.is_empty());
    for file in &files {
        play(file).await;
    }
}
