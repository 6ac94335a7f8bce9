//! Verdicts: each event has its own, and no event suffers from another but by lane, group or dependency.

use serde_json::{Value, json};
use unisono::limits::{MAX_GROUP_EVENTS, MAX_PUSH_BYTES, MAX_PUSH_EVENTS};
use unisono::model::{ReceiptStatus as Status, Scope};

use crate::world::{Device, World, codes, statuses, user};

fn set_op(path: &str, value: impl Into<Value>) -> Value {
    json!([{"op": "set", "path": path, "value": value.into()}])
}

#[test]
fn b3_a_poison_event_blocks_its_record_and_no_other() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    let mut events: Vec<_> =
        (0..30).map(|number| device.create(&world, &format!("r{}", number % 10), json!({"n": number}))).collect();
    events[4] = device.event(&world, "update", "r4", 0, json!({"ops": [{"op": "inc", "path": "/n", "by": 1.5}]}));
    let poison = events[4]["id"].as_str().unwrap().to_owned();
    let response = device.push(&world, &events).unwrap();
    for (index, receipt) in response.receipts.iter().enumerate() {
        match index {
            4 => assert_eq!((receipt.status, receipt.code.as_deref()), (Status::Rejected, Some("invalid_event"))),
            14 | 24 => {
                assert_eq!(receipt.status, Status::Skipped);
                assert_eq!(receipt.because.as_ref().unwrap().as_str(), poison, "lane order is kept");
            }
            _ => assert!(receipt.status.is_settled(), "{index}: {receipt:?}"),
        }
    }
    assert_eq!(world.records(&anna, Scope::User).len(), 9);
    world.assert_sound(&anna);
}

#[test]
fn b7_one_malformed_among_five_hundred_gets_its_own_receipt() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    let mut events: Vec<_> =
        (0..MAX_PUSH_EVENTS).map(|number| device.create(&world, &format!("r{number}"), json!({"n": number}))).collect();
    events[250] = json!({"id": "broken", "action": 7});
    let response = device.push(&world, &events).unwrap();
    assert_eq!(response.receipts.len(), MAX_PUSH_EVENTS);
    let refused: Vec<_> = response.receipts.iter().filter(|receipt| !receipt.status.is_settled()).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].id.as_str(), refused[0].code.as_deref()), ("broken", Some("invalid_event")));
    for (event, receipt) in events.iter().zip(&response.receipts) {
        assert_eq!(event["id"], receipt.id.as_str(), "receipts stand in request order");
    }
    world.assert_sound(&anna);
}

