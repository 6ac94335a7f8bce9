//! Settings: what is stored, what holds on which device, and how they drive sync.

use serde_json::json;
use unisono::client::Client;
use unisono::engine::{NetworkKind, Withheld};
use unisono::model::{Scope, Value};
use unisono::settings::{Level, SETTINGS};
use unisono::testing::CallKind;
use unisono_tests::{Device, World, millis};

/// What the server holds of a record of settings.
fn stored(world: &World, record: &str) -> Option<Value> {
    let state = world.server_state("anna", &Scope::User);
    let found = state.into_iter().find(|(key, _)| key.collection.as_str() == SETTINGS && key.record.as_str() == record);
    found.map(|(_, doc)| serde_json::from_slice(&doc).unwrap())
}

fn theme(world: &World, client: &Client) -> Value {
    world.run(client.settings().preferences().get()).unwrap()["ui"]["theme"].clone()
}

fn update(world: &World, device: &Device, patch: Value) {
    world.run(device.client.settings().preferences().update(patch)).unwrap().expect("a change");
}

/// Both devices, synced one after the other until each has what the other wrote.
fn settle(world: &World, devices: &[&Device]) {
    for device in devices.iter().chain(devices) {
        device.synced(world);
    }
}

#[test]
fn a_new_device_pushes_no_default_over_what_the_user_has_chosen() {
    let world = World::new(1);
    let a = world.device("anna");
    update(&world, &a, json!({"ui": {"theme": "dark"}}));
    a.synced(&world);
    let b = world.device("anna");
    let all = world.run(b.client.settings().preferences().get()).unwrap();
    assert_eq!(all["ui"]["theme"], "system", "the default, until the first sync");
    // What a form sends back as it was read is no choice.
    assert_eq!(world.run(b.client.settings().preferences().update(all)).unwrap(), None);
    assert_eq!(b.synced(&world).pushed, 0, "to read and to show settings makes no event");
    assert_eq!(theme(&world, &b.client), "dark");
    assert_eq!(
        stored(&world, "preferences"),
        Some(json!({"ui": {"theme": "dark"}})),
        "what was chosen, and nothing else"
    );
}

#[test]
fn a_reset_takes_a_choice_back_everywhere() {
    let world = World::new(2);
    let (a, b) = (world.device("anna"), world.device("anna"));
    update(&world, &a, json!({"ui": {"theme": "dark", "compact": true}}));
    settle(&world, &[&a, &b]);
    let (ours, theirs) = (a.client.settings().preferences(), b.client.settings().preferences());
    assert_eq!(world.run(theirs.level("/ui/theme")).unwrap(), Level::User);
    assert!(world.run(theirs.reset("/ui/theme")).unwrap());
    assert!(!world.run(theirs.reset("/ui/theme")).unwrap(), "there is nothing left to take back");
    settle(&world, &[&b, &a]);
    assert_eq!(theme(&world, &a.client), "system");
    assert!(!world.run(ours.is_overridden("/ui/theme")).unwrap());
    assert_eq!(stored(&world, "preferences"), Some(json!({"ui": {"compact": true}})));
    world.run(ours.reset("ui")).unwrap();
    settle(&world, &[&a, &b]);
    assert!(!world.run(theirs.is_overridden("ui")).unwrap());
}

#[test]
fn what_is_chosen_for_one_device_holds_on_that_device_only() {
    let world = World::new(3);
    let (mut a, b) = (world.device("anna"), world.device("anna"));
    update(&world, &b, json!({"ui": {"theme": "light"}}));
    settle(&world, &[&b, &a]);
    let here = a.client.settings().preferences();
    world.run(here.at(Level::Device).unwrap().update(json!({"ui": {"theme": "dark"}}))).unwrap();
    settle(&world, &[&a, &b]);
    assert_eq!((theme(&world, &a.client), theme(&world, &b.client)), (json!("dark"), json!("light")));
    assert_eq!(world.run(here.level("/ui/theme")).unwrap(), Level::Device);
    a.restart(&world);
    assert_eq!(theme(&world, &a.client), "dark");
    // Without a level, a reset takes back what holds here: the device's choice and the user's.
    assert!(world.run(a.client.settings().preferences().reset("/ui/theme")).unwrap());
    settle(&world, &[&a, &b]);
    assert_eq!((theme(&world, &a.client), theme(&world, &b.client)), (json!("system"), json!("system")));
}

