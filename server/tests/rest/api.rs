//! The routes without a network.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, Response};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tower::ServiceExt;
use unisono::Environment;
use unisono::testing::TestEnvironment;
use unisono_server::auth::{Grant, Issuer, JwtOptions, JwtSecret, JwtVerifier, mint};
use unisono_server::{AppOptions, ServiceOptions, SqliteOptions, SqliteStore, SyncService, app};

const SECRET: &str = "a-secret-of-the-login-service-1234567890";

/// A server.
pub struct Api {
    pub env: TestEnvironment,
    pub service: SyncService,
    pub app: Router,
    pushes: std::cell::Cell<u64>,
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        assert!((200..300).contains(&self.status), "{} {:?}", self.status, self.body);
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and code of a refusal.
    pub fn refused(&self) -> (u16, String) {
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        (self.status, problem["code"].as_str().unwrap().to_owned())
    }

    /// The fields that a 422 names.
    pub fn paths(&self) -> Vec<String> {
        assert_eq!(self.refused(), (422, "settings_invalid".into()), "{:?}", self.body);
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        let path = |error: &Value| error["path"].as_str().unwrap().to_owned();
        problem["errors"].as_array().unwrap().iter().map(path).collect()
    }

    pub fn etag(&self) -> &str {
        self.headers["etag"].to_str().unwrap()
    }
}

impl Api {
    pub fn new() -> Self {
        Self::on(SqliteStore::in_memory().unwrap())
    }

    pub fn in_file(path: &Path) -> Self {
        Self::on(SqliteStore::open(path, &SqliteOptions::default()).unwrap())
    }

    fn on(store: SqliteStore) -> Self {
        let secret = JwtSecret::new(SECRET).unwrap();
        Self::with(store, |env| JwtVerifier::new(&secret, JwtOptions::default(), env.shared()))
    }

    /// A server that accepts tokens of these issuers, all signed with one secret.
    pub fn of_issuers(names: &[&str]) -> Self {
        let secret = [(None, JwtSecret::new(SECRET).unwrap())];
        let issuer = |name: &&str| {
            let options = JwtOptions { issuer: Some((*name).to_owned()), ..JwtOptions::default() };
            Issuer::with_secrets(options, &secret)
        };
        let issuers = names.iter().map(issuer).collect();
        Self::with(SqliteStore::in_memory().unwrap(), |env| JwtVerifier::of_issuers(issuers, None, env.shared()))
    }

    fn with(store: SqliteStore, verifier: impl FnOnce(&TestEnvironment) -> JwtVerifier) -> Self {
        let env = TestEnvironment::new(5);
        let service = env.block_on(SyncService::open(store, env.shared(), ServiceOptions::default())).unwrap();
        let verifier = verifier(&env);
        let app = app(service.clone(), AppOptions::new(Arc::new(verifier), env.shared()));
        Self { env, service, app, pushes: std::cell::Cell::new(0) }
    }

    /// A token of the login service.
    pub fn token(&self, user: &str) -> String {
        self.token_of(None, user)
    }

    /// A token of one of several.
    pub fn token_of(&self, issuer: Option<&str>, user: &str) -> String {
        let now = self.env.now_ms() / 1000;
        let grant = Grant {
            sub: user.into(),
            workspaces: vec!["band".into()],
            iat: now,
            exp: now + 3_600,
            iss: issuer.map(str::to_owned),
            aud: None,
            jti: None,
        };
        mint(&JwtSecret::new(SECRET).unwrap(), &grant).unwrap().expose_secret().to_owned()
    }

    /// The answer as it begins.
    pub fn begin(
        &self,
        request: (&str, &str),
        token: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Response<Body> {
        let (method, path) = request;
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        request = request.header("authorization", format!("Bearer {token}"));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.env.block_on(self.app.clone().oneshot(request.body(body).unwrap())).unwrap()
    }

    pub fn send(&self, request: (&str, &str), token: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let (parts, body) = self.begin(request, token, headers, body).into_parts();
        let body = self.env.block_on(to_bytes(body, 16 << 20)).unwrap();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub fn get(&self, path: &str, token: &str) -> Answer {
        self.send(("GET", path), token, &[], None)
    }

    pub fn call(&self, method: &str, path: &str, token: &str, body: Value) -> Answer {
        self.send((method, path), token, &[], Some(&body))
    }

    /// Makes a key: its id, and itself.
    pub fn key(&self, user: &str, permissions: &[&str]) -> (String, String) {
        let draft = json!({"name": "test", "permissions": permissions});
        let made = self.call("POST", "/settings/api-keys", &self.token(user), draft);
        assert_eq!(made.status, 201, "{:?}", made.body);
        let made = made.json();
        (made["key_id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
    }

    /// Pushes events to a user's private scope; each is told by collection, record, action and the rest.
    pub fn push(&self, token: &str, account: &str, device: &str, events: Vec<Value>) -> Answer {
        self.pushes.set(self.pushes.get() + 1);
        let stamp = format!("{:012x}-0000-{device}", self.env.now_ms());
        let number = self.pushes.get();
        let events: Vec<_> = events
            .into_iter()
            .enumerate()
            .map(|(place, mut event)| {
                let fields = event.as_object_mut().unwrap();
                fields.insert("id".into(), json!(format!("{device}-{number}-{place}")));
                fields.insert("stamp".into(), json!(stamp));
                event
            })
            .collect();
        let request = json!({
            "scope": "user", "account": account, "epoch": null, "device_id": device, "push_seq": number, "cursor": null,
            "device_now": self.env.now_ms(), "events": events,
        });
        self.call("POST", "/sync/events", token, request)
    }

    /// The live documents of a user's private scope, by collection and record.
    pub fn records(&self, token: &str) -> Vec<(String, Value)> {
        let page =
            self.send(("GET", "/sync/changes?scope=user"), token, &[("accept", "application/json")], None).json();
        let changes = page["changes"].as_array().unwrap().iter().filter(|change| change["kind"] == "put");
        let name = |change: &Value| {
            format!("{}/{}", change["collection"].as_str().unwrap(), change["record"].as_str().unwrap())
        };
        changes.map(|change| (name(change), change["doc"].clone())).collect()
    }

    pub fn record(&self, token: &str, name: &str) -> Option<Value> {
        self.records(token).into_iter().find(|(found, _)| found == name).map(|(_, doc)| doc)
    }

    pub fn assert_sound(&self, user: &str) {
        let principal = unisono_server::Principal::new(user);
        let verified = self.env.block_on(self.service.verify(&principal, unisono::model::Scope::User));
        assert_eq!(verified.unwrap(), Vec::<String>::new());
    }
}

/// A create on `$settings`.
pub fn create(record: &str, doc: Value) -> Value {
    json!({"collection": "$settings", "record": record, "action": "create", "base": 0, "doc": doc})
}

/// An update on `$settings` that sets one field.
pub fn set(record: &str, base: u64, path: &str, value: Value) -> Value {
    let ops = json!([{"op": "set", "path": path, "value": value}]);
    json!({"collection": "$settings", "record": record, "action": "update", "base": base, "ops": ops})
}
