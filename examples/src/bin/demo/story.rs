//! The demo's story: two devices and a server, together, apart, and together again.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use unisono::model::Scope;
use unisono::protocol::{DigestResponse, StatsResponse};
use unisono::transport::{HttpTransport, Method, RequestContext, Transport};
use unisono_examples::library::{Library, Sample};
use unisono_examples::server::{RunningServer, Server};

use crate::device::{Device, Plan};
use crate::failure::{Failure, Result};
use crate::judge::{Fate, Judge, Note};
use crate::report::{self, State};
use crate::screen::{Stage, chapter, say};
use crate::script::{MIN_RECORDS, Script};
use crate::wire::{Edit, Looked};

const ACCOUNT: &str = "alice";
const ANY_PORT: &str = "127.0.0.1:0";

/// What the story is told with.
pub struct Setting<'a> {
    pub folder: &'a Path,
    pub server: &'a Server,
    pub records: usize,
}

/// Tells the story; fails if a promise was broken in it.
pub async fn tell(setting: Setting<'_>) -> Result {
    let library = Library::embedded().map_err(|error| Failure::Broken(error.to_string()))?;
    let samples: Vec<Sample> = library.samples().take(setting.records).collect();
    let script = Script::new(&samples)
        .ok_or_else(|| Failure::Broken(format!("the script needs {MIN_RECORDS} records, not {}", samples.len())))?;

    chapter("Two devices and a server");
    let stage = Stage::begin("server");
    let server = setting.server.start(ANY_PORT).await?;
    let (url, address) = (server.url().to_owned(), server.address().to_owned());
    let token = setting.server.token(ACCOUNT).await?;
    stage.done(format_args!("process {} at {url}", process(&server)));
    let plan = |name: &'static str| Plan {
        name,
        replica: setting.folder.join(format!("device-{}.db", name.to_lowercase())),
        url: url.clone(),
        account: ACCOUNT,
        token: token.clone(),
    };
    let mut a = Device::start(plan("A")).await?;
    let mut b = Device::start(plan("B")).await?;
    let stage = Stage::begin("A imports its library");
    let imported = a.import(samples.len(), &stage).await?;
    stage.done(format_args!("{imported} records, each durable on its own"));
    sync(&mut a).await?;
    sync(&mut b).await?;

    chapter("Offline: the server is killed, both go on working");
    server.kill().await?;
    let records = everything(&script);
    let before = a.look(records.clone()).await?;
    let written = a.write(script.of_a()).await?;
    say(format_args!("✓ A edits {written} records"));
    refused(&mut a).await?;
    let edits = script.of_b();
    let (first, second) = edits.split_at(edits.len() / 2);
    let written = b.write(first.to_vec()).await?;
    say(format_args!("✓ B edits {written} records"));
    let stage = Stage::begin("B is killed and started again");
    b = b.kill_and_restart().await?;
    let fates = b.follow().await?;
    stage.done(format_args!("{} unsent events are there, {} are lost", fates.pending, fates.lost));
    let mut broken = Vec::new();
    if fates.pending != written as u64 || fates.lost != 0 {
        broken.push("B came back without all of its events".to_owned());
    }
    let written = b.write(second.to_vec()).await?;
    say(format_args!("✓ B edits {written} more"));
    refused(&mut b).await?;

    chapter("Online again");
    let stage = Stage::begin("server");
    let server = setting.server.start(&address).await?;
    stage.done(format_args!("process {} on the same data", process(&server)));
    sync(&mut a).await?;
    sync(&mut b).await?;
    // What B has pushed is news to A.
    sync(&mut a).await?;
    let mut c = Device::start(plan("C")).await?;
    say("C is new: whatever it has, it has from the server");
    sync(&mut c).await?;

    let seen_by_a = a.look(records).await?;
    let seen_by_b = b.look(Vec::new()).await?;
    let seen_by_c = c.look(Vec::new()).await?;
    let notes = read_notes(&seen_by_a)?;
    let edits: Vec<Edit> = script.of_a().into_iter().chain(script.of_b()).collect();
    let judge = Judge::new(&before.docs, &seen_by_a.docs, &notes, &edits);

    chapter("What became of it");
    report::encounters(&script.encounters, &judge);
    let lost = edits.iter().filter(|edit| judge.fate(&edit.record, &edit.change) == Fate::Lost).count();
    say(format_args!(
        "{} offline edits: {} stand or are in the inbox, {lost} are lost",
        edits.len(),
        edits.len() - lost
    ));
    if lost > 0 {
        broken.push(format!("{lost} offline edits are neither in their records nor in the inbox"));
    }
    let mut rows = Vec::new();
    for device in [&mut a, &mut b, &mut c] {
        let fates = device.follow().await?;
        if fates.settled() != device.events.len() as u64 {
            broken.push(format!("{} has events that are not settled: {fates:?}", device.name()));
        }
        rows.push((device.name(), device.events.len(), device.synced, fates));
    }
    report::devices(rows);

    chapter("The conflict inbox, the same on every device");
    let names = [("A", &seen_by_a), ("B", &seen_by_b), ("C", &seen_by_c)];
    let devices: BTreeMap<_, _> =
        names.iter().map(|(name, seen)| (seen.device.clone(), format!("device {name}"))).collect();
    report::inbox(&notes, &devices);

    chapter("In unison?");
    let states = compare(&names, &seen_on_server(&url, &token).await?);
    report::comparison(&states);
    broken.extend(states.iter().filter(|state| !state.same).map(|state| format!("{} differs", state.name)));

    for device in [a, b, c] {
        device.close().await?;
    }
    server.kill().await?;
    if broken.is_empty() { Ok(()) } else { Err(Failure::Promise(broken.join("; "))) }
}