#[test]
fn a_workspace_gives_what_its_members_have_not_chosen() {
    let world = World::new(4);
    let (a, b) = (world.device("anna"), world.device("anna"));
    let band = world.run(a.client.settings().in_workspace("band")).unwrap().preferences();
    world.run(band.at(Level::Workspace).unwrap().update(json!({"ui": {"theme": "dark", "language": "de"}}))).unwrap();
    a.synced(&world);
    let theirs = world.run(b.client.settings().in_workspace("band")).unwrap().preferences();
    world.run(theirs.update(json!({"ui": {"language": "fr"}}))).unwrap();
    b.synced(&world);
    let ui = world.run(theirs.get()).unwrap()["ui"].clone();
    assert_eq!((&ui["theme"], &ui["language"]), (&json!("dark"), &json!("fr")));
    assert_eq!(world.run(theirs.level("/ui/theme")).unwrap(), Level::Workspace);
    assert_eq!(theme(&world, &b.client), "system", "outside of the workspace it gives nothing");
    assert_eq!(b.client.settings().preferences().at(Level::Workspace).unwrap_err().code(), "invalid_config");
}

#[test]
fn concurrent_choices_of_one_field_leave_a_note_and_those_of_two_merge() {
    let world = World::new(5);
    let (a, b) = (world.device("anna"), world.device("anna"));
    update(&world, &a, json!({"ui": {"theme": "dark"}}));
    world.pass(1);
    update(&world, &b, json!({"ui": {"theme": "light"}, "analysis": {"detect_key": false}}));
    settle(&world, &[&a, &b]);
    for device in [&a, &b] {
        let all = world.run(device.client.settings().preferences().get()).unwrap();
        assert_eq!((&all["ui"]["theme"], &all["analysis"]["detect_key"]), (&json!("light"), &json!(false)));
        let notes = world.run(device.client.conflicts()).unwrap();
        assert_eq!(notes.len(), 1);
        assert_eq!((notes[0].collection.as_str(), &notes[0].doc["losers"][0]["value"]), (SETTINGS, &json!("dark")));
    }
}

#[test]
fn fields_of_a_newer_version_survive_every_write_of_this_one() {
    let world = World::new(6);
    let (a, b) = (world.device("anna"), world.device("anna"));
    let unknown = json!({"density": {"x": 1.5, "list": [1, {"y": null}]}});
    update(&world, &a, json!({"ui": unknown.clone(), "next": "kept"}));
    settle(&world, &[&a, &b]);
    update(&world, &b, json!({"ui": {"theme": "dark"}}));
    settle(&world, &[&b, &a]);
    let expected = json!({"ui": {"density": unknown["density"], "theme": "dark"}, "next": "kept"});
    assert_eq!(stored(&world, "preferences"), Some(expected));
}

#[test]
fn a_value_out_of_bounds_is_refused_with_its_path_and_nothing_is_written() {
    let world = World::new(7);
    let a = world.device("anna");
    let preferences = a.client.settings().preferences();
    let patch = json!({"ui": {"theme": "dark"}, "cloud_sync": {"interval_s": 4}});
    let error = world.run(preferences.update(patch)).unwrap_err();
    assert_eq!((error.code(), error.kind().as_str()), ("settings_invalid", "invalid"));
    assert_eq!(error.to_string(), "/cloud_sync/interval_s: allowed is a whole number, 5 to 86400");
    assert_eq!(world.run(preferences.update(json!([]))).unwrap_err().code(), "invalid_patch");
    assert_eq!(a.client.status().pending, 0);
    assert_eq!(theme(&world, &a.client), "system");
    assert_eq!(world.run(a.client.collection(SETTINGS).get("preferences")).unwrap_err().code(), "reserved_name");
}

#[test]
fn an_apps_group_has_the_apps_defaults_and_a_new_versions_defaults_hold_at_once() {
    let world = World::new(8);
    let (a, b) = (world.device("anna"), world.device("anna"));
    let old = a.client.settings().group("editor", json!({"zoom": 1, "grid": {"snap": true}})).unwrap();
    assert!(world.run(old.update(json!({"grid": {"snap": false}, "zoom": 1}))).unwrap().is_some());
    settle(&world, &[&a, &b]);
    let new = b.client.settings().group("editor", json!({"zoom": 2, "grid": {"snap": true, "size": 8}})).unwrap();
    assert_eq!(world.run(new.get()).unwrap(), json!({"zoom": 2, "grid": {"snap": false, "size": 8}}));
    assert_eq!(stored(&world, "group:editor"), Some(json!({"grid": {"snap": false}})));
    assert_eq!(a.client.settings().group("a/b", json!({})).unwrap_err().code(), "invalid_id");
    assert_eq!(a.client.settings().group("a", json!([])).unwrap_err().code(), "not_an_object");
}

#[test]
fn a_watch_tells_the_document_and_every_change_that_holds_here() {
    let world = World::new(9);
    let (a, b) = (world.device("anna"), world.device("anna"));
    let mut watch = b.client.settings().preferences().watch().unwrap();
    assert_eq!(world.run(watch.next()).unwrap().unwrap()["ui"]["theme"], "system");
    update(&world, &a, json!({"ui": {"theme": "dark"}}));
    // Another device's own choice is nothing that holds here.
    world
        .run(a.client.settings().preferences().at(Level::Device).unwrap().update(json!({"ui": {"compact": true}})))
        .unwrap();
    settle(&world, &[&a, &b]);
    let told = world.run(watch.next()).unwrap().unwrap();
    assert_eq!((&told["ui"]["theme"], &told["ui"]["compact"]), (&json!("dark"), &json!(false)));
    world.run(b.client.close()).unwrap();
    assert_eq!(world.run(watch.next()).unwrap(), None);
}

