//! Profile, preferences, storage: what requests write reaches devices, and the other way round.

use serde_json::{Value, json};

use crate::api::{Api, create, set};

const PREFERENCES: &str = "/settings/preferences";
const USER: &str = "/settings/user";

#[test]
fn a_default_is_told_and_never_stored() {
    let api = Api::new();
    let token = api.token("anna");
    let read = api.get(PREFERENCES, &token);
    let document = read.json();
    assert_eq!(document["ui"]["theme"], "system");
    assert_eq!(document["cloud_sync"]["interval_s"], 60);
    assert_eq!(read.etag(), "\"0\"");
    // The whole document sent back as it was read is no choice.
    let written = api.call("PUT", PREFERENCES, &token, document.clone());
    assert_eq!((written.json(), written.etag()), (document, "\"0\""));
    assert_eq!(api.records(&token), []);
}

#[test]
fn only_what_differs_is_stored_and_a_reset_takes_it_away() {
    let api = Api::new();
    let token = api.token("anna");
    let body = json!({"ui": {"theme": "dark", "language": "en"}, "cloud_sync": {"interval_s": 300}});
    let written = api.call("PATCH", PREFERENCES, &token, body);
    assert_eq!(written.json()["ui"]["theme"], "dark");
    assert_eq!(written.etag(), "\"1\"");
    let stored = || api.record(&token, "$settings/preferences");
    assert_eq!(stored(), Some(json!({"ui": {"theme": "dark"}, "cloud_sync": {"interval_s": 300}})));
    let reset = api.call("PATCH", PREFERENCES, &token, json!({"ui": {"theme": null}}));
    assert_eq!(reset.json()["ui"]["theme"], "system");
    assert_eq!(stored(), Some(json!({"cloud_sync": {"interval_s": 300}, "ui": {}})));
    api.assert_sound("anna");
}

#[test]
fn a_put_replaces_what_is_known_and_keeps_what_is_not() {
    let api = Api::new();
    let token = api.token("anna");
    let doc = json!({"ui": {"theme": "dark", "future": [1]}, "later": {"a": 1}, "notifications": {"events": {"a": true, "b": false}}});
    api.push(&token, "anna", "phone", vec![create("preferences", doc)]).json();
    let body = json!({"ui": {"compact": true}, "notifications": {"events": {"b": false, "c": true}}});
    let written = api.call("PUT", PREFERENCES, &token, body).json();
    assert_eq!((&written["ui"]["theme"], &written["ui"]["compact"]), (&json!("system"), &json!(true)));
    assert_eq!(written["notifications"]["events"], json!({"b": false, "c": true}));
    assert_eq!((&written["ui"]["future"], &written["later"]), (&json!([1]), &json!({"a": 1})));
    let stored = json!({"ui": {"compact": true, "future": [1]}, "later": {"a": 1}, "notifications": {"events": {"b": false, "c": true}}});
    assert_eq!(api.record(&token, "$settings/preferences"), Some(stored));
}

#[test]
fn what_a_request_writes_reaches_devices_and_what_a_device_writes_reaches_requests() {
    let api = Api::new();
    let token = api.token("anna");
    api.call("PUT", USER, &token, json!({"username": "Anna", "email": "anna@example.com"})).json();
    let profile = json!({"username": "Anna", "email": "anna@example.com"});
    assert_eq!(api.record(&token, "$settings/profile"), Some(profile));
    let pushed = api.push(&token, "anna", "phone", vec![set("profile", 1, "/username", json!("Anna B"))]).json();
    assert_eq!(pushed["receipts"][0]["status"], "applied");
    for method in ["GET", "POST"] {
        let user = api.send((method, USER), &token, &[], None);
        assert_eq!(user.etag(), "\"2\"");
        let user = user.json();
        assert_eq!(
            (&user["username"], &user["email"], &user["bio"]),
            (&json!("Anna B"), &json!("anna@example.com"), &Value::Null)
        );
        assert_eq!(user["user_id"], "anna");
        assert!(user["storage_used"].as_u64() > Some(0));
    }
    // Its own columns go with the record, and it with them.
    api.assert_sound("anna");
    assert_eq!(api.get(USER, &api.token("bert")).json()["username"], Value::Null);
}

