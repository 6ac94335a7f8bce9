//! API keys: made, listed, changed and taken back; what each may do, and that it stops at once.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use unisono::Environment;

use crate::api::Api;

const KEYS: &str = "/settings/api-keys";

fn path(key_id: &str) -> String {
    format!("{KEYS}/{key_id}")
}

#[test]
fn a_key_is_made_with_its_secret_and_listed_without() {
    let api = Api::new();
    let token = api.token("anna");
    let draft = json!({"name": "Sampler", "provider": "plugin", "permissions": ["write", "read"]});
    let made = api.call("POST", KEYS, &token, draft);
    assert_eq!(made.status, 201);
    let mut made = made.json();
    let secret = made.as_object_mut().unwrap().remove("secret").unwrap();
    let key_id = made["key_id"].as_str().unwrap().to_owned();
    assert!(secret.as_str().unwrap().starts_with(&format!("unisono_plugin_{key_id}_")));
    let now = api.env.now_ms();
    let expected = json!({
        "key_id": key_id, "name": "Sampler", "provider": "plugin", "permissions": ["read", "write"], "is_active": true,
        "created_at": now, "updated_at": now,
    });
    assert_eq!(made, expected);
    assert_eq!(api.get(KEYS, &token).json(), json!({"api_keys": [expected]}));
    assert_eq!(api.get(KEYS, &api.token("bert")).json(), json!({"api_keys": []}));
    let plain = api.call("POST", KEYS, &token, json!({"name": "x"})).json();
    assert_eq!((&plain["provider"], &plain["permissions"]), (&json!("custom"), &json!(["read"])));
}

#[test]
fn a_key_acts_as_its_user_in_the_private_scope() {
    let api = Api::new();
    let (_, key) = api.key("anna", &["read", "write"]);
    assert_eq!(api.get("/sync/status", &key).json()["account"], "anna");
    let kick = json!({"collection": "samples", "record": "kick", "action": "create", "base": 0, "doc": {"bpm": 120}});
    let pushed = api.push(&key, "anna", "plugin", vec![kick]).json();
    assert_eq!(pushed["receipts"][0]["status"], "applied");
    assert_eq!(api.record(&api.token("anna"), "samples/kick"), Some(json!({"bpm": 120})));
    assert_eq!(api.push(&key, "bert", "plugin", vec![]).refused(), (403, "identity_mismatch".into()));
    // Workspaces are what a login says.
    assert_eq!(api.get("/sync/status?scope=workspace:band", &key).refused(), (404, "scope_not_found".into()));
}

#[test]
fn what_does_not_fit_is_refused_with_its_path() {
    let api = Api::new();
    let token = api.token("anna");
    let now = api.env.now_ms();
    for (body, paths) in [
        (json!({"name": ""}), vec!["/name"]),
        (json!({"name": "x".repeat(101)}), vec!["/name"]),
        (json!({"name": "a\nb", "permissions": []}), vec!["/name", "/permissions"]),
        (json!({"name": "x", "expires_at": now}), vec!["/expires_at"]),
    ] {
        assert_eq!(api.call("POST", KEYS, &token, body.clone()).paths(), paths, "{body}");
    }
    for body in [json!({}), json!({"name": "x", "provider": "other"}), json!({"name": "x", "permissions": ["admin"]})] {
        assert_eq!(api.call("POST", KEYS, &token, body.clone()).refused(), (400, "invalid_request".into()), "{body}");
    }
    let (key_id, _) = api.key("anna", &["read"]);
    let rotate = format!("{}/rotate", path(&key_id));
    assert_eq!(api.call("POST", &rotate, &token, json!({"overlap_s": 604_801})).paths(), ["/overlap_s"]);
    assert_eq!(api.call("PATCH", &path(&key_id), &token, json!({"name": ""})).paths(), ["/name"]);
}

#[test]
fn an_account_has_fifty_keys_at_most() {
    let api = Api::new();
    let token = api.token("anna");
    let ids: Vec<_> = (0..50).map(|_| api.key("anna", &["read"]).0).collect();
    let more = || api.call("POST", KEYS, &token, json!({"name": "one more"}));
    assert_eq!(more().refused(), (409, "too_many_api_keys".into()));
    assert_eq!(api.send(("DELETE", &path(&ids[7])), &token, &[], None).status, 204);
    assert_eq!(more().status, 201);
    assert_eq!(api.call("POST", KEYS, &api.token("bert"), json!({"name": "x"})).status, 201);
}

#[test]
fn anothers_key_looks_like_none() {
    let api = Api::new();
    let (key_id, key) = api.key("anna", &["read"]);
    let other = api.token("bert");
    for (method, path) in [
        ("PATCH", path(&key_id)),
        ("DELETE", path(&key_id)),
        ("PUT", format!("{}/toggle", path(&key_id))),
        ("POST", format!("{}/rotate", path(&key_id))),
    ] {
        let body = json!({"name": "mine"});
        let answer = api.send((method, &path), &other, &[], (method != "DELETE").then_some(&body));
        assert_eq!(answer.refused(), (404, "api_key_not_found".into()), "{method} {path}");
    }
    assert_eq!(api.get("/sync/status", &key).status, 200);
}

