//! The log says who was answered how, and holds no secret. A program of its own, with one test: the log is the process's.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use secrecy::ExposeSecret;
use serde_json::json;
use tower::ServiceExt;
use unisono::environment::SharedEnvironment;
use unisono::{Environment, TokioEnvironment};
use unisono_server::auth::{Grant, JwtOptions, JwtSecret, JwtVerifier, mint};
use unisono_server::{AppOptions, ServiceOptions, SqliteStore, SyncService, app};

const SECRET: &str = "canary-canary-canary-canary-canary";

/// A log that can be read back.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn send(app: &Router, method: &str, path: &str, token: &str, body: String) -> u16 {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Body::from(body))
        .expect("a request");
    let response = app.clone().oneshot(request).await.expect("an answer");
    let status = response.status().as_u16();
    to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    status
}

#[tokio::test]
async fn i15_no_secret_token_name_or_body_enters_the_log_at_its_finest() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    tracing::subscriber::set_global_default(subscriber).expect("the only log");

    let environment: SharedEnvironment = Arc::new(TokioEnvironment);
    let store = SqliteStore::in_memory().expect("a store");
    let service =
        SyncService::open(store, Arc::clone(&environment), ServiceOptions::default()).await.expect("a service");
    let secret = JwtSecret::new(SECRET).expect("a secret");
    let verifier = JwtVerifier::new(&secret, JwtOptions::default(), Arc::clone(&environment));
    let app = app(service, AppOptions::new(Arc::new(verifier), environment));
    let now = TokioEnvironment.now_ms() / 1000;
    let grant = Grant { sub: "anna".into(), workspaces: vec![], iat: now, exp: now + 60, ..Grant::default() };
    let token = mint(&secret, &grant).expect("a token").expose_secret().to_owned();

    let push = json!({
        "scope": "user", "account": "anna", "epoch": null, "device_id": "phone", "push_seq": 1,
        "cursor": null, "device_now": now * 1000, "events": [{
            "id": "canary-event", "collection": "canary-collection", "record": "canary-record", "action": "create",
            "doc": {"canary-field": "canary-value"}, "base": 0, "stamp": "018bcfe56800-0001-phone",
        }],
    });
    let forged = format!("{token}canary");
    let none = String::new;
    assert_eq!(send(&app, "POST", "/api/v1/sync/events", &token, push.to_string()).await, 200);
    assert_eq!(send(&app, "POST", "/api/v1/sync/events", &token, "{\"canary\"".to_owned()).await, 400);
    assert_eq!(send(&app, "GET", "/api/v1/sync/changes?scope=user", &token, none()).await, 200);
    assert_eq!(send(&app, "GET", "/api/v1/sync/changes?scope=workspace:canary", &token, none()).await, 404);
    assert_eq!(send(&app, "GET", "/canary-path?canary", &token, none()).await, 404);
    assert_eq!(send(&app, "GET", "/api/v1/sync/status", &forged, none()).await, 401);

    let text = String::from_utf8(log.0.lock().expect("nobody panicked").clone()).expect("UTF-8");
    assert!(text.contains("route=/api/v1/sync/events") && text.contains("status=401"), "{text}");
    // Who was refused what, and why.
    let refused = text.lines().find(|line| line.contains("status=404")).expect("a line");
    assert!(refused.contains("account=\"anna\"") && refused.contains("code=\"scope_not_found\""), "{refused}");
    assert!(text.lines().any(|line| line.contains("device=\"phone\"") && line.contains("status=200")), "{text}");
    let signature = token.rsplit('.').next().expect("three parts");
    assert!(!text.contains("canary") && !text.contains(signature), "{text}");
}
