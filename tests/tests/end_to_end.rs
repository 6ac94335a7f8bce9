//! The whole of it, as an app has it: SQLite files, real HTTP on a loopback port, Tokio, the system's clock.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use secrecy::ExposeSecret;
use serde_json::json;
use unisono::engine::{SyncState, TokenFn};
use unisono::events::ClientEvent;
use unisono::model::Scope;
use unisono::query::eq;
use unisono::storage::SqliteStorage;
use unisono::transport::HttpTransport;
use unisono::{Client, ClientBuilder};
use unisono_tests::canonical_state;
use unisono_tests::http_server::{HttpServer as Server, token};

fn builder(folder: &Path, name: &str, address: &str) -> ClientBuilder {
    Client::builder()
        .storage(SqliteStorage::open(folder.join(name)).unwrap())
        .transport(HttpTransport::new(format!("http://{address}")).unwrap())
        .index("samples", ["/category", "/name"])
}

async fn open(folder: &Path, name: &str, address: &str) -> Client {
    builder(folder, name, address).token(token("anna", 600).expose_secret()).build().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_files_and_a_server_end_in_unison_over_http() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "127.0.0.1:0").await;
    let a = open(folder.path(), "a.db", server.address()).await;
    let b = open(folder.path(), "b.db", server.address()).await;
    let second = SqliteStorage::open(folder.path().join("a.db")).unwrap_err();
    assert_eq!(second.code(), "already_open");

    let (sa, sb) = (a.collection("samples"), b.collection("samples"));
    for n in 0..1_200 {
        let (name, category) = (format!("sample {n:04}"), if n % 40 == 0 { "bd" } else { "sn" });
        sa.create(format!("s{n}"), json!({"name": name, "category": category, "plays": 0})).await.unwrap();
    }
    assert_eq!(a.sync_now().await.unwrap().pushed, 1_200);
    assert_eq!(b.sync_now().await.unwrap().pulled, 1_200);
    let reading = sb.query().filter(eq("/category", "bd")).order_by("/name").limit(5);
    assert!(reading.explain().unwrap().index().is_some(), "the declared index is used");
    let names: Vec<_> = reading.all().await.unwrap().into_iter().map(|record| record.doc["name"].clone()).collect();
    assert_eq!(names, ["sample 0000", "sample 0040", "sample 0080", "sample 0120", "sample 0160"]);

    // The server goes away; both go on; one process ends.
    let address = server.stop().await;
    sa.edit("s0").increment("/plays", 2).commit().await.unwrap();
    sb.edit("s0").increment("/plays", 3).commit().await.unwrap();
    assert_eq!(b.sync_now().await.unwrap_err().code(), "unreachable");
    b.close().await.unwrap();
    let b = open(folder.path(), "b.db", &address).await;
    assert_eq!(b.status().pending, 1);

    let server = Server::start(folder.path(), &address).await;
    for client in [&a, &b, &a] {
        client.sync_now().await.unwrap();
    }
    assert_eq!(a.collection("samples").get("s0").await.unwrap().unwrap()["plays"], 5);
    assert_eq!(canonical_state(&a, &Scope::User).await, canonical_state(&b, &Scope::User).await);
    a.close().await.unwrap();
    b.close().await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn background_sync_carries_a_write_to_a_workspace_and_renews_an_expired_token() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "127.0.0.1:0").await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    // The first token has expired long ago, by more than any leeway.
    let credentials = TokenFn(move |_| {
        let first = counter.fetch_add(1, Ordering::SeqCst) == 0;
        let token = if first { token("anna", -500) } else { token("anna", 600) };
        Box::pin(async move { Ok::<_, String>(token) }) as unisono::platform::BoxFuture<'static, _>
    });
    let a = builder(folder.path(), "a.db", server.address()).credentials(credentials).build().await.unwrap();
    let mut events = a.events();
    a.start().await.unwrap();
    let id = a.workspace("band").collection("samples").create("loop", json!({"bpm": 90})).await.unwrap();
    a.settled(&id).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2, "one token to begin with, one renewal, however many scopes");

    let b = open(folder.path(), "b.db", server.address()).await;
    let shared = b.workspace("band").collection("samples");
    b.sync_now().await.unwrap();
    assert_eq!(shared.get("loop").await.unwrap(), None, "a workspace is synced once the app wants it");
    b.workspace("band").subscribe().await.unwrap();
    b.sync_now().await.unwrap();
    assert_eq!(shared.get("loop").await.unwrap(), Some(json!({"bpm": 90})));

    loop {
        if let ClientEvent::State { state: SyncState::Idle, .. } = events.next().await.unwrap() {
            break;
        }
    }
    a.close().await.unwrap();
    b.close().await.unwrap();
    server.stop().await;
}
