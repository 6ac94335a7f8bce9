//! Each event takes effect exactly once (I3), whatever becomes of requests, responses and processes.

use serde_json::json;
use unisono::model::ReceiptStatus;

use crate::world::{Device, World, codes, parse, statuses, user};

#[test]
fn b1_a_lost_response_is_given_again_and_nothing_is_done_again() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    let good = device.create(&world, "kick", json!({"plays": 0}));
    let inc = device.event(&world, "update", "kick", 0, json!({"ops": [{"op": "inc", "path": "/plays", "by": 1}]}));
    let bad = device.event(&world, "update", "kick", 0, json!({"ops": [{"op": "inc", "path": "/kick", "by": "x"}]}));
    let request = device.request(&world, &[good, inc, bad]);
    let first = world.push(&anna, &request).unwrap();
    world.env.advance(std::time::Duration::from_secs(5));
    let again = world.push(&anna, &request).unwrap();
    assert_eq!(again.server_now, first.server_now + 5_000, "the clock is fresh");
    assert_eq!(again.receipts, first.receipts, "refused verdicts included");
    assert_eq!((again.head, again.cursor), (first.head, first.cursor));
    assert_eq!(world.doc(&anna, "kick"), Some(json!({"plays": 1})));
    world.assert_sound(&anna);
}

#[test]
fn b1_events_pushed_again_under_a_new_number_replay_their_receipts() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    let create = device.create(&world, "kick", json!({"plays": 0}));
    let inc = device.event(&world, "update", "kick", 0, json!({"ops": [{"op": "inc", "path": "/plays", "by": 1}]}));
    let first = device.push(&world, &[create.clone(), inc.clone()]).unwrap();
    let fresh = device.create(&world, "snare", json!({}));
    let again = device.push(&world, &[create, inc, fresh]).unwrap();
    assert_eq!(again.receipts[..2], first.receipts[..]);
    assert_eq!(again.receipts[2].revision, Some(3));
    assert_eq!(world.doc(&anna, "kick"), Some(json!({"plays": 1})));
}

#[test]
fn b1_another_device_that_sends_the_same_event_gets_the_same_receipt() {
    let world = World::new();
    let anna = user("anna");
    let (mut original, mut clone) = (Device::new(&anna, "a"), Device::new(&anna, "clone"));
    let event = original.create(&world, "kick", json!({"bpm": 120}));
    let first = original.push(&world, std::slice::from_ref(&event)).unwrap();
    let again = clone.push(&world, &[event]).unwrap();
    assert_eq!(again.receipts, first.receipts);
}

#[test]
fn b8_an_id_with_another_payload_is_refused_and_one_with_another_base_or_stamp_replays() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    let create = device.create(&world, "kick", json!({"bpm": 120}));
    let set = device.set(&world, "kick", 0, "/bpm", 121);
    let first = device.push(&world, &[create.clone(), set.clone()]).unwrap();

    let mut other = create.clone();
    other["doc"]["bpm"] = json!(1);
    let mut restamped = set;
    restamped["base"] = json!(1);
    restamped["stamp"] = json!(format!("{:012x}-0000-other", 1));
    let response = device.push(&world, &[other, restamped]).unwrap();
    assert_eq!(codes(&response), ["id_reused", ""]);
    assert_eq!(response.receipts[1], first.receipts[1]);
    assert_eq!(world.doc(&anna, "kick"), Some(json!({"bpm": 121})));
}

#[test]
fn b8_an_id_twice_in_one_push_takes_effect_once() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    let event = device.create(&world, "kick", json!({"bpm": 120}));
    let mut other = event.clone();
    other["doc"] = json!({"bpm": 7});
    let response = device.push(&world, &[event.clone(), event, other]).unwrap();
    assert_eq!(response.receipts[0], response.receipts[1]);
    assert_eq!(codes(&response), ["", "", "id_reused"]);
    assert_eq!(response.receipts[0].revision, Some(1));
    assert_eq!(world.doc(&anna, "kick"), Some(json!({"bpm": 120})));
}

#[test]
fn refused_events_are_judged_anew_by_a_later_push() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    let mut event = device.create(&world, "kick", json!({"bpm": 120}));
    event["depends_on"] = json!(["a-missing"]);
    let refused = device.push(&world, std::slice::from_ref(&event)).unwrap();
    assert_eq!(statuses(&refused), [ReceiptStatus::Skipped]);
    let mut missing = device.create(&world, "snare", json!({}));
    missing["id"] = json!("a-missing");
    let response = device.push(&world, &[missing, event]).unwrap();
    assert_eq!(statuses(&response), [ReceiptStatus::Applied, ReceiptStatus::Applied]);
}