#[test]
fn what_the_server_counts_is_not_written() {
    let api = Api::new();
    let token = api.token("anna");
    let mut user = api.get(USER, &token).json();
    user["bio"] = json!("drums");
    user["storage_used"] = json!(0);
    user["user_id"] = json!("bert");
    api.call("PUT", USER, &token, user).json();
    assert_eq!(api.record(&token, "$settings/profile"), Some(json!({"bio": "drums"})));
}

#[test]
fn with_if_match_only_the_document_that_was_read_is_changed() {
    let api = Api::new();
    let token = api.token("anna");
    let write = |tag: &str, theme: &str| {
        let body = json!({"ui": {"theme": theme}});
        api.send(("PATCH", PREFERENCES), &token, &[("if-match", tag)], Some(&body))
    };
    assert_eq!(write("\"1\"", "dark").refused(), (412, "precondition_failed".into()));
    assert_eq!(write("\"0\"", "dark").etag(), "\"1\"");
    assert_eq!(write("\"0\"", "light").refused(), (412, "precondition_failed".into()));
    assert_eq!(write("W/\"1\"", "light").refused(), (412, "precondition_failed".into()), "a weak tag matches nothing");
    // Another field has changed since: the document is another one.
    api.push(&token, "anna", "phone", vec![set("preferences", 1, "/ui/compact", json!(true))]).json();
    assert_eq!(write("\"1\"", "light").refused(), (412, "precondition_failed".into()));
    assert_eq!(write("\"2\", \"7\"", "light").etag(), "\"3\"");
    assert_eq!(write("*", "system").json()["ui"]["theme"], "system");
}

#[test]
fn without_if_match_what_is_overwritten_is_noted() {
    let api = Api::new();
    let token = api.token("anna");
    api.push(&token, "anna", "phone", vec![create("preferences", json!({"ui": {"theme": "light"}}))]).json();
    // The device's clock runs ahead: the server, which took its stamp, is later all the same.
    let written = api.call("PATCH", PREFERENCES, &token, json!({"ui": {"theme": "dark"}}));
    assert_eq!(written.json()["ui"]["theme"], "dark");
    let notes: Vec<_> = api.records(&token).into_iter().filter(|(name, _)| name.starts_with("$conflicts/")).collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert_eq!(notes[0].1["losers"][0]["value"], "light");
    api.assert_sound("anna");
}

#[test]
fn a_request_is_later_than_what_the_scope_holds() {
    let api = Api::new();
    let token = api.token("anna");
    let ahead = format!("{:012x}-0000-phone", unisono::Environment::now_ms(&api.env) + 59_000);
    let mut event = create("preferences", json!({"ui": {"theme": "light"}}));
    event["ops"] = json!([]);
    let pushed = api.push(&token, "anna", "phone", vec![event]).json();
    assert_eq!(pushed["receipts"][0]["status"], "applied");
    let ops = json!([{"op": "set", "path": "/ui/theme", "value": "system", "stamp": ahead}]);
    let event = json!({"collection": "$settings", "record": "preferences", "action": "update", "base": 1, "ops": ops});
    api.push(&token, "anna", "phone", vec![event]).json();
    let written = api.call("PATCH", PREFERENCES, &token, json!({"ui": {"theme": "dark"}}));
    assert_eq!(written.json()["ui"]["theme"], "dark");
}

#[test]
fn after_a_delete_a_request_begins_anew() {
    let api = Api::new();
    let token = api.token("anna");
    api.push(&token, "anna", "phone", vec![create("preferences", json!({"ui": {"theme": "light"}}))]).json();
    let delete = json!({"collection": "$settings", "record": "preferences", "action": "delete", "base": 1});
    api.push(&token, "anna", "phone", vec![delete]).json();
    assert_eq!(api.get(PREFERENCES, &token).json()["ui"]["theme"], "system");
    let revived =
        api.push(&token, "anna", "phone", vec![create("preferences", json!({"ui": {"compact": true}}))]).json();
    assert_eq!(revived["receipts"][0]["status"], "applied");
    let written = api.call("PATCH", PREFERENCES, &token, json!({"ui": {"theme": "dark"}})).json();
    assert_eq!((&written["ui"]["theme"], &written["ui"]["compact"]), (&json!("dark"), &json!(true)));
    api.assert_sound("anna");
}