#[test]
fn b31_what_no_backend_can_hold_is_rejected_with_the_models_code() {
    let world = World::new();
    let anna = user("anna");
    let base = r#""collection": "c", "record": "r", "action": "create", "base": 0, "stamp": "000000000001-0000-a""#;
    let deep = format!("{}1{}", "[".repeat(70), "]".repeat(70));
    let abyss = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let rows: Vec<(String, &str)> = vec![
        (format!(r#"{base}, "doc": {{"a": "x\u0000y"}}"#), "nul_character"),
        (format!(r#"{base}, "doc": {{"a": "\ud800"}}"#), "lone_surrogate"),
        (format!(r#"{base}, "doc": {{"a": 1e999}}"#), "invalid_number"),
        (format!(r#"{base}, "doc": {{"a": {deep}}}"#), "nesting_too_deep"),
        (format!(r#"{base}, "doc": {{"a": {abyss}}}"#), "nesting_too_deep"),
        (format!(r#"{base}, "doc": {{"$a": 1}}"#), "reserved_name"),
        (format!(r#"{base}, "doc": [1]"#), "not_an_object"),
        (format!(r#"{base}, "doc": {{"a": "{}"}}"#, "x".repeat(1 << 20)), "document_too_large"),
        (base.to_owned(), "invalid_event"),
        (base.replace("create", "grow"), "unsupported"),
        (format!(r#"{base}, "doc": {{}}, "mode": "sharp""#), "unsupported"),
        (format!(r#"{base}, "doc": {{}}, "policy": "whim""#), "unsupported"),
        (format!(r#"{base}, "doc": {{}}, "needs": ["blob:1"]"#), "unsupported"),
        (base.replace("create", "update") + r#", "ops": [{"op": "turn", "path": "/a"}]"#, "unsupported"),
        (base.replace("create", "update") + r#", "ops": [{"op": "unset", "path": "a"}]"#, "invalid_pointer"),
        (
            base.replace("create", "update") + r#", "ops": [{"op": "text", "path": "/a", "edit": [0]}]"#,
            "invalid_text_edit",
        ),
        (format!(r#"{}, "doc": {{}}"#, base.replace(r#""record": "r""#, r#""record": """#)), "invalid_id"),
        (format!(r#"{}, "doc": {{}}"#, base.replace("000000000001-0000-a", "yesterday")), "invalid_stamp"),
        (format!(r#"{}, "doc": {{}}"#, base.replace(r#""base": 0"#, r#""base": 5"#)), "invalid_base"),
        (format!(r#"{}, "doc": {{}}"#, base.replace(r#""c""#, r#""$mine""#)), "reserved_name"),
        (format!(r#"{}, "doc": {{}}"#, base.replace(r#""c""#, r#""$conflicts""#)), "reserved_name"),
        (format!(r#"{}, "doc": {{}}"#, base.replace(r#""c""#, r#""$settings""#)), "settings_invalid"),
    ];
    for (index, (body, code)) in rows.iter().enumerate() {
        let text = format!(
            r#"{{"scope": "user", "account": "anna", "epoch": null, "device_id": "a", "push_seq": {}, "cursor": null,
                "device_now": 0, "events": [{{"id": "e{index}", {body}}}]}}"#,
            index + 1
        );
        let request = serde_json::from_str(&text).unwrap();
        let response = world.env.block_on(world.service.push(&anna, request)).unwrap();
        assert_eq!(codes(&response), [*code], "{body:.120}");
        assert_eq!(statuses(&response), [Status::Rejected]);
    }
    assert!(world.records(&anna, Scope::User).is_empty());
}

#[test]
fn an_event_without_readable_id_refuses_the_whole_push() {
    let world = World::new();
    let mut device = Device::new(&user("anna"), "a");
    for broken in [json!({}), json!({"id": ""}), json!({"id": 7}), json!(3), json!(null)] {
        let good = device.create(&world, "kick", json!({}));
        let problem = device.push(&world, &[good, broken]).unwrap_err();
        assert_eq!((problem.status, problem.code.as_str()), (400, "malformed_event"));
    }
    assert!(world.records(&user("anna"), Scope::User).is_empty());
}

#[test]
fn i8_a_group_is_applied_entirely_or_not_at_all() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    let single = device.create(&world, "before", json!({}));
    let mut group: Vec<_> = ["one", "two", "three"].map(|name| device.create(&world, name, json!({"n": 1}))).into();
    group[1]["doc"] = json!("no object");
    let after = device.create(&world, "after", json!({}));
    let follows = device.set(&world, "one", 0, "/n", 2);
    for event in &mut group {
        event["group"] = json!("g1");
    }
    let culprit = group[1]["id"].as_str().unwrap().to_owned();
    let events = [vec![single], group.clone(), vec![after, follows]].concat();
    let response = device.push(&world, &events).unwrap();
    use Status::{Applied, Rejected, Skipped};
    assert_eq!(statuses(&response), [Applied, Skipped, Rejected, Skipped, Applied, Skipped]);
    for index in [1, 3, 5] {
        assert_eq!(response.receipts[index].because.as_ref().unwrap().as_str(), culprit);
    }
    assert_eq!(response.receipts[4].revision, Some(2), "a refused group takes no revisions");
    let names: Vec<_> = world.records(&anna, Scope::User).iter().map(|change| change.record.to_string()).collect();
    assert_eq!(names, ["before", "after"]);

    group[1]["doc"] = json!({"n": 1});
    group[1]["id"] = json!("mended");
    let response = device.push(&world, &group).unwrap();
    assert_eq!(statuses(&response), [Applied, Applied, Applied]);
    assert_eq!(world.records(&anna, Scope::User)[2].group.as_ref().unwrap().as_str(), "g1");
    world.assert_sound(&anna);
}

#[test]
fn i8_a_conflict_in_a_group_takes_back_what_the_group_did_before() {
    let world = World::new();
    let anna = user("anna");
    let (mut a, mut b) = (Device::new(&anna, "a"), Device::new(&anna, "b"));
    let event = a.create(&world, "kick", json!({"bpm": 120}));
    a.write(&world, event);
    let event = a.set(&world, "kick", 1, "/bpm", 121);
    a.write(&world, event);
    let mut first = b.create(&world, "snare", json!({"n": 1}));
    let mut again = b.set(&world, "snare", 0, "/n", 2);
    let mut strict = b.set(&world, "kick", 1, "/bpm", 99);
    strict["mode"] = json!("strict");
    for event in [&mut first, &mut again, &mut strict] {
        event["group"] = json!("g");
    }
    let response = b.push(&world, &[first, again, strict]).unwrap();
    assert_eq!(statuses(&response), [Status::Skipped, Status::Skipped, Status::Conflict]);
    let theirs = response.receipts[2].record.as_ref().unwrap();
    assert_eq!(
        (theirs.revision, theirs.doc.as_ref()),
        (2, Some(&json!({"bpm": 121}))),
        "the writer sees what is there"
    );
    assert_eq!(world.doc(&anna, "snare"), None);
    world.assert_sound(&anna);
}

#[test]
fn members_that_stand_apart_are_rejected() {
    let world = World::new();
    let mut device = Device::new(&user("anna"), "a");
    let mut events: Vec<_> = ["one", "two", "three"].map(|name| device.create(&world, name, json!({}))).into();
    events[0]["group"] = json!("g");
    events[2]["group"] = json!("g");
    let response = device.push(&world, &events).unwrap();
    assert_eq!(codes(&response), ["invalid_event", "", "invalid_event"]);
}

#[test]
fn an_event_waits_for_what_it_depends_on() {
    let world = World::new();
    let mut device = Device::new(&user("anna"), "a");
    let parent = device.create(&world, "pack", json!({}));
    let broken = device.create(&world, "broken", json!(1));
    let depending = |device: &mut Device, name: &str, on: &[&Value]| {
        let mut event = device.create(&world, name, json!({}));
        event["depends_on"] = on.iter().map(|event| event["id"].clone()).collect();
        event
    };
    let good = depending(&mut device, "good", &[&parent]);
    let bad = depending(&mut device, "bad", &[&parent, &broken]);
    let worse = depending(&mut device, "worse", &[&bad]);
    let response = device.push(&world, &[parent.clone(), broken.clone(), good, bad.clone(), worse]).unwrap();
    use Status::{Applied, Rejected, Skipped};
    assert_eq!(statuses(&response), [Applied, Rejected, Applied, Skipped, Skipped]);
    assert_eq!(response.receipts[3].because.as_ref().unwrap().as_str(), broken["id"].as_str().unwrap());
    assert_eq!(response.receipts[4].because.as_ref().unwrap().as_str(), bad["id"].as_str().unwrap());
    let later = depending(&mut device, "later", &[&parent]);
    assert_eq!(statuses(&device.push(&world, &[later]).unwrap()), [Applied], "settled by an earlier push");
}

#[test]
fn a_strict_event_applies_only_to_what_its_writer_saw() {
    let world = World::new();
    let anna = user("anna");
    let (mut a, mut b) = (Device::new(&anna, "a"), Device::new(&anna, "b"));
    let event = a.create(&world, "kick", json!({"bpm": 120}));
    a.write(&world, event);
    let mut strict = b.set(&world, "kick", 1, "/bpm", 121);
    strict["mode"] = json!("strict");
    assert_eq!(b.write(&world, strict).status, Status::Applied);
    let mut stale = a.set(&world, "kick", 1, "/bpm", 99);
    stale["mode"] = json!("strict");
    let lane = a.set(&world, "kick", 1, "/name", "x");
    let response = a.push(&world, &[stale, lane]).unwrap();
    assert_eq!(statuses(&response), [Status::Conflict, Status::Skipped]);
    assert_eq!(response.cursor, None);
    assert_eq!(world.doc(&anna, "kick"), Some(json!({"bpm": 121})));
}

#[test]
fn pushes_are_bounded_unless_one_group_needs_the_room() {
    let world = World::new();
    let mut device = Device::new(&user("anna"), "a");
    let mut many: Vec<_> =
        (0..=MAX_PUSH_EVENTS).map(|number| device.create(&world, &format!("r{number}"), json!({}))).collect();
    let problem = device.push(&world, &many).unwrap_err();
    assert_eq!((problem.status, problem.code.as_str()), (413, "push_too_large"));
    for event in &mut many {
        event["group"] = json!("g");
    }
    assert_eq!(device.push(&world, &many).unwrap().receipts.len(), MAX_PUSH_EVENTS + 1);

    let half = "x".repeat(MAX_PUSH_BYTES / 2 + 1);
    let large = [device.create(&world, "l1", json!({"a": half})), device.create(&world, "l2", json!({"a": half}))];
    assert_eq!(device.push(&world, &large).unwrap_err().code, "push_too_large");
    let mut huge: Vec<_> =
        (0..=MAX_GROUP_EVENTS).map(|number| device.create(&world, &format!("h{number}"), json!({}))).collect();
    for event in &mut huge {
        event["group"] = json!("h");
    }
    assert_eq!(device.push(&world, &huge).unwrap_err().code, "push_too_large");
}

#[test]
fn b24_a_stamp_from_the_future_is_bounded_and_reported() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    let mut event = device.create(&world, "kick", json!({"bpm": 120}));
    event["stamp"] = json!(format!("{:012x}-0000-a", 4_102_444_800_000u64));
    let receipt = device.write(&world, event);
    let stamp = receipt.stamp.expect("a changed stamp is told");
    assert!(stamp.ms <= unisono::Environment::now_ms(&world.env) + 60_000);
    let event = device.set(&world, "kick", 0, "/bpm", 121);
    let receipt = device.write(&world, event);
    assert!(receipt.stamp.expect("lifted above the one before") > stamp, "strictly increasing per device");
}

#[test]
fn a_receipt_tells_the_record_when_another_writer_changed_it() {
    let world = World::new();
    let anna = user("anna");
    let (mut a, mut b) = (Device::new(&anna, "a"), Device::new(&anna, "b"));
    let event = a.create(&world, "kick", json!({"bpm": 120}));
    let created = a.write(&world, event);
    assert_eq!((created.revision, created.previous, created.record.is_none()), (Some(1), Some(0), true));
    let event = b.set(&world, "kick", 1, "/name", "Kick");
    let seen = b.write(&world, event);
    assert!(seen.record.is_none(), "its writer had seen everything");
    let mut unseen = a.event(&world, "update", "kick", 1, json!({"ops": set_op("/bpm", 121)}));
    unseen["id"] = json!("unseen");
    let merged = a.write(&world, unseen);
    let record = merged.record.expect("another device wrote after its base");
    assert_eq!((record.revision, record.doc), (3, Some(json!({"bpm": 121, "name": "Kick"}))));
    assert_eq!(merged.previous, Some(2));
}

#[test]
fn the_answer_moves_the_cursor_only_if_nothing_else_happened() {
    let world = World::new();
    let anna = user("anna");
    let (mut a, mut b) = (Device::new(&anna, "a"), Device::new(&anna, "b"));
    a.pull(&world).unwrap();
    b.pull(&world).unwrap();
    let event = a.create(&world, "kick", json!({}));
    let alone = a.push(&world, &[event]).unwrap();
    assert_eq!(alone.cursor, Some(alone.head.clone()));
    assert!(a.pull(&world).unwrap().is_empty(), "there is nothing that the receipts did not tell");
    let event = b.create(&world, "snare", json!({}));
    let behind = b.push(&world, &[event]).unwrap();
    assert_eq!(behind.cursor, None, "b has not seen kick");
    let names: Vec<_> = b.pull(&world).unwrap().iter().map(|change| change.record.to_string()).collect();
    assert_eq!(names, ["kick", "snare"]);
}

#[test]
fn a_whole_that_is_beyond_the_limits_is_rejected_though_its_parts_are_not() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    let event = device.create(&world, "kick", json!({"a": "x".repeat(600_000)}));
    device.write(&world, event);
    let large = device.set(&world, "kick", 1, "/b", "y".repeat(600_000));
    assert_eq!(codes(&device.push(&world, &[large]).unwrap()), ["document_too_large"]);
    let value: Value = (0..60).fold(json!(1), |inner, _| json!([inner]));
    let deep = device.set(&world, "kick", 1, &"/d".repeat(60), value);
    assert_eq!(codes(&device.push(&world, &[deep]).unwrap()), ["nesting_too_deep"]);
    assert_eq!(world.doc(&anna, "kick"), Some(json!({"a": "x".repeat(600_000)})));
    world.assert_sound(&anna);
}
