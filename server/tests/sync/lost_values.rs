//! Losing values that are too large for their note: kept whole beside it, told by reference, gone with the last of them
//! (pitfall B62).

use serde_json::{Value, json};
use unisono::merge::{CONFLICTS, referred};
use unisono::model::{Change, ReceiptStatus as Status, RecordId, Scope, value};
use unisono::protocol::{ChangesRequest, Problem, ValueRequest};
use unisono_server::Principal;

use crate::world::{Device, World, user};

/// A playlist of some 100 KiB, in an order of its own.
fn playlist(turn: usize) -> Value {
    let mut tracks: Vec<_> = (0..2_500).map(|n| format!("5f0c{n:04x}-7a31-7c52-9f6f-3a7be2010000")).collect();
    tracks.rotate_left(turn);
    json!(tracks)
}

fn notes(world: &World, principal: &Principal) -> Vec<Change> {
    let all = world.records(principal, Scope::User);
    all.into_iter().filter(|change| change.collection.as_str() == CONFLICTS).collect()
}

fn devices() -> (Device, Device) {
    let anna = user("anna");
    (Device::new(&anna, "a"), Device::new(&anna, "b"))
}

/// Two devices, of which each, in turn, puts the record's list into an order of its own, in sight of nothing but its creation.
fn quarrel(world: &World, record: &str, turns: usize) -> (Device, Device) {
    let (mut a, mut b) = devices();
    go_on(world, (&mut a, &mut b), record, turns);
    (a, b)
}

fn go_on(world: &World, (a, b): (&mut Device, &mut Device), record: &str, turns: usize) {
    let event = a.create(world, record, json!({"tracks": []}));
    let created = a.write(world, event).revision.unwrap();
    for turn in 1..=turns {
        world.env.advance(std::time::Duration::from_millis(10));
        let device = if turn % 2 == 1 { &mut *a } else { &mut *b };
        let event = device.set(world, record, created, "/tracks", playlist(turn));
        device.write(world, event);
    }
}

fn ask(world: &World, principal: &Principal, note: &RecordId, sha256: &str) -> Result<Value, Problem> {
    let request = ValueRequest { scope: Scope::User, note: note.clone(), sha256: sha256.to_owned() };
    world.env.block_on(world.service.value(principal, request)).map(|answer| answer.value)
}

fn refused(answer: Result<Value, Problem>) -> (u16, String) {
    answer.map(drop).map_err(|problem| (problem.status, problem.code)).unwrap_err()
}

#[test]
fn b62_a_value_that_lost_is_kept_whole_whatever_its_size() {
    let world = World::new();
    let (a, _) = quarrel(&world, "mix", 2);
    let note = notes(&world, &a.principal).remove(0);
    let doc = note.doc.as_ref().unwrap();
    assert!(value::canonical_len(doc) < 4_096, "the note itself stays small: {doc}");
    let lost = &doc["losers"][0];
    assert_eq!((lost.get("value"), lost["rule"].as_str()), (None, Some("stamp")));
    let named = referred(doc);
    assert_eq!(named.len(), 2, "winner and loser");
    assert_eq!(ask(&world, &a.principal, &note.record, named[0].sha256).unwrap(), playlist(2));
    assert_eq!(ask(&world, &a.principal, &note.record, named[1].sha256).unwrap(), playlist(1));
    assert_eq!(named[1].sha256, value::hash_hex(&playlist(1)));

    let unknown = (404, "value_not_found".to_owned());
    assert_eq!(refused(ask(&world, &a.principal, &note.record, &"0".repeat(64))), unknown);
    let other = RecordId::new("another note").unwrap();
    assert_eq!(refused(ask(&world, &a.principal, &other, named[1].sha256)), unknown);
    assert_eq!(refused(ask(&world, &user("mallory"), &note.record, named[1].sha256)), unknown);
    world.assert_sound(&a.principal);
}