#[test]
fn sync_that_is_switched_off_on_one_device_rests_on_the_others_until_it_is_on_again() {
    let world = World::new(10);
    let (a, b) = (world.device("anna"), world.device("anna"));
    for device in [&a, &b] {
        world.run(device.client.start()).unwrap();
    }
    millis(&world, 100);
    update(&world, &a, json!({"cloud_sync": {"enabled": false}}));
    world.pass(61);
    assert_eq!(b.client.status().withheld, Some(Withheld::SyncOff));
    world.run(b.samples().create("kick", json!({}))).unwrap();
    update(&world, &b, json!({"ui": {"theme": "dark"}}));
    world.pass(61);
    assert_eq!(b.client.status().pending, 1, "the sample waits");
    assert_eq!(theme(&world, &a.client), "dark", "settings go on syncing");
    assert_eq!(a.get(&world, "kick"), None);

    update(&world, &a, json!({"cloud_sync": {"enabled": true}}));
    world.pass(122);
    assert_eq!((b.client.status().pending, b.client.status().withheld), (0, None));
    world.pass(61);
    assert_eq!(a.get(&world, "kick"), Some(json!({})));
    world.assert_converged(&[&a, &b]);
}

#[test]
fn over_a_metered_network_nothing_but_settings_goes_where_the_user_wants_wifi() {
    let world = World::new(11);
    let a = world.device("anna");
    a.client.set_network(NetworkKind::Metered);
    world.run(a.client.start()).unwrap();
    world.run(a.samples().create("kick", json!({}))).unwrap();
    millis(&world, 100);
    assert_eq!(a.client.status().pending, 0, "metered is no hindrance by itself");
    update(&world, &a, json!({"cloud_sync": {"wifi_only": true}}));
    world.run(a.samples().create("snare", json!({}))).unwrap();
    world.pass(120);
    assert_eq!((a.client.status().pending, a.client.status().withheld), (1, Some(Withheld::MeteredNetwork)));
    a.client.set_network(NetworkKind::Unmetered);
    millis(&world, 100);
    assert_eq!((a.client.status().pending, a.client.status().withheld), (0, None));
}

#[test]
fn only_the_collections_that_the_user_wants_are_sent() {
    let world = World::new(12);
    let a = world.device("anna");
    update(&world, &a, json!({"cloud_sync": {"collections": ["samples"]}}));
    world.run(a.client.collection("drafts").create("one", json!({}))).unwrap();
    world.run(a.samples().create("kick", json!({}))).unwrap();
    assert_eq!(a.synced(&world).pushed, 2);
    assert_eq!(a.client.status().pending, 1, "the draft");
    assert!(world.run(a.client.settings().preferences().reset("/cloud_sync/collections")).unwrap());
    assert_eq!(a.synced(&world).pushed, 2);
    assert_eq!(a.client.status().pending, 0);
}

#[test]
fn the_users_interval_holds_for_records_and_settings_are_asked_for_as_ever() {
    let world = World::new(13);
    let a = world.device("anna");
    update(&world, &a, json!({"cloud_sync": {"interval_s": 600}}));
    world.run(a.client.start()).unwrap();
    millis(&world, 100);
    a.network.clear_calls();
    world.pass(605);
    let pulls = a.network.count(CallKind::Changes);
    assert_eq!(pulls, 10, "one a minute: of the settings nine times, of everything once");
    let b = world.device("anna");
    world.run(b.samples().create("kick", json!({}))).unwrap();
    b.synced(&world);
    world.pass(300);
    assert_eq!(a.get(&world, "kick"), None);
    world.pass(301);
    assert_eq!(a.get(&world, "kick"), Some(json!({})));
    update(&world, &a, json!({"cloud_sync": {"interval_s": 5}}));
    millis(&world, 100);
    a.network.clear_calls();
    world.pass(51);
    assert_eq!(a.network.count(CallKind::Changes), 10);
}

#[test]
fn the_users_policy_is_that_of_events_without_one() {
    let world = World::new(14);
    let (a, b) = (world.device("anna"), world.device("anna"));
    world.run(a.samples().create("kick", json!({"n": 0}))).unwrap();
    update(&world, &a, json!({"cloud_sync": {"default_policy": "server_wins"}}));
    settle(&world, &[&a, &b]);
    world.run(a.samples().update("kick", json!({"n": 1}))).unwrap();
    world.pass(1);
    world.run(b.samples().update("kick", json!({"n": 2}))).unwrap();
    settle(&world, &[&a, &b]);
    assert_eq!(a.get(&world, "kick"), Some(json!({"n": 1})), "the later write of b gives way to what the server had");
}
