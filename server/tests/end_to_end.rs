//! The core's HTTP transport against the server over a real loopback port.
#![expect(clippy::disallowed_methods, reason = "a real server runs beside the test, in a task of its own")]

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use unisono::environment::SharedEnvironment;
use unisono::limits::MAX_PUSH_EVENTS;
use unisono::model::{Receipt, ReceiptStatus, Scope, SyncEvent};
use unisono::protocol::{ChangesRequest, PushRequest, StatusResponse};
use unisono::transport::{Compression, HttpOptions, HttpTransport, Method, RequestContext, Transport};
use unisono::{Environment, TokioEnvironment};
use unisono_server::auth::{Grant, JwtOptions, JwtSecret, JwtVerifier, mint};
use unisono_server::net::{ServeOptions, serve};
use unisono_server::store::SqliteStore;
use unisono_server::sync::{ServiceOptions, SyncService};
use unisono_server::{AppOptions, app};

const SECRET: &str = "a-secret-of-at-least-32-bytes-for-tests";

struct Server {
    url: String,
    service: SyncService,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<bool>,
}

impl Server {
    async fn start() -> Self {
        let environment: SharedEnvironment = Arc::new(TokioEnvironment);
        let store = SqliteStore::in_memory().expect("a store");
        let service =
            SyncService::open(store, Arc::clone(&environment), ServiceOptions::default()).await.expect("a service");
        let secret = JwtSecret::new(SECRET).expect("a secret");
        let verifier = JwtVerifier::new(&secret, JwtOptions::default(), Arc::clone(&environment));
        let router = app(service.clone(), AppOptions::new(Arc::new(verifier), environment));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(serve(listener, router, ServeOptions::default(), async {
            let _ = stopped.await;
        }));
        Self { url, service, stop, serving }
    }

    fn transport(&self, compression: Compression) -> HttpTransport {
        HttpTransport::with_options(&self.url, HttpOptions { compression, ..HttpOptions::default() })
            .expect("a transport")
    }

    async fn stop(self) {
        drop(self.stop);
        assert!(self.serving.await.expect("the server ends"), "all requests ended in time");
        self.service.close().await;
    }
}

fn context(user: &str) -> RequestContext {
    let now = TokioEnvironment.now_ms() / 1000;
    let grant = Grant { sub: user.into(), workspaces: vec![], iat: now, exp: now + 600, ..Grant::default() };
    let token: SecretString = mint(&JwtSecret::new(SECRET).expect("a secret"), &grant).expect("a token");
    RequestContext { token: Some(token), deadline: Some(Duration::from_secs(60)) }
}

fn push(account: &str, push_seq: u64, events: usize) -> PushRequest {
    let event = |n: usize| -> SyncEvent {
        serde_json::from_value(json!({
            "id": format!("e{push_seq}-{n}"), "collection": "samples", "record": format!("bd {push_seq}/{n} é"),
            "action": "create", "doc": {"name": format!("kick {}", n * 7919 % 1000), "bpm": 120.5}, "base": 0,
            "stamp": "019a3f2c11d0-0003-device-1",
        }))
        .expect("an event")
    };
    PushRequest {
        scope: Scope::User,
        account: account.into(),
        epoch: None,
        device_id: "device-1".parse().expect("an id"),
        push_seq,
        cursor: None,
        seen: None,
        device_now: TokioEnvironment.now_ms(),
        events: (0..events).map(event).collect(),
    }
}

fn feed_from_start() -> ChangesRequest {
    serde_json::from_value(json!({"scope": "user", "device": "device-1"})).expect("a request")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_pushes_comes_back_in_the_feed_with_and_without_compression() {
    for compression in [Compression::Auto, Compression::On] {
        let server = Server::start().await;
        let (transport, context) = (server.transport(compression), context("alice"));
        let mut sent = Vec::new();
        for push_seq in 1..=2 {
            let request = push("alice", push_seq, MAX_PUSH_EVENTS);
            let response = transport.push(&context, &request).await.expect("receipts");
            let outcome = |receipt: &Receipt| (receipt.id.clone(), receipt.status);
            let applied = |event: &SyncEvent| (event.id.clone(), ReceiptStatus::Applied);
            let receipts: Vec<_> = response.receipts.iter().map(outcome).collect();
            assert_eq!(receipts, request.events.iter().map(applied).collect::<Vec<_>>());
            // B1: the same push again gets the same answer.
            let again = transport.push(&context, &request).await.expect("receipts");
            assert_eq!(again.receipts, response.receipts);
            sent.extend(request.events.into_iter().map(|event| (event.record, event.doc)));
        }
        let mut reader = transport.changes(&context, &feed_from_start()).await.expect("a feed");
        let (mut received, mut trailer) = (Vec::new(), None);
        while let Some(chunk) = reader.next().await.expect("a whole feed") {
            received.extend(chunk.changes.into_iter().map(|change| (change.record, change.doc)));
            trailer = chunk.trailer;
        }
        assert_eq!(received, sent);
        assert!(trailer.is_some_and(|trailer| !trailer.more && trailer.included == 2));
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i14_accounts_see_nothing_of_each_other_and_errors_arrive_typed() {
    let server = Server::start().await;
    let transport = server.transport(Compression::Auto);
    transport.push(&context("alice"), &push("alice", 1, 3)).await.expect("receipts");
    let mut reader = transport.changes(&context("bob"), &feed_from_start()).await.expect("a feed");
    let chunk = reader.next().await.expect("a chunk").expect("one with a trailer");
    assert_eq!((chunk.changes, chunk.trailer.is_some()), (vec![], true));
    drop(reader);

    let error = transport.push(&context("bob"), &push("alice", 2, 1)).await.expect_err("bob is not alice");
    assert_eq!(error.code(), "identity_mismatch");
    let nobody = RequestContext { token: None, deadline: None };
    let error = transport.push(&nobody, &push("alice", 2, 1)).await.expect_err("nobody is not alice");
    assert_eq!(error.code(), "auth_required");
    let foreign = ChangesRequest { scope: Scope::workspace("w1").expect("a scope"), ..feed_from_start() };
    let error = transport.changes(&context("bob"), &foreign).await.err().expect("not a member");
    assert_eq!(error.code(), "scope_not_found");
    let error =
        transport.request(&context("bob"), Method::Delete, "/sync/status", None).await.expect_err("no such method");
    assert_eq!(error.code(), "method_not_allowed");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_requests_and_a_stopped_server() {
    let server = Server::start().await;
    let transport = server.transport(Compression::Auto);
    let answer =
        transport.request(&context("alice"), Method::Get, "/sync/status?scope=user", None).await.expect("status");
    let status: StatusResponse = serde_json::from_slice(&answer.body).expect("a status");
    assert_eq!((answer.status, status.account.as_str()), (200, "alice"));
    server.stop().await;
    let error = transport.request(&context("alice"), Method::Get, "/sync/status", None).await.expect_err("it is gone");
    assert_eq!(error.code(), "unreachable");
}
