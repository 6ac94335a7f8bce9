//! Opening with tokens that come late, names that are none, and closing a client whose syncs wait for a server that does not
//! answer, by callers who do not wait either.

use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join;
use futures_util::poll;
use secrecy::SecretString;

use super::Client;
use crate::engine::{Credentials, TokenReason};
use crate::environment::Environment;
use crate::error::Error;
use crate::platform::BoxFuture;
use crate::storage::{MemoryStorage, StorageError};
use crate::testing::{CallKind, Fault, ScriptedTransport, TestEnvironment};
use crate::transport::NoTransport;

struct Bench {
    environment: TestEnvironment,
    network: ScriptedTransport<NoTransport>,
    client: Client,
}

/// A client of a server that never answers.
fn bench(seed: u64) -> Bench {
    let environment = TestEnvironment::new(seed);
    let network = ScriptedTransport::new(NoTransport, environment.shared());
    network.script(CallKind::Request, vec![Fault::hang(); 8]);
    let builder = Client::builder()
        .storage(MemoryStorage::new())
        .transport(network.clone())
        .environment(environment.clone())
        .account("anna")
        .token("token");
    let client = environment.block_on(builder.build()).unwrap();
    environment.block_on(client.collection("samples").create("kick", serde_json::json!({}))).unwrap();
    Bench { environment, network, client }
}

impl Bench {
    async fn storage_is_closed(&self) -> bool {
        matches!(self.client.replica().storage().size().await, Err(StorageError::Closed(_)))
    }
}

#[test]
fn b54_a_close_that_is_cancelled_is_done_by_the_next() {
    let bench = bench(1);
    bench.environment.block_on(async {
        let mut sync = pin!(Some(Box::pin(bench.client.sync_now())));
        assert!(poll!(sync.as_mut().as_pin_mut().unwrap()).is_pending());
        {
            let mut close = pin!(bench.client.close());
            assert!(poll!(close.as_mut()).is_pending(), "it waits for the sync");
        }
        let write = bench.client.collection("samples").create("snare", serde_json::json!({})).await;
        assert_eq!(write.unwrap_err().code(), "closed");
        sync.set(None);
        bench.client.close().await.unwrap();
        assert!(bench.storage_is_closed().await, "the replica is closed once a close returns");
        assert!(matches!(poll!(pin!(bench.client.close())), Poll::Ready(Ok(()))), "at once");
    });
}

#[test]
fn two_closes_return_when_it_is_closed() {
    let bench = bench(2);
    bench.environment.block_on(async {
        let mut sync = pin!(Some(Box::pin(bench.client.sync_now())));
        assert!(poll!(sync.as_mut().as_pin_mut().unwrap()).is_pending());
        let close = || async {
            bench.client.close().await.unwrap();
            assert!(bench.storage_is_closed().await, "told before it was closed");
        };
        let mut closes = pin!(join(close(), close()));
        assert!(poll!(closes.as_mut()).is_pending(), "the sync is under way");
        sync.set(None);
        closes.await;
    });
}

#[test]
fn a_sync_that_waits_for_its_turn_does_not_begin_once_the_client_closes() {
    let bench = bench(3);
    bench.environment.block_on(async {
        let mut sync = pin!(Some(Box::pin(bench.client.sync_now())));
        let mut next = pin!(bench.client.sync_now());
        let mut close = pin!(bench.client.close());
        assert!(poll!(sync.as_mut().as_pin_mut().unwrap()).is_pending());
        assert!(poll!(next.as_mut()).is_pending());
        assert!(poll!(close.as_mut()).is_pending());
        let calls = bench.network.calls().len();
        sync.set(None);
        assert!(matches!(next.await, Err(Error::Closed)));
        close.await.unwrap();
        assert_eq!(bench.network.calls().len(), calls, "nothing was asked of the server");
        assert!(bench.storage_is_closed().await);
    });
}

/// Says who it is when it is asked for the first time; then nothing.
#[derive(Debug, Default)]
struct Once(AtomicU32);

impl Credentials for Once {
    fn token(&self, _: TokenReason) -> BoxFuture<'_, Result<SecretString, String>> {
        let first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
        Box::pin(async move {
            if !first {
                std::future::pending::<()>().await;
            }
            // {"alg":"HS256"} . {"sub":"alice"} . signature
            Ok(SecretString::from("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln"))
        })
    }
}

async fn open_with(environment: &TestEnvironment, credentials: Once) -> Client {
    let builder = Client::builder().storage(MemoryStorage::new()).environment(environment.clone());
    builder.credentials(credentials).build().await.unwrap()
}

#[test]
fn the_token_that_told_the_account_is_the_one_that_the_first_sync_uses() {
    let environment = TestEnvironment::new(4);
    environment.block_on(async {
        let client = open_with(&environment, Once::default()).await;
        assert_eq!(client.replica().snapshot().account.as_deref(), Some("alice"));
        client.inner.engine.tokens().current(&environment).await.unwrap();
        assert_eq!(environment.monotonic(), Duration::ZERO, "the source is not asked again");
    });
}

#[test]
fn an_opening_does_not_wait_for_ever_for_a_source_of_tokens() {
    let environment = TestEnvironment::new(5);
    environment.block_on(async {
        let client = open_with(&environment, Once(AtomicU32::new(1))).await;
        assert_eq!(client.replica().snapshot().account, None);
        assert_eq!(environment.monotonic(), Duration::from_secs(30));
    });
}

#[test]
fn a_bad_name_is_reported_with_the_code_of_the_rule_that_it_breaks() {
    let bench = bench(3);
    bench.environment.block_on(async {
        let get = async |name: &str| bench.client.collection(name).get("kick").await.unwrap_err().code().to_owned();
        assert_eq!(get("$settings").await, "reserved_name");
        assert_eq!(get("").await, "invalid_id");
        let workspace = bench.client.workspace("a\0b");
        assert_eq!(workspace.subscribe().await.unwrap_err().code(), "invalid_id");
        assert_eq!(workspace.collection("samples").get("kick").await.unwrap_err().code(), "invalid_id");
    });
}