#[test]
fn a_forked_device_is_told_and_nothing_is_applied() {
    let world = World::new();
    let anna = user("anna");
    let mut original = Device::new(&anna, "a");
    let event = original.create(&world, "kick", json!({}));
    original.write(&world, event);
    let mut copy = original.clone();
    let event = original.create(&world, "snare", json!({"by": "original"}));
    original.write(&world, event);

    let event = copy.create(&world, "hat", json!({"by": "copy"}));
    let same_number = copy.push(&world, &[event]).unwrap_err();
    assert_eq!((same_number.status, same_number.code.as_str()), (409, "device_forked"));
    copy.push_seq = 0;
    let event = copy.create(&world, "clap", json!({}));
    assert_eq!(copy.push(&world, &[event]).unwrap_err().code, "device_forked", "a lower number");
    assert_eq!(world.doc(&anna, "hat"), None);
    assert_eq!(world.doc(&anna, "clap"), None);
}

#[test]
fn b1_a_crash_between_commit_and_response_changes_no_receipt() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.db");
    let world = World::in_file(&path);
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    let event = device.create(&world, "kick", json!({"bpm": 120}));
    let bad = device.create(&world, "snare", json!([1]));
    let request = device.request(&world, &[event, bad]);
    let before = world.push(&anna, &request).unwrap();

    let world = World::in_file_again(&path, world.close());
    let after = world.push(&anna, &request).unwrap();
    assert_eq!(after.receipts, before.receipts);
    assert_eq!(after.server_id, before.server_id, "the identity stays with the data");
    assert_eq!(after.epoch, before.epoch);
    assert_eq!(codes(&after), ["", "not_an_object"]);
    world.assert_sound(&anna);
}

#[test]
fn a_push_whose_caller_went_away_is_applied_entirely_or_not_at_all() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    let events = [device.create(&world, "kick", json!({})), device.create(&world, "snare", json!({}))];
    let request = device.request(&world, &events);
    // Polled once, so that the job waits for the writer, and dropped.
    let mut push = Box::pin(world.service.push(&anna, parse(&request)));
    world.env.block_on(std::future::poll_fn(|context| {
        let _ = push.as_mut().poll(context);
        std::task::Poll::Ready(())
    }));
    drop(push);
    world.env.run_until_idle();
    let again = world.push(&anna, &request).unwrap();
    assert_eq!(statuses(&again), [ReceiptStatus::Applied, ReceiptStatus::Applied]);
    assert_eq!(world.records(&anna, unisono::model::Scope::User).len(), 2);
    world.assert_sound(&anna);
}

#[test]
fn an_empty_push_counts() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    let response = device.push(&world, &[]).unwrap();
    assert!(response.receipts.is_empty());
    let mut copy = device.clone();
    copy.push_seq = 0;
    let event = copy.create(&world, "kick", json!({}));
    assert_eq!(copy.push(&world, &[event]).unwrap_err().code, "device_forked");
}

#[test]
fn b8_an_id_twice_within_one_group_takes_effect_once() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    let mut first = device.create(&world, "kick", json!({"bpm": 120}));
    first["group"] = json!("g");
    let response = device.push(&world, &[first.clone(), first.clone()]).unwrap();
    assert_eq!(statuses(&response), [ReceiptStatus::Applied, ReceiptStatus::Applied]);
    assert_eq!(response.receipts[0], response.receipts[1]);
    assert_eq!(response.receipts[0].revision, Some(1));
    world.assert_sound(&anna);
}

#[test]
fn an_id_twice_within_one_group_with_another_content_is_a_verdict_on_the_group() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    let mut group: Vec<_> = ["kick", "snare", "hat"].map(|name| device.create(&world, name, json!({}))).into();
    group[1]["id"] = group[0]["id"].clone();
    for event in &mut group {
        event["group"] = json!("g");
    }
    let response = device.push(&world, &group).unwrap();
    assert_eq!(statuses(&response), [ReceiptStatus::Skipped, ReceiptStatus::Rejected, ReceiptStatus::Skipped]);
    assert_eq!(codes(&response)[1], "id_reused");
    assert!(world.records(&anna, unisono::model::Scope::User).is_empty());

    // The verdict is on this push alone: under ids of their own they are taken.
    group[1]["id"] = json!("its own");
    let response = device.push(&world, &group).unwrap();
    assert_eq!(statuses(&response), [ReceiptStatus::Applied; 3]);
    world.assert_sound(&anna);
}

#[test]
fn a_member_of_a_group_may_depend_on_an_earlier_one() {
    let world = World::new();
    let mut device = Device::new(&user("anna"), "a");
    let mut pack = device.create(&world, "pack", json!({}));
    let mut kick = device.create(&world, "kick", json!({}));
    (pack["group"], kick["group"]) = (json!("g"), json!("g"));
    kick["depends_on"] = json!([pack["id"]]);
    let response = device.push(&world, &[pack, kick]).unwrap();
    assert_eq!(statuses(&response), [ReceiptStatus::Applied, ReceiptStatus::Applied]);
}
