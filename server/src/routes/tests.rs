//! The whole app without a network: every route, every kind of refusal.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, ORIGIN, RETRY_AFTER, UPGRADE,
    VARY, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use axum::routing::get;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tower::ServiceExt;
use unisono::protocol::{PROBLEM_JSON, PROTOCOL_HEADER, Page, Problem, ProblemCode, StatusResponse, SyncSwitch};
use utoipa::openapi::path::HttpMethod;

use super::{openapi, table};
use crate::app::{AppOptions, AppState, app, enclose};
use crate::auth::{Grant, JwtOptions, JwtSecret, JwtVerifier, mint};
use crate::limits::BodyLimits;
use crate::store::SqliteStore;
use crate::sync::{ServiceOptions, SyncService};
use crate::telemetry::REQUEST_ID;
use crate::testing::{NOW, SECRET, environment};

const ORIGIN_OF_APP: &str = "https://app.example.com";

pub(super) async fn service() -> SyncService {
    let store = SqliteStore::in_memory().unwrap();
    SyncService::open(store, environment(), ServiceOptions::default()).await.unwrap()
}

fn options() -> AppOptions {
    let secret = JwtSecret::new(SECRET).unwrap();
    let verifier = JwtVerifier::new(&secret, JwtOptions::default(), environment());
    AppOptions {
        origins: vec![HeaderValue::from_static(ORIGIN_OF_APP)],
        body: BodyLimits { encoded_bytes: 20_000, decoded_bytes: 20_000, events: 3, ..BodyLimits::default() },
        ..AppOptions::new(Arc::new(verifier), environment())
    }
}

async fn server() -> Router {
    app(service().await, options())
}

fn token(user: &str) -> String {
    token_until(user, NOW + 60)
}

fn expired(user: &str) -> String {
    token_until(user, NOW - 60)
}

fn token_until(user: &str, exp: u64) -> String {
    let grant = Grant { sub: user.into(), workspaces: vec!["band".into()], iat: NOW, exp, ..Grant::default() };
    format!("Bearer {}", mint(&JwtSecret::new(SECRET).unwrap(), &grant).unwrap().expose_secret())
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        assert_eq!(self.status, StatusCode::OK, "{:?}", self.body);
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Every error has this form, whatever made it.
    fn problem(&self) -> Problem {
        assert_eq!(self.header(CONTENT_TYPE), Some(PROBLEM_JSON), "{} {:?}", self.status, self.body);
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.status, self.status.as_u16());
        assert!(!problem.code.is_empty() && !problem.title.is_empty(), "{problem:?}");
        assert_eq!(problem.request_id.as_deref(), self.header(REQUEST_ID));
        let known = ProblemCode::ALL.iter().any(|code| problem.is(*code));
        assert!(known || problem.code == format!("http_{}", problem.status), "{} is in no document", problem.code);
        problem
    }

    pub(super) fn refused(&self) -> (u16, String) {
        let problem = self.problem();
        (problem.status, problem.code)
    }
}

pub(super) async fn send(app: &Router, request: Request<Body>) -> Answer {
    let asked = (request.uri().path().to_owned(), request.method().as_str().to_lowercase());
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let answer = Answer { status: parts.status, headers: parts.headers, body: to_bytes(body, 1 << 20).await.unwrap() };
    assert_documented(&asked.0, &asked.1, &answer);
    answer
}

/// Whatever a route answers stands in the OpenAPI document: its status, and of a refusal the code.
fn assert_documented(path: &str, method: &str, answer: &Answer) {
    let document: Value = serde_json::from_str(openapi::text()).unwrap();
    let Some(operation) = document["paths"][path].get(method) else { return };
    let response = &operation["responses"][answer.status.as_str()];
    assert!(response.is_object(), "{method} {path}: {} is in no document", answer.status);
    if answer.status.is_client_error() || answer.status.is_server_error() {
        let codes = &response["content"][PROBLEM_JSON]["schema"]["allOf"][1]["properties"]["code"]["enum"];
        let code = answer.problem().code;
        assert!(codes.as_array().unwrap().contains(&json!(code)), "{method} {path}: {code} is not in {codes}");
    }
}

pub(super) fn request(
    method: &str,
    path: &str,
    headers: &[(HeaderName, &str)],
    body: impl Into<Body>,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    request.body(body.into()).unwrap()
}

async fn get_as(app: &Router, user: &str, path: &str) -> Answer {
    send(app, request("GET", path, &[(AUTHORIZATION, &token(user))], Body::empty())).await
}

