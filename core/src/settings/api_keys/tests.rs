//! API keys and storage over a server that is made of answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::engine::NetworkKind;
use crate::error::ErrorKind;
use crate::platform::BoxFuture;
use crate::protocol::{
    ChangesRequest, CollectionStorage, KeyPermission, KeyProvider, NewApiKey, Problem, PushRequest, PushResponse,
};
use crate::settings::SettingsClient;
use crate::storage::MemoryStorage;
use crate::testing::TestEnvironment;
use crate::transport::{ChangeReader, Method, RequestContext, Response, Transport, TransportError};

const SECRET: &str = "unisono_plugin_k1_canary";

/// A server: what it answers by path, and what it was asked.
#[derive(Debug, Default)]
struct Answers {
    by_path: Mutex<BTreeMap<&'static str, Value>>,
    asked: Mutex<Vec<(Method, String, Option<Value>)>>,
}

fn gone<T>() -> Result<T, TransportError> {
    Err(TransportError::Unreachable("no route".into()))
}

impl Transport for Answers {
    fn push<'a>(
        &'a self,
        _: &'a RequestContext,
        _: &'a PushRequest,
    ) -> BoxFuture<'a, Result<PushResponse, TransportError>> {
        Box::pin(async { gone() })
    }

    fn changes<'a>(
        &'a self,
        _: &'a RequestContext,
        _: &'a ChangesRequest,
    ) -> BoxFuture<'a, Result<Box<dyn ChangeReader>, TransportError>> {
        Box::pin(async { gone() })
    }

    fn request<'a>(
        &'a self,
        context: &'a RequestContext,
        method: Method,
        path: &'a str,
        body: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Response, TransportError>> {
        assert_eq!(context.token.as_ref().map(|token| token.expose_secret()), Some("token"));
        let body = body.map(|body| serde_json::from_slice(&body).unwrap());
        if path != "/sync/status" {
            self.asked.lock().unwrap().push((method, path.to_owned(), body));
        }
        let answer = self.by_path.lock().unwrap().get(path).cloned();
        Box::pin(async move {
            match answer {
                None => gone(),
                Some(Value::String(code)) => Err(TransportError::problem(Problem::new(422, code, "refused"))),
                Some(answer) => Ok(Response { status: 200, body: answer.to_string().into_bytes(), etag: None }),
            }
        })
    }
}

fn key() -> Value {
    json!({"key_id": "k1", "name": "Sampler", "provider": "plugin", "permissions": ["read", "write"], "is_active": true,
           "created_at": 1, "updated_at": 2})
}

fn with_secret() -> Value {
    let mut key = key();
    key["secret"] = json!(SECRET);
    key
}

