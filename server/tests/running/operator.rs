//! What operators and devices do in the tests of the operator's commands.

use std::path::Path;

use rusqlite::Connection;
use serde_json::json;
use unisono::Client;
use unisono::storage::MemoryStorage;
use unisono::transport::HttpTransport;

use super::{Running, run, text};

/// Runs a command that has to succeed; answers what it prints.
pub fn well(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Runs a command that has to fail; answers what it prints, and why it failed.
pub fn badly(args: &[&str]) -> (String, String) {
    let output = run(args);
    assert!(!output.status.success(), "{args:?}: {}", text(&output.stdout));
    (text(&output.stdout), text(&output.stderr))
}

/// A device that was never there before.
pub async fn device(server: &Running, data: &str, account: &str) -> Client {
    let token = well(&["token", "--dev", "--data", data, "--user", account, "--ttl", "1h"]);
    Client::builder()
        .storage(MemoryStorage::new())
        .transport(HttpTransport::new(&server.url).expect("a URL"))
        .account(account)
        .token(token.trim_end())
        .build()
        .await
        .expect("a client")
}

/// Creates records with these numbers, and syncs.
pub async fn create(client: &Client, names: std::ops::Range<u32>) {
    let samples = client.collection("samples");
    for name in names {
        samples.create(format!("s{name}"), json!({"n": name})).await.expect("it is taken");
    }
    client.sync_now().await.expect("it syncs");
}

/// Syncs, and counts the records.
pub async fn count(client: &Client) -> usize {
    client.sync_now().await.expect("it syncs");
    client.collection("samples").query().all().await.expect("they are read").len()
}

/// The database of a server that has ended.
pub fn database(data: &Path) -> Connection {
    Connection::open(data.join("unisono.db")).expect("the database")
}