async fn push_as(app: &Router, user: &str, body: impl Into<Body>) -> Answer {
    let headers = [(AUTHORIZATION, &*token(user)), (CONTENT_TYPE, "application/json")];
    send(app, request("POST", "/api/v1/sync/events", &headers, body)).await
}

fn event(n: usize) -> Value {
    json!({
        "id": format!("019a3f2c-0000-7000-8000-00000000000{n}"), "collection": "samples", "record": format!("r{n}"),
        "action": "create", "doc": {"bpm": 120}, "base": 0, "stamp": "018bcfe56800-0001-d1",
    })
}

fn push_of(account: &str, events: usize) -> Value {
    json!({
        "scope": "user", "account": account, "epoch": null, "device_id": "d1", "push_seq": 1, "cursor": null,
        "device_now": NOW * 1000, "events": (0..events).map(event).collect::<Vec<_>>(),
    })
}

pub(super) fn name_of(method: &HttpMethod) -> String {
    serde_json::to_value(method).unwrap().as_str().unwrap().to_uppercase()
}

const ROUTES: [(&str, &str); 26] = [
    ("DELETE", "/api/v1/settings/api-keys/{key_id}"),
    ("GET", "/api/v1/settings/api-keys"),
    ("GET", "/api/v1/settings/preferences"),
    ("GET", "/api/v1/settings/storage"),
    ("GET", "/api/v1/settings/user"),
    ("GET", "/api/v1/sync/changes"),
    ("GET", "/api/v1/sync/digest"),
    ("GET", "/api/v1/sync/stats"),
    ("GET", "/api/v1/sync/status"),
    ("GET", "/api/v1/sync/values"),
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/readyz"),
    ("PATCH", "/api/v1/settings/api-keys/{key_id}"),
    ("PATCH", "/api/v1/settings/preferences"),
    ("POST", "/api/v1/settings/api-keys"),
    ("POST", "/api/v1/settings/api-keys/{key_id}/rotate"),
    ("POST", "/api/v1/settings/user"),
    ("POST", "/api/v1/sync/disable"),
    ("POST", "/api/v1/sync/enable"),
    ("POST", "/api/v1/sync/events"),
    ("POST", "/api/v1/sync/now"),
    ("PUT", "/api/v1/settings/api-keys/{key_id}/toggle"),
    ("PUT", "/api/v1/settings/preferences"),
    ("PUT", "/api/v1/settings/user"),
];

#[tokio::test]
async fn api9_the_openapi_document_names_exactly_the_routes_that_answer() {
    let expected: BTreeSet<_> = ROUTES.into_iter().map(|(method, path)| (method.to_owned(), path.to_owned())).collect();
    let listed: BTreeSet<_> = table().iter().map(|route| (name_of(&route.method), route.path.clone())).collect();
    assert_eq!(listed, expected);

    let app = server().await;
    let document: Value = send(&app, request("GET", "/openapi.json", &[], Body::empty())).await.json();
    let documented: BTreeSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())))
        .collect();
    assert_eq!(documented, expected);

    for (_, path) in ROUTES {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
            let answer = send(&app, request(method, path, &[], Body::empty())).await;
            let is_route = expected.contains(&(method.to_owned(), path.to_owned()));
            match (is_route, method) {
                (true, _) if path.starts_with("/api/") => {
                    assert_eq!(answer.refused(), (401, "auth_required".into()), "{method} {path}");
                }
                (true, _) => assert_eq!(answer.status, StatusCode::OK, "{method} {path}"),
                // CORS preflights have no other answer.
                (false, "OPTIONS") => assert_eq!(answer.status, StatusCode::OK),
                (false, _) => {
                    assert_eq!(answer.refused(), (405, "method_not_allowed".into()), "{method} {path}");
                    assert!(answer.header(ALLOW).is_some_and(|allow| !allow.is_empty()), "{method} {path}");
                }
            }
        }
    }
}

/// All values of `$ref` in a document.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, field)| match field.as_str() {
            Some(target) if name == "$ref" => drop(found.insert(target.to_owned())),
            _ => references(field, found),
        }),
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn the_openapi_document_is_whole() {
    let document: Value = serde_json::from_str(openapi::text()).unwrap();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.contains("#/components/schemas/Op"), "{found:?}");
    for reference in &found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let secured = operation["security"] == json!([{"bearer": []}]);
            assert_eq!(secured, path.starts_with("/api/"), "{method} {path}");
            assert!(operation["summary"].is_string(), "{method} {path}");
        }
    }
}

