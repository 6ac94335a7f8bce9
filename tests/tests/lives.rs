//! Records that are deleted and made again while somebody was away: no write falls into a life that its writer never saw, and no
//! delete is taken for one of nothing.

use serde_json::{Value, json};
use unisono::model::EventId;
use unisono_tests::{Device, World};

/// A write of `device` that a proxy refuses, so that it waits parked.
fn parked_update(world: &World, device: &Device, record: &str) -> EventId {
    world.server.access().limit_pushes(Some(6_000));
    let id = world.run(device.samples().update(record, json!({"long": "x".repeat(10_000)}))).unwrap().expect("an edit");
    device.synced(world);
    world.server.access().limit_pushes(None);
    assert_eq!(device.parked(world), std::slice::from_ref(&id), "by the proxy");
    id
}

fn both(world: &World, record: &str, devices: [&Device; 2]) -> [Option<Value>; 2] {
    for device in devices.iter().chain(&devices).chain(&devices) {
        device.synced(world);
    }
    world.assert_converged(&devices);
    devices.map(|device| device.get(world, record))
}

#[test]
fn a_delete_of_what_another_device_has_made_too_is_no_delete_of_nothing() {
    let world = World::new(1);
    let (a, b) = (world.device("anna"), world.device("anna"));
    world.run(a.samples().create("first", json!({}))).unwrap();
    a.synced(&world);
    let held_up = parked_update(&world, &a, "first");
    // It waits unsent, and the other device makes the record meanwhile.
    world.run(a.samples().after([held_up.clone()]).create("kick", json!({"a": 1}))).unwrap();
    world.run(b.samples().create("kick", json!({"b": 2}))).unwrap();
    b.synced(&world);
    a.synced(&world);
    assert_eq!(a.get(&world, "kick"), Some(json!({"a": 1, "b": 2})));
    world.run(a.samples().delete("kick")).unwrap();
    assert_eq!(a.get(&world, "kick"), None, "deleted, as its user sees it");
    world.run(a.client.discard(&held_up)).unwrap();
    assert_eq!(both(&world, "kick", [&a, &b]), [None, None]);
}

#[test]
fn i5_a_write_on_a_deleted_record_that_still_shows_is_of_its_former_life() {
    let world = World::new(2);
    let (a, b) = (world.device("anna"), world.device("anna"));
    world.run(a.samples().create("kick", json!({"n": 1}))).unwrap();
    a.synced(&world);
    b.synced(&world);
    let held_up = parked_update(&world, &a, "kick");
    world.run(b.samples().delete("kick")).unwrap();
    b.synced(&world);
    a.synced(&world);
    // It shows for its parked write's sake; nobody has seen that it is deleted.
    world.run(a.samples().update("kick", json!({"bpm": 120}))).unwrap();
    world.run(b.samples().create("kick", json!({"new": true}))).unwrap();
    b.synced(&world);
    world.run(a.client.discard(&held_up)).unwrap();
    let anew = Some(json!({"new": true}));
    assert_eq!(both(&world, "kick", [&a, &b]), [anew.clone(), anew]);
}
