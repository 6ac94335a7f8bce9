//! How many requests are answered, and what callers are told of it.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request};
use secrecy::{ExposeSecret, SecretString};
use tower::ServiceExt;
use unisono::platform::BoxFuture;
use unisono::protocol::Problem;
use unisono::testing::TestEnvironment;
use unisono_server::auth::{AuthError, Authenticator};
use unisono_server::rate::{Proxies, RateOptions};
use unisono_server::{AppOptions, Principal, ServiceOptions, SqliteStore, SyncService, app};

const STATUS: &str = "/api/v1/sync/status";

/// Believes whatever it is told.
#[derive(Debug)]
struct Trusting;

impl Authenticator for Trusting {
    fn authenticate<'a>(&'a self, token: &'a SecretString) -> BoxFuture<'a, Result<Principal, AuthError>> {
        Box::pin(async { Ok(Principal::new(token.expose_secret())) })
    }
}

async fn server(environment: &TestEnvironment, rates: RateOptions) -> Router {
    let store = SqliteStore::in_memory().unwrap();
    let service = SyncService::open(store, environment.shared(), ServiceOptions::default()).await.unwrap();
    app(service, AppOptions { rates, ..AppOptions::new(Arc::new(Trusting), environment.shared()) })
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn ask(app: &Router, path: &str, user: Option<&str>, peer: &str, forwarded: &str) -> Answer {
    let mut request = Request::get(path);
    if let Some(user) = user {
        request = request.header("authorization", format!("Bearer {user}"));
    }
    if !forwarded.is_empty() {
        request = request.header("x-forwarded-for", forwarded);
    }
    let peer: SocketAddr = format!("{peer}:1").parse().unwrap();
    let request = request.extension(ConnectInfo(peer)).body(Body::empty()).unwrap();
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap().to_vec();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

#[tokio::test]
async fn an_account_is_told_how_it_stands_and_refused_beyond_its_rate_wherever_it_asks_from() {
    let environment = TestEnvironment::new(1);
    let app = server(&environment, RateOptions { account: NonZeroU32::new(3), ..RateOptions::default() }).await;
    for (peer, standing) in [("192.0.2.1", "r=2;t=20"), ("192.0.2.2", "r=1;t=40"), ("192.0.2.3", "r=0;t=60")] {
        let answer = ask(&app, STATUS, Some("anna"), peer, "").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy"), "\"account\";q=3;w=60");
        assert_eq!(answer.header("ratelimit"), format!("\"account\";{standing}"));
    }
    let refused = ask(&app, STATUS, Some("anna"), "192.0.2.4", "").await;
    let problem: Problem = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!((refused.status, problem.code.as_str(), problem.retry_after), (429, "rate_limited", Some(20)));
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit")), ("20", "\"account\";r=0;t=60"));
    assert_eq!(ask(&app, STATUS, Some("bert"), "192.0.2.4", "").await.status, 200);
    environment.advance(Duration::from_secs(20));
    assert_eq!(ask(&app, STATUS, Some("anna"), "192.0.2.4", "").await.status, 200);
    assert_eq!(ask(&app, STATUS, Some("anna"), "192.0.2.4", "").await.status, 429);
}

#[tokio::test]
async fn an_address_is_refused_beyond_its_rate_before_its_credentials_are_looked_at_but_for_probes() {
    let environment = TestEnvironment::new(1);
    let mut proxies = Proxies::default();
    proxies.add("10.0.0.0/8").unwrap();
    let app = server(&environment, RateOptions { address: NonZeroU32::new(2), account: None, proxies }).await;
    for status in [401, 401, 429] {
        assert_eq!(ask(&app, STATUS, None, "192.0.2.1", "").await.status, status);
    }
    assert_eq!(
        ask(&app, "/nowhere", None, "192.0.2.1", "203.0.113.1").await.status,
        429,
        "it makes up another address"
    );
    assert_eq!(ask(&app, "/healthz", None, "192.0.2.1", "").await.status, 200);
    // Behind a proxy each has its own, and what a caller puts before the proxy's word changes nothing.
    for (forwarded, status) in
        [("198.51.100.1", 401), ("7.7.7.7, 198.51.100.1", 401), ("8.8.8.8, 198.51.100.1", 429), ("198.51.100.2", 401)]
    {
        assert_eq!(ask(&app, STATUS, None, "10.0.0.1", forwarded).await.status, status, "{forwarded}");
    }
    // A /56 of IPv6 is one caller.
    for (peer, status) in
        [("[2001:db8::1]", 401), ("[2001:db8:0:ff::2]", 401), ("[2001:db8:0:1::3]", 429), ("[2001:db8:0:100::1]", 401)]
    {
        assert_eq!(ask(&app, STATUS, None, peer, "").await.status, status, "{peer}");
    }
}

#[tokio::test]
async fn without_limits_nothing_is_counted_or_told() {
    let environment = TestEnvironment::new(1);
    let app = server(&environment, RateOptions::default()).await;
    for _ in 0..100 {
        let answer = ask(&app, STATUS, Some("anna"), "192.0.2.1", "").await;
        assert_eq!((answer.status, answer.header("ratelimit")), (200, ""));
    }
}
