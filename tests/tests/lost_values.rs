//! What loses is kept, whatever its size: in the store of the device that lost it at once, fetched by others when somebody
//! looks (pitfall B62).

use serde_json::{Value, json};
use unisono::client::Conflict;
use unisono::model::{RecordId, Scope, value};
use unisono::protocol::Problem;
use unisono::replica::keys;
use unisono::storage::{Batch, Scan, Storage, Table};
use unisono::testing::{CallKind, Fault};
use unisono_server::ServiceOptions;
use unisono_tests::{Device, World};

/// A playlist of some 20 KiB, in an order of its own.
fn playlist(turn: usize) -> Value {
    let mut tracks: Vec<_> = (0..500).map(|n| format!("5f0c{n:04x}-7a31-7c52-9f6f-3a7be2010000")).collect();
    tracks.rotate_left(turn);
    json!(tracks)
}

/// Two devices that put one list into orders of their own, apart from each other; the first one's loses.
fn quarrel(world: &World) -> (Device, Device) {
    let (loser, winner) = (world.device("anna"), world.device("anna"));
    world.run(loser.samples().create("mix", json!({"tracks": []}))).unwrap();
    loser.synced(world);
    winner.synced(world);
    world.run(loser.samples().update("mix", json!({"tracks": playlist(1)}))).unwrap();
    world.pass(1);
    world.run(winner.samples().update("mix", json!({"tracks": playlist(2)}))).unwrap();
    loser.synced(world);
    winner.synced(world);
    loser.synced(world);
    assert_eq!(loser.get(world, "mix"), Some(json!({"tracks": playlist(2)})));
    world.assert_converged(&[&loser, &winner]);
    (loser, winner)
}

fn note(world: &World, device: &Device) -> Conflict {
    world.run(device.client.conflicts()).unwrap().remove(0)
}

/// The value that lost, as the device comes by it.
fn lost(world: &World, device: &Device) -> Result<Value, unisono::Error> {
    let note = note(world, device);
    let sha256 = note.doc["losers"][0]["value_ref"]["sha256"].as_str().unwrap().to_owned();
    world.run(device.client.conflict_value(&note.id, sha256))
}

/// The hashes of the values that the device keeps for its notes.
fn kept(world: &World, device: &Device) -> Vec<String> {
    let prefix = keys::lost_values(&Scope::User);
    let rows = world.run(device.storage.scan(Scan::prefix(Table::Meta, &prefix))).unwrap();
    rows.iter().map(|row| keys::lost_value_of(&row.key, &prefix).unwrap().1.to_owned()).collect()
}

#[test]
fn b62_a_device_reads_what_it_has_lost_offline_and_another_fetches_it_once() {
    let world = World::new(1);
    let (mut loser, winner) = quarrel(&world);
    loser.network.set_online(false);
    assert_eq!(lost(&world, &loser).unwrap(), playlist(1));
    loser.restart(&world);
    loser.network.set_online(false);
    assert_eq!(lost(&world, &loser).unwrap(), playlist(1));

    winner.network.set_online(false);
    assert_eq!(lost(&world, &winner).unwrap_err().code(), "unreachable");
    winner.network.set_online(true);
    assert_eq!(lost(&world, &winner).unwrap(), playlist(1));
    winner.network.set_online(false);
    assert_eq!(lost(&world, &winner).unwrap(), playlist(1), "it keeps what it has looked at");
    let note = note(&world, &winner);
    let unknown = world.run(winner.client.conflict_value(&note.id, "0".repeat(64))).unwrap_err();
    assert_eq!(unknown.code(), "not_found");
}

#[test]
fn a_device_keeps_what_it_has_lost_also_where_the_event_that_wrote_it_is_long_forgotten() {
    // What is acknowledged is in a backup at once, so that replicas forget events as soon as they are settled.
    let world = World::with(2, ServiceOptions { backup_age: std::time::Duration::ZERO, ..ServiceOptions::default() });
    let (loser, _) = quarrel(&world);
    loser.network.set_online(false);
    assert_eq!(lost(&world, &loser).unwrap(), playlist(1));
}

#[test]
fn a_value_goes_with_the_last_reference_to_it_on_every_device() {
    let world = World::new(3);
    let (loser, winner) = quarrel(&world);
    lost(&world, &winner).unwrap();
    let hash = |turn| value::hash_hex(&playlist(turn));
    assert!([&loser, &winner].iter().all(|device| kept(&world, device).contains(&hash(1))));

    let resolved = note(&world, &winner);
    world.run(winner.client.resolve(resolved.id.as_str())).unwrap();
    winner.synced(&world);
    loser.synced(&world);
    assert!(kept(&world, &loser).contains(&hash(1)), "a resolved note can still be looked at");

    // A conflict after that is a new one: its note takes the place of the old one.
    world.run(loser.samples().update("mix", json!({"tracks": playlist(3)}))).unwrap();
    world.pass(1);
    world.run(winner.samples().update("mix", json!({"tracks": playlist(4)}))).unwrap();
    for device in [&loser, &winner, &loser] {
        device.synced(&world);
    }
    assert_eq!(note(&world, &loser).id, resolved.id);
    for device in [&loser, &winner] {
        assert!(!kept(&world, device).contains(&hash(1)));
    }
    assert!(kept(&world, &loser).contains(&hash(3)));
    world.assert_converged(&[&loser, &winner]);
}

#[test]
fn a_replica_that_starts_afresh_keeps_the_values_of_the_notes_that_are_left() {
    let world = World::new(4);
    let (loser, _) = quarrel(&world);
    let before = kept(&world, &loser);
    assert!(!before.is_empty());
    let leftover = keys::lost_value(&Scope::User, &RecordId::new("gone").unwrap(), "00");
    let batch = Batch { put: vec![(leftover, b"1".to_vec())], ..Batch::default() };
    world.run(loser.storage.apply(batch)).unwrap();
    loser.network.script(CallKind::Changes, [Fault::answer(Problem::new(410, "cursor_expired", "scripted"))]);
    loser.synced(&world);
    let after = kept(&world, &loser);
    assert!(before.iter().all(|hash| after.contains(hash)), "{after:?}");
    assert!(!after.contains(&"00".to_owned()), "what belongs to no note has gone");
    loser.network.set_online(false);
    assert_eq!(lost(&world, &loser).unwrap(), playlist(1));
}
