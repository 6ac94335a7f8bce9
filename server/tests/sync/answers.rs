//! What a push is answered with: each record once, and no more of them than fits (pitfall B59).

use serde_json::{Value, json};
use unisono::limits::MAX_ANSWER_RECORD_BYTES;
use unisono::model::{Receipt, ReceiptStatus as Status, Scope};
use unisono::protocol::PushResponse;

use crate::world::{Device, World, user};

const LARGE: usize = 400_000;

fn bytes(response: &PushResponse) -> usize {
    serde_json::to_vec(response).unwrap().len()
}

/// A large record that another device has written to since revision 1.
fn large_record(world: &World) -> Device {
    let anna = user("anna");
    let (mut a, mut b) = (Device::new(&anna, "a"), Device::new(&anna, "b"));
    let made = a.create(world, "kick", json!({"text": "x".repeat(LARGE)}));
    a.write(world, made);
    let foreign = b.set(world, "kick", 1, "/by", "b");
    b.write(world, foreign);
    a
}

/// Small updates of the large record, none of which has seen the other device's.
fn small_updates(world: &World, device: &mut Device, count: usize) -> Vec<Value> {
    (0..count)
        .map(|n| {
            device.event(world, "update", "kick", 1, json!({"ops": [{"op": "inc", "path": format!("/n{n}"), "by": 1}]}))
        })
        .collect()
}

fn is_short(receipt: &Receipt) -> bool {
    receipt.status.is_settled() && receipt.record.is_none() && receipt.previous.is_none() && receipt.revision.is_some()
}

#[test]
fn b59_many_small_events_on_one_large_record_are_answered_with_one_copy_of_it() {
    let world = World::new();
    let mut a = large_record(&world);
    let events = small_updates(&world, &mut a, 100);
    let response = a.push(&world, &events).unwrap();
    assert!(bytes(&response) < 2 * LARGE, "{} bytes", bytes(&response));
    let (last, before) = response.receipts.split_last().unwrap();
    assert!(before.iter().all(is_short), "they say that they do not say all");
    let record = last.record.as_ref().expect("the last one tells the record");
    assert_eq!((last.revision, last.previous, record.revision), (Some(102), Some(101), 102));
    assert_eq!(record.doc, world.doc(&a.principal, "kick"));

    // The same events under another number are replays: what is kept of each is its receipt, not the record.
    let again = a.push(&world, &events).unwrap();
    assert!(bytes(&again) < 2 * LARGE);
    assert_eq!(again.receipts.last().unwrap().record, last.record);
    let ids = |response: &PushResponse| response.receipts.iter().map(|receipt| receipt.revision).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&response));
    world.assert_sound(&a.principal);
}

#[test]
fn b59_a_group_on_one_large_record_is_answered_with_one_copy_of_it_and_is_taken_back_whole() {
    let world = World::new();
    let mut a = large_record(&world);
    let mut group = small_updates(&world, &mut a, 100);
    group.push(a.create(&world, "broken", json!("no object")));
    for event in &mut group {
        event["group"] = json!("g");
    }
    let before = world.records(&a.principal, Scope::User);
    let refused = a.push(&world, &group).unwrap();
    assert!(refused.receipts.iter().all(|receipt| !receipt.status.is_settled()));
    assert_eq!(world.records(&a.principal, Scope::User), before);

    group.pop();
    let response = a.push(&world, &group).unwrap();
    assert!(bytes(&response) < 2 * LARGE, "{} bytes", bytes(&response));
    assert!(response.receipts.iter().all(|receipt| receipt.status.is_settled()));
    assert_eq!(response.receipts.iter().filter(|receipt| receipt.record.is_some()).count(), 1);
    world.assert_sound(&a.principal);
}

#[test]
fn b59_many_large_records_are_told_up_to_a_budget_and_the_rest_is_left_to_the_pull() {
    let world = World::new();
    let anna = user("anna");
    let (mut a, mut b) = (Device::new(&anna, "a"), Device::new(&anna, "b"));
    let names: Vec<_> = (0..6).map(|n| format!("r{n}")).collect();
    let size = MAX_ANSWER_RECORD_BYTES * 2 / 5;
    for name in &names {
        let made = a.create(&world, name, json!({"text": "x".repeat(size)}));
        a.write(&world, made);
    }
    let foreign: Vec<_> = names.iter().map(|name| b.set(&world, name, 6, "/by", "b")).collect();
    b.push(&world, &foreign).unwrap();
    a.pull(&world).unwrap();
    let events: Vec<_> = names.iter().map(|name| a.set(&world, name, 6, "/of", "a")).collect();
    let response = a.push(&world, &events).unwrap();
    let told: Vec<_> = response.receipts.iter().map(|receipt| receipt.record.is_some()).collect();
    assert_eq!(told, [true, true, true, false, false, false], "the one that crosses the budget is the last");
    assert!(response.receipts[3..].iter().all(is_short));
    assert_eq!(response.cursor, None, "the pull has to bring the others");
    let pulled = a.pull(&world).unwrap();
    assert_eq!(pulled.len(), 6);
}

#[test]
fn a_refused_strict_write_tells_the_record_beside_the_last_settled_one() {
    let world = World::new();
    let mut a = large_record(&world);
    let mut strict = a.set(&world, "kick", 1, "/by", "a");
    strict["mode"] = json!("strict");
    let mut events = small_updates(&world, &mut a, 3);
    events.push(strict);
    let response = a.push(&world, &events).unwrap();
    let [short @ .., settled, refused] = response.receipts.as_slice() else { panic!("four receipts") };
    assert!(short.iter().all(is_short));
    assert_eq!(refused.status, Status::Conflict);
    // A replica advances by what was settled only, so that one has to tell the record itself.
    assert!(settled.status.is_settled());
    assert_eq!(settled.record.as_ref().unwrap().revision, settled.revision.unwrap());
    assert_eq!(refused.record, settled.record);
}
