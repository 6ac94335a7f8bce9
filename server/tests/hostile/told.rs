//! What is wrong with the server's file is told: to the client, to the operator's probe, in the log, in the figures.

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, Once};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use rusqlite::Connection;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tower::ServiceExt;
use unisono::environment::SharedEnvironment;
use unisono::{Environment, TokioEnvironment};
use unisono_server::auth::{Grant, JwtOptions, JwtSecret, JwtVerifier, mint};
use unisono_server::{AppOptions, ServiceOptions, SqliteOptions, SqliteStore, SyncService, app};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A log that can be read back.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("nobody panicked").clone()).expect("UTF-8")
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Server {
    app: Router,
    service: SyncService,
    token: String,
}

impl Server {
    async fn start(path: &Path) -> Self {
        let environment: SharedEnvironment = Arc::new(TokioEnvironment);
        let store = SqliteStore::open(path, &SqliteOptions::default()).expect("a database");
        let service = SyncService::open(store, Arc::clone(&environment), ServiceOptions::default());
        let service = service.await.expect("a service");
        let secret = JwtSecret::new(SECRET).expect("a secret");
        let verifier = JwtVerifier::new(&secret, JwtOptions::default(), Arc::clone(&environment));
        let app = app(service.clone(), AppOptions::new(Arc::new(verifier), environment));
        let now = TokioEnvironment.now_ms() / 1000;
        let grant = Grant { sub: "anna".into(), workspaces: vec![], iat: now, exp: now + 60, ..Grant::default() };
        let token = mint(&secret, &grant).expect("a token").expose_secret().to_owned();
        Self { app, service, token }
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> (u16, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
            .expect("a request");
        let response = self.app.clone().oneshot(request).await.expect("an answer");
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.expect("a whole body");
        (status, String::from_utf8(body.to_vec()).expect("UTF-8"))
    }

    async fn push(&self, push_seq: u64, record: &str) -> (u16, String) {
        let body = json!({
            "scope": "user", "account": "anna", "epoch": null, "device_id": "phone", "push_seq": push_seq, "cursor": null,
            "device_now": 1, "events": [{
                "id": format!("event-{push_seq}"), "collection": "samples", "record": record, "action": "create",
                "doc": {"bpm": 120}, "base": 0, "stamp": format!("018bcfe56800-{push_seq:04x}-phone"),
            }],
        });
        self.send("POST", "/api/v1/sync/events", Some(body)).await
    }
}

thread_local! {
    /// What was logged on this thread, once somebody listens.
    static HEARD: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// Writes to the log of the thread that logs.
struct ThisThread;

impl Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        HEARD.with_borrow_mut(|log| log.as_mut().map_or(Ok(bytes.len()), |log| log.write(bytes)))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Collects the log of this thread's tasks, which are a test's own. The subscriber is the process's: whether anybody listens to a
/// line is remembered for all threads, so that one of a thread's own may miss what another thread has found to be unheard.
fn collect_log() -> Log {
    static LISTENS: Once = Once::new();
    LISTENS.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_writer(|| ThisThread).with_ansi(false).finish();
        tracing::subscriber::set_global_default(subscriber).expect("the only one");
    });
    let log = Log::default();
    HEARD.set(Some(log.clone()));
    log
}

#[tokio::test]
async fn a_damaged_first_record_is_a_refusal_and_turns_the_probe_red() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("server.db");
    let server = Server::start(&path).await;
    for (push_seq, record) in [(1, "kick"), (2, "snare")] {
        let (status, body) = server.push(push_seq, record).await;
        assert_eq!(status, 200, "{body}");
    }
    assert_eq!(server.send("GET", "/readyz", None).await, (200, "ready\n".to_owned()));
    server.service.close().await;
    // Still a document, and not what was written.
    let connection = Connection::open(&path).expect("the file");
    let changed = connection.execute("UPDATE record SET doc = '{\"bpm\":121}' WHERE record = 'kick'", []);
    assert_eq!(changed.expect("it is written"), 1);
    drop(connection);

    let log = collect_log();
    let server = Server::start(&path).await;
    for accept in ["", "&limit=1"] {
        let (status, body) = server.send("GET", &format!("/api/v1/sync/changes?scope=user{accept}"), None).await;
        assert_eq!(status, 500, "{body}");
        let problem: Value = serde_json::from_str(&body).expect("a document");
        assert_eq!(problem["code"], "storage_corrupt");
    }
    let (status, body) = server.send("GET", "/readyz", None).await;
    assert!(status == 503 && body.contains("storage_corrupt") && body.contains("`record`"), "{body}");
    // What is not damaged is served.
    assert_eq!(server.send("GET", "/api/v1/sync/digest?scope=user", None).await.0, 200);
    let (_, metrics) = server.send("GET", "/metrics", None).await;
    let counted = "unisono_http_requests_total{route=\"/api/v1/sync/changes\",method=\"GET\",status=\"500\"} 2";
    for line in [counted, "unisono_refusals_total{code=\"storage_corrupt\"} 3"] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
    let text = log.text();
    let cause = text.lines().find(|line| line.contains("ERROR") && line.contains("id=")).expect("a line");
    assert!(cause.contains("account=\"anna\"") && cause.contains("does not match its checksum"), "{cause}");
    assert!(!text.contains("kick") && !text.contains("121"), "{text}");
}

#[tokio::test]
async fn refusals_and_denials_are_in_the_audit_trail_with_who_and_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("server.db");
    let mut server = Server::start(&path).await;
    for _ in 0..3 {
        assert_eq!(server.send("GET", "/api/v1/sync/status?scope=workspace:others", None).await.0, 404);
    }
    let forged = json!({
        "scope": "user", "account": "ben", "epoch": null, "device_id": "phone", "push_seq": 1, "cursor": null, "device_now": 1,
        "events": [],
    });
    assert_eq!(server.send("POST", "/api/v1/sync/events", Some(forged)).await.0, 403);
    server.token.push('x');
    assert_eq!(server.send("GET", "/api/v1/sync/status", None).await.0, 401);
    server.service.close().await;
    let connection = Connection::open(&path).expect("the file");
    let mut rows = connection
        .prepare(
            "SELECT user, outcome, json_extract(detail, '$.count') FROM audit WHERE action = 'refusal' ORDER BY 1, 2",
        )
        .expect("the table");
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("rows");
    let rows: Vec<(String, String, i64)> = rows.collect::<Result<_, _>>().expect("rows");
    let expected = [("", "auth_required", 1), ("anna", "identity_mismatch", 1), ("anna", "scope_not_found", 3)];
    assert_eq!(rows, expected.map(|(user, code, count)| (user.to_owned(), code.to_owned(), count)));
}

#[tokio::test]
async fn only_probes_that_fail_are_worth_a_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("server.db");
    let log = collect_log();
    let server = Server::start(&path).await;
    for probe in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(server.send("GET", probe, None).await.0, 200);
    }
    assert_eq!(log.text(), "");
    server.service.close().await;
    assert_eq!(server.send("GET", "/readyz", None).await.0, 503);
    let text = log.text();
    assert!(text.contains("status=503") && text.contains("code=\"shutting_down\""), "{text}");
}
