//! Conflict notes: made with the event, resolved by apps, written by nobody else.

use serde_json::{Value, json};
use unisono::merge::CONFLICTS;
use unisono::model::{Change, ReceiptStatus as Status, Scope};

use crate::world::{Device, World, codes, user};

fn notes(world: &World, principal: &unisono_server::Principal) -> Vec<Change> {
    let all = world.records(principal, Scope::User);
    all.into_iter().filter(|change| change.collection.as_str() == CONFLICTS).collect()
}

/// Two devices that wrote one leaf, neither having seen the other's.
fn quarrel(world: &World) -> (Device, Device) {
    let anna = user("anna");
    let (mut a, mut b) = (Device::new(&anna, "a"), Device::new(&anna, "b"));
    let event = a.create(world, "kick", json!({"bpm": 120}));
    a.write(world, event);
    world.env.advance(std::time::Duration::from_millis(10));
    let event = a.set(world, "kick", 1, "/bpm", 121);
    a.write(world, event);
    world.env.advance(std::time::Duration::from_millis(10));
    let event = b.set(world, "kick", 1, "/bpm", 99);
    let receipt = b.write(world, event);
    assert_eq!(receipt.status, Status::Merged);
    (a, b)
}

fn resolve(device: &mut Device, world: &World, note: &Change, base: u64) -> Value {
    let ops = json!({"ops": [{"op": "set", "path": "/resolved", "value": true}]});
    let mut event = device.event(world, "update", note.record.as_str(), base, ops);
    event["collection"] = json!(CONFLICTS);
    event
}

#[test]
fn a_conflict_leaves_a_note_with_a_revision_of_its_own() {
    let world = World::new();
    let anna = user("anna");
    quarrel(&world);
    let notes = notes(&world, &anna);
    assert_eq!(notes.len(), 1);
    assert_eq!((notes[0].revision, notes[0].by.device.as_str(), notes[0].by.user.as_str()), (4, "server", "server"));
    assert!(notes[0].doc.as_ref().unwrap().to_string().contains("121"), "the overwritten value is kept");
    let stats = world.env.block_on(world.service.stats(&anna, Scope::User)).unwrap();
    assert_eq!((stats.conflicts, stats.records, stats.events, stats.devices), (1, 2, 4, 2));
    world.assert_sound(&anna);
}

#[test]
fn a_push_that_made_a_note_does_not_move_the_cursor() {
    let world = World::new();
    let (mut a, mut b) = quarrel(&world);
    b.pull(&world).unwrap();
    a.pull(&world).unwrap();
    let event = b.set(&world, "kick", 3, "/bpm", 100);
    assert!(b.push(&world, &[event]).unwrap().cursor.is_some());
    a.pull(&world).unwrap();
    let mut event = a.set(&world, "kick", 3, "/bpm", 101);
    event["base"] = json!(1);
    let response = a.push(&world, &[event]).unwrap();
    assert_eq!(response.cursor, None);
    let pulled = a.pull(&world).unwrap();
    assert!(pulled.iter().any(|change| change.collection.as_str() == CONFLICTS));
}

#[test]
fn a_resolved_note_is_closed_and_a_new_conflict_opens_it_again() {
    let world = World::new();
    let anna = user("anna");
    let (mut a, mut b) = quarrel(&world);
    let note = notes(&world, &anna).remove(0);
    let mut write = a.set(&world, "kick", note.revision, "/bpm", 110);
    let mut close = resolve(&mut a, &world, &note, note.revision);
    (write["group"], close["group"]) = (json!("g"), json!("g"));
    let response = a.push(&world, &[write, close]).unwrap();
    assert!(response.receipts.iter().all(|receipt| receipt.status == Status::Applied), "{response:?}");
    let open = || world.env.block_on(world.service.stats(&anna, Scope::User)).unwrap().conflicts;
    assert_eq!(open(), 0);
    let event = b.set(&world, "kick", 1, "/bpm", 98);
    b.write(&world, event);
    assert_eq!(open(), 1);
    assert_eq!(notes(&world, &anna).len(), 1, "one note per leaf");
    world.assert_sound(&anna);
}

