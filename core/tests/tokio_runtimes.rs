//! The native environment on the runtimes that an app may have.
#![cfg(feature = "sqlite")]

use serde_json::json;
use unisono::Client;
use unisono::storage::SqliteStorage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i16_a_client_works_within_a_local_set_of_a_runtime_with_several_threads() {
    let folder = tempfile::tempdir().unwrap();
    let storage = SqliteStorage::open(folder.path().join("library.db")).unwrap();
    let local = tokio::task::LocalSet::new();
    let work = async move {
        let client = Client::builder().storage(storage).account("anna").build().await.unwrap();
        let samples = client.collection("samples");
        samples.create("kick", json!({"bpm": 120})).await.unwrap();
        assert_eq!(samples.get("kick").await.unwrap(), Some(json!({"bpm": 120})));
        client.close().await.unwrap();
    };
    local.run_until(work).await;
}
