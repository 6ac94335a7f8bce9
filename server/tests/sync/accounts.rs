//! What the server counts for an account: in the transaction of each event, and as the records are.

use std::time::Duration;

use serde_json::json;
use unisono::Environment;
use unisono_server::{ServiceOptions, Storage};

use crate::world::{Device, World, member, user};

fn storage(world: &World, name: &str) -> Storage {
    world.env.block_on(world.service.storage(&user(name))).unwrap()
}

/// The collections, each with its records and bytes.
fn collections(storage: &Storage) -> Vec<(String, u64, u64)> {
    storage.collections.iter().map(|row| (row.collection.to_string(), row.records, row.bytes)).collect()
}

#[test]
fn what_is_stored_is_counted_by_collection_with_each_event() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    assert_eq!(storage(&world, "anna").user.storage_used, 0);

    let kick = device.create(&world, "kick", json!({"bpm": 120}));
    let snare = device.create(&world, "snare", json!({"bpm": 90, "name": "é"}));
    device.push(&world, &[kick, snare]).unwrap();
    // {"bpm":120} and {"bpm":90,"name":"é"}, in bytes.
    let (one, other) = (11, 22);
    assert_eq!(collections(&storage(&world, "anna")), [("samples".to_owned(), 2, one + other)]);
    assert_eq!(storage(&world, "anna").user.storage_used, one + other);

    let event = device.set(&world, "kick", 2, "/bpm", 9);
    device.write(&world, event);
    let event = device.delete(&world, "snare", 2);
    device.write(&world, event);
    assert_eq!(collections(&storage(&world, "anna")), [("samples".to_owned(), 1, one - 2)]);
    let event = device.delete(&world, "kick", 3);
    device.write(&world, event);
    let left = storage(&world, "anna");
    assert_eq!((collections(&left), left.user.storage_used), (vec![], 0));
    // Records that were ever created.
    assert_eq!(left.user.total_uploads, 2);
    assert_eq!(storage(&world, "bert").user.total_uploads, 0);
    world.assert_sound(&anna);
}

#[test]
fn what_was_refused_is_not_counted() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    let good = device.event(&world, "create", "kick", 0, json!({"doc": {"bpm": 120}, "group": "g"}));
    let bad = device.event(&world, "create", "snare", 9, json!({"doc": {"bpm": 120}, "group": "g"}));
    device.push(&world, &[good, bad]).unwrap();
    let storage = storage(&world, "anna");
    assert_eq!((collections(&storage), storage.user.storage_used, storage.user.total_uploads), (vec![], 0, 0));
}

#[test]
fn the_servers_notes_and_workspaces_are_not_the_accounts_storage() {
    let world = World::new();
    let anna = member("anna", "band");
    let (mut a, mut b) = (Device::new(&anna, "a"), Device::new(&anna, "b"));
    let event = a.create(&world, "kick", json!({"bpm": 120}));
    a.write(&world, event);
    let event = a.set(&world, "kick", 1, "/bpm", 111);
    a.write(&world, event);
    let event = b.set(&world, "kick", 1, "/bpm", 222);
    b.write(&world, event);
    let mut in_band = Device { scope: "workspace:band", ..Device::new(&anna, "a") };
    let event = in_band.create(&world, "loop", json!({"bpm": 1}));
    in_band.write(&world, event);

    let storage = storage(&world, "anna");
    let names: Vec<_> = collections(&storage).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["$conflicts", "samples"]);
    assert_eq!(storage.user.storage_used, 11);
    assert_eq!(storage.user.total_uploads, 1);
    world.assert_sound(&anna);
}

#[test]
fn the_host_sets_quotas_and_counts_analyses_and_a_push_keeps_them() {
    let world = World::new();
    let anna = user("anna");
    world.env.block_on(world.service.set_quota("anna", Some(1_000))).unwrap();
    world.env.block_on(world.service.count_analyses("anna", 3)).unwrap();
    world.env.block_on(world.service.count_analyses("anna", 4)).unwrap();
    let mut device = Device::new(&anna, "a");
    let event = device.create(&world, "kick", json!({}));
    device.write(&world, event);
    let user = storage(&world, "anna").user;
    assert_eq!((user.storage_quota, user.total_analyses, user.storage_used), (Some(1_000), 7, 2));
    world.env.block_on(world.service.set_quota("anna", None)).unwrap();
    assert_eq!(storage(&world, "anna").user.storage_quota, None);
}

#[test]
fn a_cleanup_is_remembered_with_the_account() {
    let horizon = Duration::from_secs(60);
    let world = World::with_options(ServiceOptions { tombstone_horizon: horizon, ..ServiceOptions::default() });
    let mut device = Device::new(&user("anna"), "a");
    let event = device.create(&world, "kick", json!({}));
    device.write(&world, event);
    let event = device.delete(&world, "kick", 1);
    device.write(&world, event);
    world.env.block_on(world.service.collect_garbage()).unwrap();
    assert_eq!(storage(&world, "anna").user.last_cleanup, None);
    world.env.advance(horizon * 2);
    world.env.block_on(world.service.collect_garbage()).unwrap();
    assert_eq!(storage(&world, "anna").user.last_cleanup, Some(world.env.now_ms()));
}