#[test]
fn a_reader_that_asks_for_no_references_is_told_everything() {
    let world = World::new();
    let (a, _) = quarrel(&world, "mix", 2);
    let request = |references| ChangesRequest { references, ..ChangesRequest::from_start(Scope::User) };
    let (chunks, trailer) = world.pull(&a.principal, request(false)).unwrap();
    let told: Vec<_> = chunks.into_iter().flat_map(|chunk| chunk.changes).collect();
    let note = told.iter().find(|change| change.collection.as_str() == CONFLICTS).unwrap().doc.as_ref().unwrap();
    assert_eq!(note["losers"][0]["value"], playlist(1));
    assert_eq!(note["winner"]["value"], playlist(2));
    assert_eq!(referred(note), []);
    assert_eq!(trailer.digest, None, "it would be that of the notes as they are stored");
    assert!(world.pull(&a.principal, request(true)).unwrap().1.digest.is_some());

    // Where nothing stands apart the two are the same.
    let bert = user("bert");
    let mut device = Device::new(&bert, "b");
    let event = device.create(&world, "kick", json!({}));
    device.write(&world, event);
    assert_eq!(world.pull(&bert, request(false)).unwrap(), world.pull(&bert, request(true)).unwrap());
}

#[test]
fn a_feed_that_tells_everything_holds_a_part_of_it_at_a_time() {
    let world = World::new();
    let (mut a, mut b) = devices();
    for record in ["one", "two", "three"] {
        go_on(&world, (&mut a, &mut b), record, 8);
    }
    let request = ChangesRequest { references: false, ..ChangesRequest::from_start(Scope::User) };
    let (chunks, trailer) = world.pull(&a.principal, request).unwrap();
    assert!(!trailer.more);
    let whole = |change: &&Change| change.doc.as_ref().is_some_and(|doc| referred(doc).is_empty());
    let notes = |change: &&Change| change.collection.as_str() == CONFLICTS;
    let per_chunk: Vec<_> = chunks.iter().map(|chunk| chunk.changes.iter().filter(notes).count()).collect();
    assert_eq!(per_chunk.iter().sum::<usize>(), 3);
    assert!(per_chunk.iter().all(|count| *count <= 1), "a note has 900 KiB: {per_chunk:?}");
    assert!(chunks.iter().flat_map(|chunk| &chunk.changes).all(|change| whole(&change)));
    let mut revisions = chunks.iter().flat_map(|chunk| &chunk.changes).map(|change| change.revision);
    assert!(revisions.clone().is_sorted() && revisions.next().is_some());
}

#[test]
fn a_value_goes_with_the_last_reference_to_it() {
    let world = World::new();
    let (mut a, _) = quarrel(&world, "mix", 12);
    let note = notes(&world, &a.principal).remove(0);
    let asked = |turn: usize| ask(&world, &a.principal, &note.record, &value::hash_hex(&playlist(turn)));
    let kept: Vec<_> = (1..=12).filter(|turn| asked(*turn).is_ok()).collect();
    assert_eq!(kept, [4, 5, 6, 7, 8, 9, 10, 11, 12], "the newest eight losers, and the winner");
    world.assert_sound(&a.principal);

    let resolved = json!({"ops": [{"op": "set", "path": "/resolved", "value": true}]});
    let mut resolve = a.event(&world, "update", note.record.as_str(), note.revision, resolved);
    resolve["collection"] = json!(CONFLICTS);
    let revision = a.write(&world, resolve).revision.unwrap();
    assert_eq!(ask(&world, &a.principal, &note.record, &value::hash_hex(&playlist(4))).unwrap(), playlist(4));

    let mut delete = a.delete(&world, note.record.as_str(), revision);
    delete["collection"] = json!(CONFLICTS);
    a.write(&world, delete);
    for turn in 1..=12 {
        let gone = ask(&world, &a.principal, &note.record, &value::hash_hex(&playlist(turn)));
        assert_eq!(refused(gone).1, "value_not_found");
    }
    world.assert_sound(&a.principal);
}

#[test]
fn a_conflict_in_a_group_that_is_refused_keeps_nothing() {
    let world = World::new();
    let (a, mut b) = quarrel(&world, "mix", 1);
    world.env.advance(std::time::Duration::from_millis(10));
    let mut write = b.set(&world, "mix", 1, "/tracks", playlist(7));
    let mut broken = b.create(&world, "broken", json!("no object"));
    (write["group"], broken["group"]) = (json!("g"), json!("g"));
    let response = b.push(&world, &[write.clone(), broken]).unwrap();
    assert!(response.receipts.iter().all(|receipt| !receipt.status.is_settled()));
    assert!(notes(&world, &a.principal).is_empty());

    write.as_object_mut().unwrap().remove("group");
    write["id"] = json!("by itself");
    assert_eq!(b.write(&world, write).status, Status::Merged);
    let note = notes(&world, &a.principal).remove(0);
    assert_eq!(ask(&world, &a.principal, &note.record, &value::hash_hex(&playlist(1))).unwrap(), playlist(1));
    world.assert_sound(&a.principal);
}
