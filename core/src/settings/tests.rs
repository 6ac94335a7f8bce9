//! The settings' table, and what is held to it.

use serde_json::json;

use super::*;
use crate::model::{SyncEvent, Value};

fn preferences(document: Value) -> Vec<(String, FieldRule)> {
    check_values(PREFERENCES, &document).into_iter().map(|error| (error.path, error.rule)).collect()
}

fn event(record: &str, content: Value) -> SyncEvent {
    let mut event = json!({
        "id": "019a3f2c-11d0-7000-8000-000000000001", "collection": SETTINGS, "record": record, "action": "update",
        "base": 0, "stamp": "019a3f2c11d0-0000-device", "schema": 1, "mode": "merge"
    });
    event.as_object_mut().unwrap().extend(content.as_object().unwrap().clone());
    serde_json::from_value(event).unwrap()
}

#[test]
fn every_default_fits_its_field() {
    for fields in [PROFILE, PREFERENCES] {
        assert_eq!(check_values(fields, &defaults(fields)), []);
        for field in fields {
            let default: Value = serde_json::from_str(field.default).expect(field.path);
            assert_eq!(
                crate::model::Pointer::parse(field.path).unwrap().find(&defaults(fields)),
                Some(&default).filter(|value| !value.is_null())
            );
        }
    }
}

#[test]
fn a_value_beyond_its_bounds_is_named_with_its_path_and_what_is_allowed() {
    let wrong = json!({
        "ui": {"theme": "mauve", "language": "en_GB", "waveform_color": "#12", "compact": "yes", "sidebar": 1},
        "cloud_sync": {"interval_s": 4, "collections": ["a", "a"], "default_policy": "mine"},
        "notifications": {"events": {"mention": 1}, "quiet_hours": {"from": "24:00", "to": "7:00", "time_zone": "Europe/"}},
    });
    let found = preferences(wrong);
    let expected = [
        ("/ui/theme", FieldRule::Choice),
        ("/ui/language", FieldRule::Format),
        ("/ui/compact", FieldRule::Type),
        ("/ui/waveform_color", FieldRule::Format),
        ("/ui/sidebar", FieldRule::Type),
        ("/notifications/events", FieldRule::Format),
        ("/notifications/quiet_hours/from", FieldRule::Format),
        ("/notifications/quiet_hours/to", FieldRule::Format),
        ("/notifications/quiet_hours/time_zone", FieldRule::Format),
        ("/cloud_sync/interval_s", FieldRule::Range),
        ("/cloud_sync/collections", FieldRule::Format),
        ("/cloud_sync/default_policy", FieldRule::Choice),
    ];
    assert_eq!(found, expected.map(|(path, rule)| (path.to_owned(), rule)));
    let error = &check_values(PREFERENCES, &json!({"cloud_sync": {"interval_s": 86_401}}))[0];
    assert_eq!(error.allowed, "a whole number, 5 to 86400");
    for (interval, rule) in [
        (json!(5), None),
        (json!(86_400), None),
        (json!(5.5), Some(FieldRule::Type)),
        (json!(u64::MAX), Some(FieldRule::Range)),
    ] {
        assert_eq!(preferences(json!({"cloud_sync": {"interval_s": interval}})).pop().map(|(_, rule)| rule), rule);
    }
}

#[test]
fn texts_are_held_to_their_forms_and_lengths() {
    let profile = |document: Value| check_values(PROFILE, &document).into_iter().map(|error| error.rule).next();
    for good in ["a@b", "first.last+tag@example.org"] {
        assert_eq!(profile(json!({"email": good})), None, "{good}");
    }
    for bad in ["", "a", "@b", "a@", "a@b@c", "a b@c"] {
        assert_eq!(profile(json!({"email": bad})), Some(FieldRule::Format), "{bad}");
    }
    assert_eq!(profile(json!({"avatar_url": "javascript:alert(1)"})), Some(FieldRule::Format));
    assert_eq!(profile(json!({"avatar_url": "https://example.org/a.png"})), None);
    assert_eq!(profile(json!({"bio": "é".repeat(1000)})), None, "characters count, not bytes");
    assert_eq!(profile(json!({"bio": "x".repeat(1001)})), Some(FieldRule::Length));
    for time in ["+5:00", "00:60", "0:00", "00:0", "ab:cd"] {
        assert_eq!(preferences(json!({"notifications": {"quiet_hours": {"from": time}}})).len(), 1, "{time}");
    }
}

