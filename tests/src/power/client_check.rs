//! Holds an image of a client's replica to the promises.

use std::path::Path;

use rusqlite::Connection;
use serde_json::json;
use unisono::Client;
use unisono::model::EventId;
use unisono::replica::rows::Outcome;
use unisono::storage::{Durability, SqliteStorage, Storage};
use unisono::testing::TestEnvironment;

use super::client_work::{ACCOUNT, REPLICA};
use super::disk::Survival;
use super::history::History;
use super::observed::StateDigest;

/// What is wrong with the replica in `folder`, if anything: it must open, show a state that `history` allows, know every
/// acknowledged event, be sound, and go on working.
///
/// # Errors
/// The first promise that is broken, in words.
pub fn check(folder: &Path, history: &History, durability: Durability, survival: Survival) -> Result<(), String> {
    let path = folder.join(REPLICA);
    let storage = SqliteStorage::open(&path).map_err(|error| format!("it does not open: {error}"))?;
    let environment = TestEnvironment::new(7);
    let state = environment.block_on(StateDigest::of_storage(&storage)).map_err(|error| format!("reading: {error}"))?;
    if !history.allows(state, durability, survival) {
        return Err("it shows a state that was never promised, or an older one than was".into());
    }
    environment.block_on(go_on(storage, &environment, history.promised(durability, survival)))?;
    integrity(&path)
}

async fn go_on(storage: impl Storage, environment: &TestEnvironment, promised: &[String]) -> Result<(), String> {
    let words = |error: unisono::Error| format!("{}: {error}", error.code());
    let client = Client::builder()
        .storage(storage)
        .environment(environment.clone())
        .account(ACCOUNT)
        .index("samples", ["/category"])
        .build()
        .await
        .map_err(words)?;
    for id in promised {
        let id: EventId = serde_json::from_value(json!(id)).map_err(|error| error.to_string())?;
        match client.outcome(&id).await.map_err(words)? {
            None => return Err(format!("{id} is lost")),
            Some(Outcome::Pending { position } | Outcome::Parked { position }) => {
                let entry = client.replica().entry(&unisono::model::Scope::User, position).await.map_err(words)?;
                if entry.is_none_or(|entry| entry.event.id != id) {
                    return Err(format!("{id} waits, but not in the queue"));
                }
            }
            Some(_) => {}
        }
    }
    let samples = client.collection("samples");
    samples.create("after the loss", json!({"name": "Kick"})).await.map_err(words)?;
    match samples.get("after the loss").await.map_err(words)? {
        Some(_) => client.close().await.map_err(words),
        None => Err("a new write is not seen".into()),
    }
}

/// Lets SQLite examine the whole file.
///
/// # Errors
/// What it finds.
pub fn integrity(path: &Path) -> Result<(), String> {
    let verdict = Connection::open(path)
        .and_then(|file| file.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)))
        .map_err(|error| format!("integrity_check: {error}"))?;
    if verdict == "ok" { Ok(()) } else { Err(format!("integrity_check: {verdict}")) }
}