fn process(server: &RunningServer) -> String {
    server.process_id().map_or("unknown".into(), |id| id.to_string())
}

/// All records that the script touches.
fn everything(script: &Script) -> Vec<String> {
    let mut records: Vec<_> = script.of_a().into_iter().chain(script.of_b()).map(|edit| edit.record).collect();
    records.sort_unstable();
    records.dedup();
    records
}

async fn sync(device: &mut Device) -> Result {
    let stage = Stage::begin(format!("{} syncs", device.name()));
    let synced = device.sync(&stage).await?;
    stage.done(format_args!(
        "{} pushed, {} pulled, {} met concurrent writes",
        synced.pushed, synced.pulled, synced.conflicts
    ));
    Ok(())
}

/// A sync that has to fail, and must not cost anything.
async fn refused(device: &mut Device) -> Result {
    let stage = Stage::begin(format!("{} tries to sync", device.name()));
    match device.sync(&stage).await {
        Err(Failure::Device { code, .. }) => {
            let fates = device.follow().await?;
            stage.done(format_args!("{code}; {} events wait in the queue", fates.pending));
            Ok(())
        }
        Ok(_) => Err(Failure::Promise(format!("{} synced with a server that is not there", device.name()))),
        Err(other) => Err(other),
    }
}

fn read_notes(seen: &Looked) -> Result<Vec<Note>> {
    let read = |note: &Value| serde_json::from_value(note.clone());
    let notes: std::result::Result<Vec<_>, _> = seen.notes.iter().map(read).collect();
    notes.map_err(|error| Failure::Promise(format!("a conflict note cannot be read: {error}")))
}

/// What the server says of its own state.
async fn seen_on_server(url: &str, token: &str) -> Result<(DigestResponse, StatsResponse)> {
    let said = |error: &dyn std::fmt::Display| Failure::Promise(format!("the server cannot be asked: {error}"));
    let transport = HttpTransport::new(url).map_err(|error| said(&error))?;
    let context = RequestContext { token: Some(token.to_owned().into()), deadline: None };
    let get = async |path: &str| {
        let path = format!("{path}?scope={}", Scope::User);
        transport.request(&context, Method::Get, &path, None).await.map_err(|error| said(&error))
    };
    let digest = serde_json::from_slice(&get("/sync/digest").await?.body).map_err(|error| said(&error))?;
    let stats = serde_json::from_slice(&get("/sync/stats").await?.body).map_err(|error| said(&error))?;
    Ok((digest, stats))
}

/// Compares every side with the first.
fn compare(replicas: &[(&str, &Looked)], (digest, stats): &(DigestResponse, StatsResponse)) -> Vec<State> {
    let Some((_, first)) = replicas.first() else { return Vec::new() };
    let replica = |(name, seen): &(&str, &Looked)| State {
        name: format!("device {name}"),
        records: seen.count,
        digest: seen.digest.clone(),
        content: Some(seen.content.clone()),
        notes: seen.notes.len() as u64,
        same: seen.pending == 0
            && seen.parked == 0
            && (seen.count, &seen.content, &seen.digest) == (first.count, &first.content, &first.digest),
    };
    let mut states: Vec<_> = replicas.iter().map(replica).collect();
    states.push(State {
        name: "server".into(),
        records: stats.records.saturating_sub(stats.conflicts),
        digest: digest.total.clone(),
        content: None,
        notes: stats.conflicts,
        same: digest.total == first.digest,
    });
    states
}