#[test]
fn every_code_is_documented_for_a_route_or_stands_for_none() {
    let document: Value = serde_json::from_str(openapi::text()).unwrap();
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let responses = operations.flat_map(|operation| operation["responses"].as_object().unwrap().iter());
    let mut found = BTreeSet::new();
    for (status, response) in responses {
        assert_ne!(status, "default", "nothing undocumented could be told from it");
        let codes = &response["content"][PROBLEM_JSON]["schema"]["allOf"][1]["properties"]["code"]["enum"];
        found.extend(codes.as_array().into_iter().flatten().map(|code| code.as_str().unwrap().to_owned()));
    }
    let of_no_route = [ProblemCode::NotFound, ProblemCode::MethodNotAllowed].map(ProblemCode::as_str);
    for code in ProblemCode::ALL {
        assert_eq!(found.contains(code.as_str()), !of_no_route.contains(&code.as_str()), "{}", code.as_str());
    }
}

#[test]
fn the_schemas_say_what_is_refused_by_its_form() {
    let document: Value = serde_json::from_str(openapi::text()).unwrap();
    let parameters = document["paths"]["/api/v1/sync/changes"]["get"]["parameters"].as_array().unwrap();
    let schema = |name: &str| {
        let schema = &parameters.iter().find(|parameter| parameter["name"] == name).unwrap()["schema"];
        let reference = schema.get("$ref").or_else(|| schema["oneOf"][1].get("$ref"));
        let target = reference.map(|target| target.as_str().unwrap().trim_start_matches('#'));
        target.map_or_else(|| schema.clone(), |target| document.pointer(target).unwrap().clone())
    };
    assert_eq!((&schema("limit")["minimum"], &schema("limit")["maximum"]), (&json!(1), &json!(10_000)));
    assert_eq!(schema("scope")["pattern"], r"^(user|workspace:[^\x00]+)$");
    assert_eq!((&schema("device")["minLength"], &schema("device")["maxLength"]), (&json!(1), &json!(256)));
    assert_eq!(schema("bucket")["maximum"], 255);
    assert_eq!(document["components"]["schemas"]["PushRequest_SyncEvent"]["properties"]["push_seq"]["minimum"], 1);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_with_a_document() {
    let app = server().await;
    let long = format!("/api/v1/sync/status?scope={}", "a".repeat(16 << 10));
    assert_eq!(get_as(&app, "alice", &long).await.refused(), (414, "uri_too_long".into()));
    let cookie = "a".repeat(32 << 10);
    let headers = [(HeaderName::from_static("cookie"), cookie.as_str())];
    let answer = send(&app, request("GET", "/healthz", &headers, Body::empty())).await;
    assert_eq!(answer.refused(), (431, "headers_too_large".into()));
}

#[tokio::test]
async fn unknown_routes_are_404_in_the_form_of_all_errors() {
    let app = server().await;
    for path in ["/", "/api/v1", "/api/v1/sync/events/", "/api/v2/sync/events", "/API/v1/sync/status", "/%2e%2e/etc"] {
        let answer = send(&app, request("GET", path, &[], Body::empty())).await;
        assert_eq!(answer.refused(), (404, "not_found".into()), "{path}");
    }
}

#[tokio::test]
async fn api2_without_a_good_token_nothing_is_answered_and_no_body_is_read() {
    let app = server().await;
    let stranger = format!("{}x", token("alice"));
    let late = expired("alice");
    let mut told = BTreeSet::new();
    for authorization in [None, Some("Basic YTpi"), Some(stranger.as_str()), Some(late.as_str()), Some("Bearer a.b.c")]
    {
        let mut headers = vec![(CONTENT_TYPE, "text/nonsense"), (REQUEST_ID, "one-and-the-same")];
        headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
        let unread = Body::from_stream(futures_util::stream::poll_fn(
            |_| -> std::task::Poll<Option<Result<Bytes, io::Error>>> { panic!("the body was read") },
        ));
        let answer = send(&app, request("POST", "/api/v1/sync/events", &headers, unread)).await;
        assert_eq!(answer.refused(), (401, "auth_required".into()));
        assert_eq!(answer.header(WWW_AUTHENTICATE), Some("Bearer"));
        told.insert(answer.body);
    }
    assert_eq!(told.len(), 1, "nobody learns by trying what is right about a credential: {told:?}");
}

#[tokio::test]
async fn api1_another_accounts_scope_does_not_exist() {
    let app = server().await;
    for (path, status) in [("scope=workspace:band", 200), ("scope=workspace:other", 404), ("scope=workspace:none", 404)]
    {
        for route in ["changes", "digest", "stats", "status"] {
            let answer = get_as(&app, "alice", &format!("/api/v1/sync/{route}?{path}")).await;
            assert_eq!(answer.status, status, "{route} {path}");
            if status == 404 {
                assert_eq!(answer.problem().code, "scope_not_found");
            }
        }
        let value = get_as(&app, "alice", &format!("/api/v1/sync/values?{path}&note=n&sha256=00")).await;
        let code = if status == 200 { "value_not_found" } else { "scope_not_found" };
        assert_eq!(value.refused(), (404, code.into()));
    }
}

#[tokio::test]
async fn a_push_gets_a_receipt_per_event_and_counts_by_outcome() {
    let app = server().await;
    let answer: Value = push_as(&app, "alice", push_of("alice", 2).to_string()).await.json();
    let receipts = answer["receipts"].as_array().unwrap();
    let ids: Vec<_> = receipts.iter().map(|receipt| receipt["id"].clone()).collect();
    assert_eq!(ids, [event(0)["id"].clone(), event(1)["id"].clone()]);
    let metrics = send(&app, request("GET", "/metrics", &[], Body::empty())).await;
    let metrics = std::str::from_utf8(&metrics.body).unwrap();
    assert!(metrics.contains("unisono_push_events_total{outcome=\"applied\"} 2\n"), "{metrics}");
    let counted = "unisono_http_requests_total{route=\"/api/v1/sync/events\",method=\"POST\",status=\"200\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    let headers = [(AUTHORIZATION, &*token("alice")), (ACCEPT, "application/json")];
    let page = send(&app, request("GET", "/api/v1/sync/changes?scope=user", &headers, Body::empty())).await;
    assert_eq!(page.json::<Page>().changes.len(), 2);
}

#[tokio::test]
async fn b8_a_push_for_another_account_is_refused_whole() {
    let app = server().await;
    let answer = push_as(&app, "mallory", push_of("alice", 1).to_string()).await;
    assert_eq!(answer.refused(), (403, "identity_mismatch".into()));
}

#[tokio::test]
async fn a_malformed_push_is_refused_with_its_reason() {
    let app = server().await;
    for (body, status, code) in [
        (String::new(), 400, "invalid_json"),
        ("{".into(), 400, "invalid_json"),
        ("[]".into(), 400, "invalid_request"),
        ("{}".into(), 400, "invalid_request"),
        (push_of("alice", 1).to_string().replace("\"user\"", "\"planet:1\""), 400, "invalid_request"),
        (format!("{}{}", "[".repeat(97), "]".repeat(97)), 400, "nesting_too_deep"),
        (push_of("alice", 4).to_string(), 413, "push_too_large"),
        (" ".repeat(20_001), 413, "payload_too_large"),
    ] {
        let answer = push_as(&app, "alice", body.clone()).await;
        assert_eq!(answer.refused(), (status, code.into()), "{body:.60}");
    }
    let headers = [(AUTHORIZATION, &*token("alice")), (CONTENT_TYPE, "text/plain")];
    let answer = send(&app, request("POST", "/api/v1/sync/events", &headers, "{}")).await;
    assert_eq!(answer.refused(), (415, "unsupported_media_type".into()));
    let headers = [(AUTHORIZATION, &*token("alice")), (CONTENT_TYPE, "application/json"), (CONTENT_ENCODING, "br")];
    let answer = send(&app, request("POST", "/api/v1/sync/events", &headers, "{}")).await;
    assert_eq!(answer.refused(), (415, "unsupported_encoding".into()));
    assert_eq!(answer.header(ACCEPT_ENCODING), Some("gzip, zstd"));
}

#[tokio::test]
async fn i15_errors_do_not_quote_the_body() {
    let app = server().await;
    for body in [r#"{"scope":"canary"}"#, r#"{"scope":{"canary":1}}"#, r#"{"canary":canary}"#] {
        let answer = push_as(&app, "alice", body).await;
        assert_eq!(answer.status, 400);
        assert!(!String::from_utf8_lossy(&answer.body).contains("canary"), "{:?}", answer.body);
    }
}

#[tokio::test]
async fn queries_are_checked_and_a_feed_comes_in_both_forms() {
    let app = server().await;
    for query in [
        "",
        "scope=",
        "scope=planet",
        "scope=user&limit=0",
        "scope=user&limit=10001",
        "scope=user&limit=-1",
        "scope=user&limit=x",
        "scope=user&bucket=256",
        "scope=user&device=",
        "scope=user&scope=user",
        "scope=%FF",
    ] {
        let answer = get_as(&app, "alice", &format!("/api/v1/sync/changes?{query}")).await;
        assert_eq!(answer.refused(), (400, "invalid_query".into()), "{query}");
    }
    let answer = get_as(&app, "alice", "/api/v1/sync/changes?scope=user&cursor=nonsense").await;
    assert_eq!(answer.status, 400, "{:?}", answer.body);

    let lines = get_as(&app, "alice", "/api/v1/sync/changes?scope=user&limit=10&future=1").await;
    assert_eq!((lines.status.as_u16(), lines.header(CONTENT_TYPE)), (200, Some("application/x-ndjson")));
    let last: Value =
        serde_json::from_slice(lines.body.trim_ascii().rsplit(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!(last["kind"], "trailer");

    let headers = [(AUTHORIZATION, &*token("alice")), (ACCEPT, "application/json")];
    let page = send(&app, request("GET", "/api/v1/sync/changes?scope=user", &headers, Body::empty())).await;
    assert_eq!(page.header(CONTENT_TYPE), Some("application/json"));
    assert!(!page.json::<Page>().trailer.more);
}

#[tokio::test]
async fn status_tells_who_one_is_and_switches_switch() {
    let app = server().await;
    let status: StatusResponse = get_as(&app, "alice", "/api/v1/sync/status").await.json();
    assert_eq!((status.account.as_str(), status.server_now, status.enabled), ("alice", NOW * 1000, true));
    for (path, enabled) in [("disable", false), ("now", false), ("enable", true)] {
        let headers = [(AUTHORIZATION, &*token("alice"))];
        let answer = send(&app, request("POST", &format!("/api/v1/sync/{path}"), &headers, Body::empty())).await;
        assert_eq!(answer.json::<SyncSwitch>().enabled, enabled, "{path}");
    }
    assert_eq!(get_as(&app, "alice", "/api/v1/sync/digest?scope=user").await.status, 200);
    assert_eq!(get_as(&app, "alice", "/api/v1/sync/stats?scope=user").await.status, 200);
}

#[tokio::test]
async fn protocol_versions_are_negotiated_before_anything_else() {
    let app = server().await;
    let header = HeaderName::from_static(PROTOCOL_HEADER);
    for (versions, status, code) in [
        ("1-1", 401, "auth_required"),
        ("1-99", 401, "auth_required"),
        ("2-3", 426, "unsupported_protocol"),
        ("0-0", 426, "unsupported_protocol"),
        ("nonsense", 400, "invalid_protocol_header"),
    ] {
        let headers = [(header.clone(), versions)];
        let answer = send(&app, request("GET", "/api/v1/sync/status", &headers, Body::empty())).await;
        assert_eq!(answer.refused(), (status, code.into()), "{versions}");
        assert_eq!(answer.header(UPGRADE).is_some(), status == 426);
        assert_eq!(answer.header(header.clone()), (status == 401).then_some("1"));
    }
    // Operators' machines speak no sync protocol.
    let answer = send(&app, request("GET", "/healthz", &[(header, "2-3")], Body::empty())).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_request_id_is_taken_over_if_it_can_stand_in_a_log_and_made_otherwise() {
    let app = server().await;
    let of = async |id: Option<&str>| {
        let headers: Vec<_> = id.map(|id| (REQUEST_ID, id)).into_iter().collect();
        send(&app, request("GET", "/nowhere", &headers, Body::empty())).await.problem().request_id.unwrap()
    };
    assert_eq!(of(Some("trace-1:a.b_c")).await, "trace-1:a.b_c");
    let mut made = BTreeSet::new();
    let long = "a".repeat(129);
    for id in [None, Some(""), Some("a b"), Some("a\tb"), Some("<script>"), Some(long.as_str())] {
        let id_made = of(id).await;
        assert!(id_made.len() == 32 && id_made.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id:?} → {id_made}");
        assert!(made.insert(id_made), "{id:?}");
    }
}

#[tokio::test]
async fn api8_only_listed_origins_may_call_and_never_with_cookies() {
    let app = server().await;
    let preflight = async |origin: &str| {
        let headers = [
            (ORIGIN, origin),
            (HeaderName::from_static("access-control-request-method"), "POST"),
            (HeaderName::from_static("access-control-request-headers"), "authorization,unisono-protocol"),
        ];
        send(&app, request("OPTIONS", "/api/v1/sync/events", &headers, Body::empty())).await
    };
    let allowed = preflight(ORIGIN_OF_APP).await;
    assert_eq!(allowed.header(ACCESS_CONTROL_ALLOW_ORIGIN), Some(ORIGIN_OF_APP));
    for origin in ["https://evil.example", "https://app.example.com.evil.example", "http://app.example.com", "null"] {
        let refused = preflight(origin).await;
        assert_eq!(refused.header(ACCESS_CONTROL_ALLOW_ORIGIN), None, "{origin}");
    }
    // Errors must be readable to the page too.
    let error = send(&app, request("GET", "/api/v1/sync/status", &[(ORIGIN, ORIGIN_OF_APP)], Body::empty())).await;
    assert_eq!(error.refused().0, 401);
    for answer in [&allowed, &error] {
        assert_eq!(answer.header(ACCESS_CONTROL_ALLOW_ORIGIN), Some(ORIGIN_OF_APP));
        assert_eq!(answer.header(ACCESS_CONTROL_ALLOW_CREDENTIALS), None);
        let vary: Vec<_> = answer.headers.get_all(VARY).iter().map(|value| value.to_str().unwrap()).collect();
        assert!(vary.join(",").to_lowercase().contains("origin"), "{vary:?}");
    }
    let readable = error.header(ACCESS_CONTROL_EXPOSE_HEADERS).unwrap_or_default();
    for name in ["unisono-protocol", "retry-after", "x-request-id", "etag"] {
        assert!(readable.split(',').any(|exposed| exposed == name), "{name}: {readable}");
    }
}

#[tokio::test]
async fn answers_are_compressed_for_whoever_asks_and_never_cached_or_sniffed() {
    let app = server().await;
    for coding in ["gzip", "zstd"] {
        let answer = send(&app, request("GET", "/openapi.json", &[(ACCEPT_ENCODING, coding)], Body::empty())).await;
        assert_eq!(answer.header(CONTENT_ENCODING), Some(coding));
    }
    let answer = send(&app, request("GET", "/openapi.json", &[], Body::empty())).await;
    assert_eq!(answer.header(CONTENT_ENCODING), None);
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn a_closed_service_is_not_ready_and_says_when_to_come_back() {
    let service = service().await;
    let app = app(service.clone(), options());
    assert_eq!(send(&app, request("GET", "/readyz", &[], Body::empty())).await.status, 200);
    service.close().await;
    for answer in [
        send(&app, request("GET", "/readyz", &[], Body::empty())).await,
        get_as(&app, "alice", "/api/v1/sync/status").await,
    ] {
        assert_eq!(answer.status, 503);
        let wait = answer.problem().retry_after.unwrap();
        assert_eq!(answer.header(RETRY_AFTER), Some(wait.to_string().as_str()));
    }
    assert_eq!(send(&app, request("GET", "/healthz", &[], Body::empty())).await.status, 200);
}

#[tokio::test]
async fn i16_a_defect_in_a_handler_is_a_500_and_foreign_errors_get_documents_too() {
    async fn defect() -> &'static str {
        panic!("canary")
    }
    let state = AppState::new(service().await, options());
    let router =
        Router::new().route("/defect", get(defect)).route("/teapot", get(|| async { StatusCode::IM_A_TEAPOT }));
    let app = enclose(router, state, Vec::new());
    let answer = send(&app, request("GET", "/defect", &[], Body::empty())).await;
    assert_eq!(answer.refused(), (500, "internal".into()));
    assert!(!String::from_utf8_lossy(&answer.body).contains("canary"));
    let answer = send(&app, request("GET", "/teapot", &[], Body::empty())).await;
    assert_eq!(answer.refused(), (418, "http_418".into()));
}

#[tokio::test]
async fn methods_beyond_the_known_do_not_make_the_metrics_grow() {
    let app = server().await;
    for n in 0..50 {
        let method = Method::from_bytes(format!("BREW{n}").as_bytes()).unwrap();
        send(&app, request(method.as_str(), &format!("/coffee/{n}"), &[], Body::empty())).await;
    }
    let metrics = send(&app, request("GET", "/metrics", &[], Body::empty())).await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(text.contains("{route=\"unmatched\",method=\"other\",status=\"404\"} 50"), "{text}");
    assert!(!text.contains("BREW") && !text.contains("coffee"), "{text}");
}