#[test]
fn a_key_that_was_switched_off_deleted_or_has_expired_stops_at_once() {
    let api = Api::new();
    let token = api.token("anna");
    let status = |key: &str| api.get("/sync/status", key);
    let (key_id, key) = api.key("anna", &["read"]);
    let toggle = |body: Option<serde_json::Value>| {
        api.send(("PUT", &format!("{}/toggle", path(&key_id))), &token, &[], body.as_ref())
    };
    assert_eq!(toggle(None).json()["is_active"], false);
    assert_eq!(status(&key).refused(), (401, "auth_required".into()));
    assert_eq!(toggle(None).json()["is_active"], true);
    assert_eq!(status(&key).status, 200);
    for active in [false, false, true] {
        assert_eq!(toggle(Some(json!({"is_active": active}))).json()["is_active"], active);
        assert_eq!(status(&key).status == 200, active);
    }
    assert_eq!(api.send(("DELETE", &path(&key_id)), &token, &[], None).status, 204);
    assert_eq!(status(&key).refused(), (401, "auth_required".into()));
    assert_eq!(api.send(("DELETE", &path(&key_id)), &token, &[], None).status, 404);

    let draft = json!({"name": "short", "expires_at": api.env.now_ms() + 1_000});
    let expiring = api.call("POST", KEYS, &token, draft).json()["secret"].as_str().unwrap().to_owned();
    assert_eq!(status(&expiring).status, 200);
    api.env.advance(Duration::from_secs(1));
    assert_eq!(status(&expiring).refused(), (401, "auth_required".into()));
}

#[test]
fn a_rotated_key_has_two_secrets_to_the_end_of_the_overlap() {
    let api = Api::new();
    let token = api.token("anna");
    let (key_id, first) = api.key("anna", &["read"]);
    let rotate = |body: Option<serde_json::Value>| {
        let answer = api.send(("POST", &format!("{}/rotate", path(&key_id))), &token, &[], body.as_ref()).json();
        assert_eq!(answer["key_id"], key_id.as_str());
        answer["secret"].as_str().unwrap().to_owned()
    };
    let good = |key: &str| api.get("/sync/status", key).status == 200;
    let second = rotate(Some(json!({"overlap_s": 60})));
    assert_ne!(first, second);
    assert!(good(&first) && good(&second));
    api.env.advance(Duration::from_millis(59_999));
    assert!(good(&first));
    api.env.advance(Duration::from_millis(1));
    assert!(!good(&first) && good(&second));
    // Without an overlap the former secret ends with the rotation; a second rotation ends the first one's.
    let third = rotate(None);
    assert!(!good(&second) && good(&third));
    let fourth = rotate(Some(json!({"overlap_s": 60})));
    let fifth = rotate(Some(json!({"overlap_s": 60})));
    assert!(!good(&third) && good(&fourth) && good(&fifth));
}

#[test]
fn a_feed_under_way_ends_when_its_key_is_taken_back() {
    let api = Api::new();
    let token = api.token("anna");
    for part in 0..3 {
        let event = |n| json!({"collection": "samples", "record": format!("r{part}-{n}"), "action": "create", "base": 0, "doc": {}});
        api.push(&token, "anna", "phone", (0..500).map(event).collect()).json();
    }
    let (key_id, key) = api.key("anna", &["read"]);
    let lines = |token: &str, between: &dyn Fn()| {
        let response = api.begin(("GET", "/sync/changes?scope=user"), token, &[], None);
        let mut body = response.into_body().into_data_stream();
        let first = api.env.block_on(body.next()).unwrap().unwrap();
        between();
        let mut rest = Vec::new();
        while let Some(part) = api.env.block_on(body.next()) {
            rest.push(part.map(|part| part.len()));
        }
        (first.len(), rest)
    };
    let (_, whole) = lines(&key, &|| {});
    assert!(whole.len() >= 2 && whole.iter().all(Result::is_ok), "{whole:?}");
    let off = || drop(api.send(("PUT", &format!("{}/toggle", path(&key_id))), &token, &[], None).json());
    let (first, cut) = lines(&key, &off);
    assert!(first > 0);
    assert!(cut.len() == 1 && cut[0].is_err(), "nothing more, and no trailer: {cut:?}");
}

#[test]
fn the_last_use_is_told_to_the_minute() {
    let api = Api::new();
    let token = api.token("anna");
    let (_, key) = api.key("anna", &["read"]);
    let last = || api.get(KEYS, &token).json()["api_keys"][0]["last_used"].as_u64();
    let began = api.env.now_ms();
    assert_eq!(last(), None);
    for (after, told) in [(0, 0), (59_999, 0), (1, 60_000), (30_000, 60_000), (30_000, 120_000)] {
        api.env.advance(Duration::from_millis(after));
        assert_eq!(api.get("/sync/status", &key).status, 200);
        assert_eq!(last(), Some(began + told));
    }
    // A refused key was not used.
    let wrong = format!("{}0", &key[..key.len() - 1]);
    api.env.advance(Duration::from_secs(600));
    api.get("/sync/status", &wrong);
    assert_eq!(last(), Some(began + 120_000));
}

#[test]
fn a_key_of_an_account_that_was_deleted_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("unisono.db");
    let store = unisono_server::SqliteStore::open(&file, &unisono_server::SqliteOptions::default()).unwrap();
    drop(store);
    let api = Api::in_file(&file);
    let (_, key) = api.key("anna", &["read"]);
    assert_eq!(api.get("/sync/status", &key).status, 200);
    api.env.block_on(api.service.close());
    let store = unisono_server::SqliteStore::open(&file, &unisono_server::SqliteOptions::default()).unwrap();
    let audit = unisono_server::store::AuditRow::new(0, "operator", "delete_account", json!({}));
    api.env.block_on(async {
        unisono_server::Store::attach(&store, api.env.shared()).await.unwrap();
        assert!(store.delete_scope(unisono_server::store::ScopeKey::account("anna"), audit).await.unwrap());
        unisono_server::Store::close(&store).await.unwrap();
    });
    let api = Api::in_file(&file);
    assert_eq!(api.get("/sync/status", &key).refused(), (401, "auth_required".into()));
}
