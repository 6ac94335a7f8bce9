//! The same promises on real threads and a real file.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use unisono::TokioEnvironment;
use unisono::model::Scope;
use unisono::protocol::ChangesRequest;
use unisono_server::{ServiceOptions, SqliteOptions, SqliteStore, SyncService};

use crate::world::{parse, user};

const WRITERS: usize = 8;
const PUSHES: usize = 25;

fn push(writer: usize, number: usize) -> serde_json::Value {
    let stamp = format!("{:012x}-0000-w{writer}", 1_000 + number);
    let event = |part: &str| {
        json!({"id": format!("{writer}-{number}-{part}"), "collection": "c", "record": format!("{writer}-{number}-{part}"),
               "action": "create", "base": 0, "stamp": stamp, "doc": {"n": number}})
    };
    json!({"scope": "user", "account": "anna", "epoch": null, "device_id": format!("w{writer}"), "push_seq": number + 1,
           "cursor": null, "device_now": 0, "events": [event("x"), event("y")]})
}

async fn pull(service: &SyncService, request: ChangesRequest) -> Vec<unisono::transport::Chunk> {
    let mut feed = service.changes(&user("anna"), request).await.unwrap();
    let mut chunks = Vec::new();
    while let Some(chunk) = feed.next().await.unwrap() {
        chunks.push(chunk);
    }
    chunks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn b13_a_puller_beside_eight_writers_misses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("server.db"), &SqliteOptions::default()).unwrap();
    let service = SyncService::open(store, Arc::new(TokioEnvironment), ServiceOptions::default()).await.unwrap();
    let writers = (0..WRITERS).map(|writer| {
        let service = service.clone();
        async move {
            for number in 0..PUSHES {
                let response = service.push(&user("anna"), parse(&push(writer, number))).await.unwrap();
                let revisions: Vec<_> = response.receipts.iter().filter_map(|receipt| receipt.revision).collect();
                assert_eq!(revisions[0] + 1, revisions[1], "a push is one piece of the history");
            }
        }
    });
    let puller = async {
        let mut seen = BTreeMap::new();
        let mut request = ChangesRequest::from_start(Scope::User);
        let mut newest = 0;
        while seen.len() < WRITERS * PUSHES * 2 {
            let chunks = pull(&service, request.clone()).await;
            request.cursor = chunks.last().map(|chunk| chunk.cursor.clone());
            for change in chunks.into_iter().flat_map(|chunk| chunk.changes) {
                assert!(change.revision > newest, "nothing comes behind the cursor");
                newest = change.revision;
                seen.insert(change.record.clone(), change);
            }
            tokio::task::yield_now().await;
        }
        seen
    };
    let (_, seen) = futures_util::future::join(futures_util::future::join_all(writers), puller).await;
    let all: BTreeMap<_, _> = pull(&service, ChangesRequest::from_start(Scope::User))
        .await
        .into_iter()
        .flat_map(|chunk| chunk.changes)
        .map(|change| (change.record.clone(), change))
        .collect();
    assert_eq!(seen, all);
    assert_eq!(service.verify(&user("anna"), Scope::User).await.unwrap(), Vec::<String>::new());
    service.close().await;
}
