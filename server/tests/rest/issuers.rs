//! Two issuers that name two people alike.

use serde_json::json;

use crate::api::Api;

#[test]
fn two_people_whom_two_issuers_name_alike_have_nothing_in_common() {
    let api = Api::of_issuers(&["https://a", "https://b"]);
    let [a, b] = ["https://a", "https://b"].map(|issuer| api.token_of(Some(issuer), "anna"));
    let kick = json!({"collection": "samples", "record": "kick", "action": "create", "base": 0, "doc": {"bpm": 120}});
    assert_eq!(api.push(&a, "anna", "phone", vec![kick.clone()]).json()["receipts"][0]["status"], "applied");
    assert_eq!(api.call("PUT", "/settings/user", &a, json!({"bio": "of a"})).status, 200);
    let made = api.call("POST", "/settings/api-keys", &a, json!({"name": "plugin"})).json();
    let key = made["secret"].as_str().unwrap();

    assert_eq!(api.records(&b), []);
    assert_eq!(api.get("/settings/user", &b).json()["bio"], json!(null));
    assert_eq!(api.get("/settings/api-keys", &b).json(), json!({"api_keys": []}));
    // A key is its account's, and devices name the account as their tokens do.
    assert_eq!(api.record(key, "samples/kick"), Some(json!({"bpm": 120})));
    for credential in [key, &a, &b] {
        assert_eq!(api.get("/sync/status", credential).json()["account"], "anna");
    }
    // Nor do members of workspaces of one name meet.
    assert_eq!(api.get("/sync/status?scope=workspace:band", &b).status, 200);
    let band = json!({
        "scope": "workspace:band", "account": "anna", "epoch": null, "device_id": "phone", "push_seq": 1, "cursor": null,
        "device_now": 0, "events": [{"id": "e1", "stamp": "000000000001-0000-phone", "collection": "samples",
            "record": "snare", "action": "create", "base": 0, "doc": {}}],
    });
    assert_eq!(api.call("POST", "/sync/events", &a, band).json()["receipts"][0]["status"], "applied");
    let revision = |token: &str| api.get("/sync/status?scope=workspace:band", token).json()["revision"].clone();
    assert_eq!((revision(&a), revision(&b)), (json!(1), json!(0)));
}