#[test]
fn a_note_that_has_grown_stays_open() {
    let world = World::new();
    let anna = user("anna");
    let (mut a, mut b) = quarrel(&world);
    let read = notes(&world, &anna).remove(0);
    let event = b.set(&world, "kick", 3, "/bpm", 97);
    b.write(&world, event);
    let event = a.set(&world, "kick", 1, "/bpm", 130);
    a.write(&world, event);
    let close = resolve(&mut a, &world, &read, read.revision);
    let mut delete = a.delete(&world, read.record.as_str(), read.revision);
    delete["collection"] = json!(CONFLICTS);
    let response = a.push(&world, &[close, delete]).unwrap();
    for receipt in &response.receipts {
        assert_eq!(receipt.status, Status::Superseded);
    }
    let told = response.receipts[1].record.as_ref().expect("the last receipt of the note tells it");
    assert_ne!(told.doc.as_ref().unwrap().get("resolved"), Some(&json!(true)));
    let now = notes(&world, &anna).remove(0);
    let close = resolve(&mut a, &world, &now, now.revision);
    assert_eq!(a.write(&world, close).status, Status::Applied);
    world.assert_sound(&anna);
}

#[test]
fn apps_write_nothing_else_into_notes() {
    let world = World::new();
    let anna = user("anna");
    let (mut a, _) = quarrel(&world);
    let note = notes(&world, &anna).remove(0);
    let mut forged = a.set(&world, note.record.as_str(), note.revision, "/winner", 1);
    let mut reopened = a.set(&world, note.record.as_str(), note.revision, "/resolved", false);
    let mut made = a.create(&world, "mine", json!({"resolved": true}));
    for event in [&mut forged, &mut reopened, &mut made] {
        event["collection"] = json!(CONFLICTS);
    }
    for event in [forged, reopened, made] {
        assert_eq!(codes(&a.push(&world, &[event]).unwrap()), ["reserved_name"]);
    }
}

#[test]
fn a_quarrel_about_a_note_makes_no_note() {
    let world = World::new();
    let anna = user("anna");
    let (mut a, mut b) = quarrel(&world);
    let note = notes(&world, &anna).remove(0);
    let close = resolve(&mut a, &world, &note, note.revision);
    a.write(&world, close);
    let mut delete = b.delete(&world, note.record.as_str(), note.revision);
    delete["collection"] = json!(CONFLICTS);
    b.write(&world, delete);
    let close = resolve(&mut a, &world, &note, note.revision);
    a.write(&world, close);
    assert!(notes(&world, &anna).iter().all(|change| change.record == note.record));
    world.assert_sound(&anna);
}

#[test]
fn a_group_that_is_refused_takes_its_notes_with_it() {
    let world = World::new();
    let anna = user("anna");
    let (_, mut b) = quarrel(&world);
    let before = notes(&world, &anna);
    let mut quarrelling = b.set(&world, "kick", 1, "/bpm", 77);
    let mut broken = b.create(&world, "snare", json!(0));
    (quarrelling["group"], broken["group"]) = (json!("g"), json!("g"));
    b.push(&world, &[quarrelling, broken]).unwrap();
    assert_eq!(notes(&world, &anna), before);
    let event = b.create(&world, "hat", json!({}));
    assert_eq!(b.write(&world, event).revision, Some(5), "no revision was lost");
    world.assert_sound(&anna);
}

#[test]
fn a_conflict_about_the_deepest_value_can_be_resolved() {
    let world = World::new();
    let anna = user("anna");
    let (mut a, mut b) = (Device::new(&anna, "a"), Device::new(&anna, "b"));
    let deep = |leaf: u64| (0..63).fold(json!(leaf), |value, _| json!([value]));
    let event = a.create(&world, "kick", json!({"v": 0}));
    a.write(&world, event);
    for (device, leaf) in [(&mut a, 1), (&mut b, 2)] {
        world.env.advance(std::time::Duration::from_millis(10));
        let event = device.set(&world, "kick", 1, "/v", deep(leaf));
        device.write(&world, event);
    }
    let note = notes(&world, &anna).remove(0);
    let close = resolve(&mut a, &world, &note, note.revision);
    assert_eq!(a.write(&world, close).status, Status::Applied);
    assert_eq!(world.env.block_on(world.service.stats(&anna, Scope::User)).unwrap().conflicts, 0);
    world.assert_sound(&anna);
}