fn setup(answers: impl IntoIterator<Item = (&'static str, Value)>) -> (TestEnvironment, Arc<Answers>, SettingsClient) {
    let environment = TestEnvironment::new(1);
    let server = Arc::new(Answers::default());
    let status = json!({"server_now": 1_760_000_000_000_u64, "server_id": "s", "account": "anna", "protocol": [1, 1],
                        "revision": 0, "enabled": true});
    server.by_path.lock().unwrap().extend(answers.into_iter().chain([("/sync/status", status)]));
    let builder = crate::Client::builder()
        .storage(MemoryStorage::new())
        .transport(server.clone())
        .environment(environment.clone())
        .account("anna")
        .token("token");
    let settings = environment.block_on(SettingsClient::open(builder)).unwrap();
    (environment, server, settings)
}

#[test]
fn a_new_keys_secret_is_told_once_and_never_shown() {
    let (environment, server, settings) =
        setup([("/settings/api-keys", with_secret()), ("/settings/api-keys/k1/rotate", with_secret())]);
    let new = NewApiKey {
        name: "Sampler".into(),
        provider: KeyProvider::Plugin,
        permissions: vec![KeyPermission::Read, KeyPermission::Write],
        expires_at: None,
    };
    let made = environment.block_on(settings.api_keys().create(&new)).unwrap();
    assert_eq!((made.secret.expose_secret(), made.key.key_id.as_str()), (SECRET, "k1"));
    let rotated = environment.block_on(settings.api_keys().rotate("k1", Duration::from_secs(3600))).unwrap();
    for issued in [made, rotated] {
        assert!(!format!("{issued:?}").contains("canary"), "{issued:?}");
    }
    let body = json!({"name": "Sampler", "provider": "plugin", "permissions": ["read", "write"]});
    let expected = [
        (Method::Post, "/settings/api-keys".to_owned(), Some(body)),
        (Method::Post, "/settings/api-keys/k1/rotate".to_owned(), Some(json!({"overlap_s": 3600}))),
    ];
    assert_eq!(*server.asked.lock().unwrap(), expected);
    assert_eq!(environment.block_on(settings.client().pending()).unwrap(), [], "keys are no records");
}

#[test]
fn an_answer_that_does_not_fit_is_not_quoted() {
    let (environment, _, settings) =
        setup([("/settings/api-keys", json!({"api_keys": "canary", "secret": ["canary"]}))]);
    let error = environment.block_on(settings.api_keys().list()).unwrap_err();
    assert_eq!(error.code(), "malformed_answer");
    assert!(!error.to_string().contains("canary") && !format!("{error:?}").contains("canary"), "{error:?}");
}

#[test]
fn keys_are_listed_renamed_switched_and_deleted_by_their_ids() {
    let (environment, server, settings) = setup([
        ("/settings/api-keys", json!({"api_keys": [key()]})),
        ("/settings/api-keys/a%2Fb", key()),
        ("/settings/api-keys/k1/toggle", key()),
    ]);
    let keys = settings.api_keys();
    assert_eq!(environment.block_on(keys.list()).unwrap()[0].last_used, None);
    environment.block_on(keys.rename("a/b", "New")).unwrap();
    environment.block_on(keys.set_active("k1", false)).unwrap();
    environment.block_on(keys.delete("a/b")).unwrap();
    let asked = server.asked.lock().unwrap().clone();
    let expected = [
        (Method::Get, "/settings/api-keys", None),
        (Method::Patch, "/settings/api-keys/a%2Fb", Some(json!({"name": "New"}))),
        (Method::Put, "/settings/api-keys/k1/toggle", Some(json!({"is_active": false}))),
        (Method::Delete, "/settings/api-keys/a%2Fb", None),
    ];
    assert_eq!(asked, expected.map(|(method, path, body)| (method, path.to_owned(), body)));
}

#[test]
fn what_only_a_server_has_is_offline_without_one_and_refused_as_the_server_refuses() {
    let (environment, server, settings) = setup([("/settings/api-keys/k1/rotate", json!("settings_invalid"))]);
    let keys = settings.api_keys();
    let error = environment.block_on(keys.list()).unwrap_err();
    assert_eq!((error.code(), error.kind(), error.retryable()), ("offline", ErrorKind::Offline, true));
    let refused = environment.block_on(keys.rotate("k1", Duration::from_secs(1_000_000))).unwrap_err();
    assert_eq!((refused.code(), refused.retryable()), ("settings_invalid", false));
    server.asked.lock().unwrap().clear();
    settings.client().set_network(NetworkKind::Offline);
    assert_eq!(environment.block_on(keys.list()).unwrap_err().code(), "offline");
    assert_eq!(*server.asked.lock().unwrap(), [], "nobody is asked where the app says that there is no network");
    environment.block_on(settings.client().close()).unwrap();
    assert_eq!(environment.block_on(keys.list()).unwrap_err().code(), "closed");
}

#[test]
fn a_binding_asks_in_json_and_is_refused_as_others_are() {
    let (environment, server, settings) = setup([
        ("/settings/api-keys", json!({"api_keys": [key()]})),
        ("/settings/api-keys/k1/rotate", json!("settings_invalid")),
    ]);
    let ask = |method, path: &str, body: Option<Value>| {
        environment.block_on(settings.ask(method, path, body.map(|body| body.to_string().into_bytes())))
    };
    assert_eq!(ask(Method::Get, "/api-keys", None).unwrap(), json!({"api_keys": [key()]}));
    let refused = ask(Method::Post, "/api-keys/k1/rotate", Some(json!({"overlap_s": 1})));
    assert_eq!(refused.unwrap_err().code(), "settings_invalid");
    assert_eq!(ask(Method::Get, "/storage", None).unwrap_err().code(), "offline");
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(asked[1], (Method::Post, "/settings/api-keys/k1/rotate".to_owned(), Some(json!({"overlap_s": 1}))));
}

#[test]
fn storage_is_what_the_server_counts_and_an_estimate_without_it() {
    let told = json!({"storage_used": 10, "storage_quota": 100, "collections": [{"collection": "samples", "records": 1, "bytes": 10}]});
    let (environment, server, settings) = setup([("/settings/storage", told)]);
    let online = environment.block_on(settings.storage()).unwrap();
    assert_eq!((online.stats.storage_used, online.stats.storage_quota, online.is_estimate), (10, Some(100), false));

    server.by_path.lock().unwrap().remove("/settings/storage");
    for n in 0..300 {
        let doc = json!({"n": n % 10});
        environment.block_on(settings.client().collection("samples").create(&format!("s{n}"), doc)).unwrap();
    }
    environment.block_on(settings.client().collection("samples").delete("s0")).unwrap();
    environment.block_on(settings.client().collection("kits").create("k", json!({}))).unwrap();
    let offline = environment.block_on(settings.storage()).unwrap();
    let of = |collection: &str, records, bytes| CollectionStorage { collection: collection.into(), records, bytes };
    assert_eq!(offline.stats.collections, [of("kits", 1, 2), of("samples", 299, 299 * 7)]);
    assert_eq!((offline.stats.storage_used, offline.stats.storage_quota), (299 * 7 + 2, None));
    assert!(offline.is_estimate);
}
