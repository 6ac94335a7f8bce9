//! Opening with tokens that come late, names that are none, and closing, sealing and suspending a client whose syncs wait for a
//! server that does not answer, by callers who do not wait either.

use std::pin::pin;
use std::sync::Arc;
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
use crate::storage::{Durability, MemoryStorage, StorageError};
use crate::testing::sim::SimDisk;
use crate::testing::{CallKind, Fault, FaultyStorage, ScriptedTransport, TestEnvironment};
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
        matches!(self.client.replica().storage().get(Vec::new()).await, Err(StorageError::Closed(_)))
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

/// Runs `end` on a client of which both the worker and a call of the app wait for a server that never answers.
fn without_waiting(seed: u64, end: impl AsyncFn(&Client)) {
    let bench = bench(seed);
    let environment = &bench.environment;
    environment.block_on(bench.client.start()).unwrap();
    let sync = {
        let client = bench.client.clone();
        async move { drop(client.sync_now().await) }
    };
    environment.spawn(Box::pin(sync));
    environment.run_until_idle();
    assert!(bench.network.count(CallKind::Request) > 0, "the server was asked");
    let began = environment.monotonic();
    environment.block_on(end(&bench.client));
    assert_eq!(environment.monotonic(), began, "it does not wait for the server");
}

#[test]
fn b65_closing_signing_out_and_suspending_do_not_wait_for_a_silent_server() {
    without_waiting(6, async |client| client.close().await.unwrap());
    without_waiting(7, async |client| {
        client.sign_out().await.unwrap();
        assert_eq!(client.sync_now().await.unwrap_err().code(), "closed");
    });
    without_waiting(8, async |client| client.suspend().await.unwrap());
}

#[test]
fn a_suspended_client_takes_up_the_sync_that_was_interrupted() {
    let bench = bench(9);
    bench.environment.block_on(async {
        let mut sync = pin!(bench.client.sync_now());
        assert!(poll!(sync.as_mut()).is_pending());
        {
            let mut suspend = pin!(bench.client.suspend());
            assert!(poll!(suspend.as_mut()).is_pending());
            assert!(poll!(sync.as_mut()).is_pending(), "interrupted");
            suspend.await.unwrap();
        }
        let calls = bench.network.calls().len();
        bench.client.resume().await.unwrap();
        assert!(poll!(sync.as_mut()).is_pending());
        assert!(bench.network.calls().len() > calls, "the server is asked again");
    });
}

#[test]
fn b65_every_stream_ends_whenever_it_was_begun() {
    let bench = bench(10);
    bench.environment.block_on(async {
        let samples = bench.client.collection("samples");
        let (mut early, mut watch) = (bench.client.events(), samples.query().watch().unwrap());
        assert!(watch.next().await.unwrap().is_some());
        let mut unread = samples.query().watch().unwrap();
        let mut close = pin!(bench.client.close());
        assert!(matches!(poll!(close.as_mut()), Poll::Ready(Ok(()))));
        let mut late = bench.client.events();
        assert_eq!((early.next().await, late.next().await), (None, None));
        assert!(watch.next().await.unwrap().is_none());
        assert!(unread.next().await.unwrap().is_none(), "no answer of a closed client");
        assert_eq!(samples.query().watch().unwrap_err().code(), "closed");
    });
}

#[test]
fn a_sign_out_that_fails_or_is_given_up_leaves_a_client_that_syncs() {
    let environment = TestEnvironment::new(11);
    environment.block_on(async {
        let disk = Arc::new(FaultyStorage::new(MemoryStorage::new()));
        let network = ScriptedTransport::new(NoTransport, environment.shared());
        let builder = Client::builder().storage(disk.clone()).environment(environment.clone());
        let client = builder.transport(network.clone()).account("anna").token("token").build().await.unwrap();
        client.start().await.unwrap();
        disk.fail_next_apply(StorageError::Full("no room".into()));
        assert_eq!(client.sign_out().await.unwrap_err().code(), "storage_full");
        network.script(CallKind::Request, [Fault::hang()]);
        let mut sync = pin!(Some(Box::pin(client.sync_now())));
        assert!(poll!(sync.as_mut().as_pin_mut().unwrap()).is_pending());
        {
            let mut sign_out = pin!(client.sign_out());
            assert!(poll!(sign_out.as_mut()).is_pending(), "it waits for the sync to go");
        }
        sync.set(None);
        client.collection("samples").create("kick", serde_json::json!({})).await.expect("it is not signed out");
        assert_eq!(client.sync_now().await.unwrap_err().code(), "unreachable", "it reaches for the server");
        let before = network.calls().len();
        environment.sleep(Duration::from_secs(60)).await;
        assert!(network.calls().len() > before, "so does its worker");
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

#[test]
fn a_close_waits_for_the_commit_that_a_caller_has_left_behind() {
    let environment = TestEnvironment::new(1);
    let disk = SimDisk::new(Durability::Full).boot();
    disk.take_time(Duration::from_millis(100));
    let builder = Client::builder().storage(disk.clone()).environment(environment.clone()).account("anna");
    let client = environment.block_on(builder.build()).unwrap();
    environment.block_on(async {
        let samples = client.collection("samples");
        {
            let mut write = pin!(samples.create("kick", serde_json::json!({})));
            while !disk.is_committing() {
                assert!(poll!(write.as_mut()).is_pending());
                environment.sleep(Duration::from_millis(1)).await;
            }
        }
        assert_eq!(environment.live_tasks(), 1, "the commit goes on without its caller");
        client.close().await.unwrap();
        assert!(!disk.is_committing());
    });
    environment.run_until_idle();
    assert_eq!(environment.live_tasks(), 0);
}