#[test]
fn what_is_above_a_field_has_to_be_an_object_and_is_told_once() {
    assert_eq!(preferences(json!({"ui": 5})), [("/ui".to_owned(), FieldRule::Type)]);
    assert_eq!(preferences(json!([])), [(String::new(), FieldRule::Type)]);
    assert_eq!(preferences(json!({"ui": null, "cloud_sync": {"enabled": null}})), [], "null stands for: not chosen");
}

#[test]
fn what_a_newer_version_knows_is_taken_as_it_is() {
    assert_eq!(preferences(json!({"ui": {"density": {"x": [1, 2.5]}}, "next": true})), []);
    let event = event(
        "preferences",
        json!({"ops": [{"op": "set", "path": "/ui/density", "value": 3}, {"op": "set", "path": "/next", "value": {}}]}),
    );
    assert_eq!(check_event(&event), Ok(()));
}

#[test]
fn an_event_is_held_to_the_table_wherever_its_operation_begins() {
    let refused = |record, content| -> Vec<String> {
        match check_event(&event(record, content)) {
            Err(Refusal::Values(errors)) => errors.into_iter().map(|error| error.path).collect(),
            other => panic!("{other:?}"),
        }
    };
    let set = |path: &str, value: Value| json!({"ops": [{"op": "set", "path": path, "value": value}]});
    assert_eq!(refused("preferences", set("/ui/theme", json!("mauve"))), ["/ui/theme"]);
    assert_eq!(refused("preferences", set("/ui", json!({"theme": 1, "compact": 1}))), ["/ui/theme", "/ui/compact"]);
    assert_eq!(refused("preferences", set("/ui/theme/x", json!(1))), ["/ui/theme"]);
    assert_eq!(refused("device:d1", set("/preferences/ui/theme", json!("mauve"))), ["/preferences/ui/theme"]);
    assert_eq!(refused("profile", json!({"action": "create", "doc": {"email": "nobody"}})), ["/email"]);
    assert_eq!(check_event(&event("group:editor", set("/anything", json!([1])))), Ok(()));
    assert_eq!(check_event(&event("device:d1", set("/groups/editor/zoom", json!(2)))), Ok(()));
    let counted = json!({"ops": [{"op": "inc", "path": "/cloud_sync/interval_s", "by": 1}]});
    assert!(matches!(check_event(&event("preferences", counted)), Err(Refusal::Operation(_))));
    for name in ["other", "device:", "group:", "group:a b"] {
        assert!(matches!(check_event(&event(name, set("/x", json!(1)))), Err(Refusal::UnknownRecord(_))), "{name}");
    }
}

#[test]
fn the_narrowest_level_that_has_a_field_wins_and_others_shine_through() {
    let broad = json!({"ui": {"theme": "light", "compact": true}, "list": [1, 2], "a": 1});
    let narrow = json!({"ui": {"theme": "dark", "compact": null}, "list": [], "b": {"c": 1}});
    let expected = json!({"ui": {"theme": "dark", "compact": true}, "list": [], "a": 1, "b": {"c": 1}});
    assert_eq!(merged(broad, &narrow), expected);
}

#[test]
fn a_default_that_comes_back_is_no_choice_and_neither_is_a_reset_of_nothing() {
    let effective = merged(defaults(PREFERENCES), &json!({"ui": {"theme": "dark"}}));
    let stored = json!({"ui": {"theme": "dark"}});
    assert_eq!(overrides(effective.clone(), &effective, &stored), json!({}));
    let patch = json!({"ui": {"theme": null, "compact": null, "language": "de"}, "cloud_sync": {"interval_s": 60}, "new": {"x": 1}});
    assert_eq!(
        overrides(patch, &effective, &stored),
        json!({"ui": {"theme": null, "language": "de"}, "new": {"x": 1}})
    );
    // Back to what the default is, but as a choice: what holds now is another.
    assert_eq!(overrides(json!({"ui": {"theme": "system"}}), &effective, &stored), json!({"ui": {"theme": "system"}}));
}

#[test]
fn documents_and_records_name_each_other() {
    for document in [Document::Profile, Document::Preferences, Document::group("editor.v2").unwrap()] {
        assert_eq!(Document::of_record(document.record().unwrap().as_str()), Some(document));
    }
    for bad in ["", "a/b", "a:b", "é", &"x".repeat(129)] {
        assert_eq!(Document::group(bad).unwrap_err().code(), "invalid_id", "{bad}");
    }
}