#[test]
fn a_repeated_request_takes_effect_once() {
    let api = Api::new();
    let token = api.token("anna");
    let write = |theme: &str| {
        let body = json!({"ui": {"theme": theme}});
        api.send(("PATCH", PREFERENCES), &token, &[("idempotency-key", "once"), ("if-match", "\"0\"")], Some(&body))
    };
    assert_eq!(write("dark").etag(), "\"1\"");
    api.push(&token, "anna", "phone", vec![set("preferences", 1, "/ui/theme", json!("light"))]).json();
    // Its answer was lost; what came since stands.
    let again = write("dark");
    assert_eq!((again.etag(), &again.json()["ui"]["theme"]), ("\"2\"", &json!("light")));
    assert_eq!(write("system").refused(), (422, "id_reused".into()));
    let long = "k".repeat(257);
    for bad in ["", long.as_str()] {
        let body = json!({"ui": {"theme": "dark"}});
        let answer = api.send(("PATCH", PREFERENCES), &token, &[("idempotency-key", bad)], Some(&body));
        assert_eq!(answer.refused(), (400, "invalid_idempotency_key".into()), "{bad}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_its_path() {
    let api = Api::new();
    let token = api.token("anna");
    for (path, body, paths) in [
        (PREFERENCES, json!({"cloud_sync": {"interval_s": 4}}), vec!["/cloud_sync/interval_s"]),
        (PREFERENCES, json!({"cloud_sync": {"interval_s": 86_401}}), vec!["/cloud_sync/interval_s"]),
        (PREFERENCES, json!({"ui": {"theme": "blue", "language": 1}}), vec!["/ui/theme", "/ui/language"]),
        (PREFERENCES, json!({"ui": 1}), vec!["/ui"]),
        (PREFERENCES, json!([]), vec![""]),
        (USER, json!({"email": "nobody"}), vec!["/email"]),
        (USER, json!({"bio": "x".repeat(1_001)}), vec!["/bio"]),
    ] {
        assert_eq!(api.call("PUT", path, &token, body.clone()).paths(), paths, "{body}");
    }
    assert_eq!(api.call("PATCH", PREFERENCES, &token, json!({"ui": {"theme": "blue"}})).paths(), ["/ui/theme"]);
    assert_eq!(api.call("PATCH", PREFERENCES, &token, json!({"later": "\u{0}"})).refused().0, 422);
    assert_eq!(api.records(&token), [], "nothing was applied");
}

#[test]
fn the_switch_is_a_preference() {
    let api = Api::new();
    let token = api.token("anna");
    let off = api.send(("POST", "/sync/disable"), &token, &[], None).json();
    assert_eq!(off["enabled"], false);
    assert_eq!(api.record(&token, "$settings/preferences"), Some(json!({"cloud_sync": {"enabled": false}})));
    assert_eq!(api.get("/sync/status", &token).json()["enabled"], false);
    let on = json!({"cloud_sync": {"enabled": true}});
    api.call("PATCH", PREFERENCES, &token, on).json();
    assert_eq!(api.get("/sync/status", &token).json()["enabled"], true);
    assert_eq!(api.send(("POST", "/sync/enable"), &token, &[], None).json()["enabled"], true);
}

#[test]
fn a_device_cannot_take_the_name_under_which_requests_write() {
    let api = Api::new();
    let token = api.token("anna");
    assert_eq!(api.push(&token, "anna", "rest:anna", vec![]).refused(), (400, "invalid_request".into()));
}

#[test]
fn an_account_with_the_longest_name_writes_too() {
    let api = Api::new();
    let name = "n".repeat(256);
    let token = api.token(&name);
    assert_eq!(api.call("PATCH", PREFERENCES, &token, json!({"ui": {"theme": "dark"}})).etag(), "\"1\"");
}

#[test]
fn storage_is_told_by_collection_with_its_quota() {
    let api = Api::new();
    let token = api.token("anna");
    let kick = json!({"collection": "samples", "record": "kick", "action": "create", "base": 0, "doc": {"bpm": 120}});
    api.push(&token, "anna", "phone", vec![kick]).json();
    api.env.block_on(api.service.set_quota("anna", Some(1_000))).unwrap();
    let told = api.get("/settings/storage", &token).json();
    let collections = json!([{"collection": "samples", "records": 1, "bytes": 11}]);
    assert_eq!(told, json!({"storage_used": 11, "storage_quota": 1_000, "collections": collections}));
    let other = api.get("/settings/storage", &api.token("bert")).json();
    assert_eq!(other, json!({"storage_used": 0, "collections": []}));
}
