//! An event that the server refuses: it stops its own lane and no other, it is shown with a reason, and the app can retry,
//! replace or discard it (I8, I12).

use serde_json::json;
use unisono::client::RecordState;
use unisono::model::{EventId, OpKind};
use unisono::replica::rows::{Outcome, Parking};
use unisono::testing::Fault;
use unisono_tests::{Books, Device, World};

/// `a` has increments on a field that `b` has made a text meanwhile, in the middle of thirty other events.
struct Poisoned {
    world: World,
    a: Device,
    b: Device,
    books: Books,
    /// The increment, which the server will refuse.
    poison: EventId,
    /// A later write of `a` to the same record.
    behind: EventId,
}

fn poisoned(seed: u64) -> Poisoned {
    let world = World::new(seed);
    let (a, b) = (world.device("anna"), world.device("anna"));
    let mut books = Books::opened_by(&world, &a);
    let id = world.run(a.samples().create("kick", json!({"plays": 1}))).unwrap();
    books.accept(&a, [id]);
    a.synced(&world);
    b.synced(&world);
    let id = world.run(b.samples().update("kick", json!({"plays": "many"}))).unwrap().expect("an edit");
    books.accept(&b, [id]);
    b.synced(&world);
    for index in 0..15 {
        let id = world.run(a.samples().create(format!("before{index}"), json!({"index": index}))).unwrap();
        books.accept(&a, [id]);
    }
    let poison = world.run(a.samples().edit("kick").increment("/plays", 4).commit()).unwrap().expect("an edit");
    for index in 0..15 {
        let id = world.run(a.samples().create(format!("after{index}"), json!({"index": index}))).unwrap();
        books.accept(&a, [id]);
        books.count(&world, &a, 1);
    }
    // What was written on one record in one go is one event: sent first, the increment stays one of its own.
    a.synced(&world);
    let behind = world.run(a.samples().update("kick", json!({"name": "Kick"}))).unwrap().expect("an edit");
    books.accept(&a, [poison.clone(), behind.clone()]);
    Poisoned { world, a, b, books, poison, behind }
}

fn outcome(world: &World, device: &Device, id: &EventId) -> Outcome {
    world.run(device.client.outcome(id)).unwrap().expect("an outcome")
}

fn why(world: &World, device: &Device) -> Vec<Parking> {
    world.run(device.client.parked()).unwrap().into_iter().filter_map(|event| event.parked).collect()
}

#[test]
fn b03_one_refused_event_among_thirty_holds_up_its_own_record_only() {
    let Poisoned { world, mut a, b, books, poison, behind } = poisoned(1);
    for _ in 0..3 {
        a.synced(&world);
        books.check_with_server(&world, &[&a, &b]);
        assert_eq!(a.parked(&world), std::slice::from_ref(&poison));
        assert_eq!(why(&world, &a)[0].code, "type_mismatch");
        assert!(matches!(outcome(&world, &a, &behind), Outcome::Pending { .. }), "the rest of the lane waits");
        assert_eq!(a.client.status().pending, 1, "all others have arrived");
        assert_eq!(world.run(a.samples().state("kick")).unwrap(), Some(RecordState::Parked));
        assert!(a.findings(&world).contains(&"parked".to_owned()), "the doctor names it");
        // It is not forgotten over a restart, either.
        a.restart(&world);
    }
    b.synced(&world);
    assert!(b.get(&world, "after14").is_some());
    assert_eq!(b.get(&world, "kick"), Some(json!({"plays": "many"})));
}

#[test]
fn b04_a_refused_event_is_applied_by_a_retry_once_its_cause_is_gone() {
    let Poisoned { world, a, b, books, poison, behind } = poisoned(2);
    world.run(a.client.retry(&poison)).unwrap();
    a.synced(&world);
    assert_eq!(a.parked(&world), std::slice::from_ref(&poison), "the cause is still there");
    let fixed = world.run(b.samples().update("kick", json!({"plays": 10}))).unwrap().expect("an edit");
    b.synced(&world);
    world.run(a.client.retry(&poison)).unwrap();
    books.check(&world, &[&a, &b]);
    for device in [&a, &b, &a] {
        device.synced(&world);
    }
    for id in [&poison, &behind] {
        assert!(matches!(outcome(&world, &a, id), Outcome::Applied { .. }), "under its own id");
    }
    assert!(matches!(outcome(&world, &b, &fixed), Outcome::Applied { .. }));
    assert_eq!(b.get(&world, "kick"), Some(json!({"plays": 14, "name": "Kick"})));
    books.check_settled(&world, &[&a, &b]);
}

#[test]
fn b04_a_refused_event_can_be_replaced() {
    let Poisoned { world, a, b, mut books, poison, .. } = poisoned(3);
    let replaced = a.client.replace(&poison, |mut event| {
        for op in &mut event.ops {
            op.kind = OpKind::Set { value: json!(7) };
        }
        event
    });
    let new = world.run(replaced).unwrap();
    books.accept(&a, [new.clone()]);
    assert_ne!(new, poison);
    assert_eq!(outcome(&world, &a, &poison), Outcome::ReplacedBy { id: new.clone() });
    assert_eq!(a.get(&world, "kick"), Some(json!({"plays": 7, "name": "Kick"})));
    books.check(&world, &[&a, &b]);
    a.synced(&world);
    b.synced(&world);
    assert!(matches!(outcome(&world, &a, &new), Outcome::Applied { .. }));
    books.check_settled(&world, &[&a, &b]);
}

#[test]
fn b04_a_refused_event_can_be_discarded_and_its_lane_goes_on() {
    let Poisoned { world, a, b, books, poison, behind } = poisoned(4);
    world.run(a.client.discard(&poison)).unwrap();
    assert_eq!(outcome(&world, &a, &poison), Outcome::Discarded);
    assert_eq!(a.get(&world, "kick"), Some(json!({"plays": "many", "name": "Kick"})), "the view is without it");
    books.check(&world, &[&a, &b]);
    a.synced(&world);
    b.synced(&world);
    assert!(matches!(outcome(&world, &a, &behind), Outcome::Applied { .. }));
    assert_eq!(b.get(&world, "kick"), Some(json!({"plays": "many", "name": "Kick"})));
    books.check_settled(&world, &[&a, &b]);
    let late = [world.run(a.client.retry(&poison)), world.run(a.client.discard(&poison))];
    assert!(
        late.into_iter().all(|call| call.is_err_and(|error| error.code() == "event_state")),
        "what is gone is gone"
    );
}

#[test]
fn a_strict_event_that_meets_a_conflict_is_parked_and_stays_in_view() {
    let world = World::new(5);
    let (a, b) = (world.device("anna"), world.device("anna"));
    let mut books = Books::opened_by(&world, &a);
    world.run(a.samples().create("kick", json!({"bpm": 120, "key": "C"}))).unwrap();
    a.synced(&world);
    b.synced(&world);
    world.run(b.samples().update("kick", json!({"bpm": 121}))).unwrap();
    b.synced(&world);
    let met = world.run(a.samples().strict().update("kick", json!({"bpm": 99}))).unwrap().expect("an edit");
    let apart = world.run(a.samples().update("kick", json!({"key": "D"}))).unwrap().expect("an edit");
    books.accept(&a, [met.clone(), apart.clone()]);
    books.count(&world, &a, 1);
    let report = a.synced(&world);
    assert_eq!(report.parked, 1);
    assert_eq!((a.parked(&world), why(&world, &a)[0].code.as_str()), (vec![met.clone()], "conflict"));
    assert_eq!(a.get(&world, "kick"), Some(json!({"bpm": 99, "key": "D"})), "its writer sees it until a decision");
    assert_eq!(b.get(&world, "kick"), Some(json!({"bpm": 121, "key": "C"})), "nobody else does");
    books.check_with_server(&world, &[&a, &b]);
    world.run(a.client.discard(&met)).unwrap();
    for device in [&a, &b] {
        device.synced(&world);
        assert_eq!(device.get(&world, "kick"), Some(json!({"bpm": 121, "key": "D"})));
    }
    books.check_settled(&world, &[&a, &b]);
}

#[test]
fn b07_a_group_with_one_refused_member_applies_nothing_anywhere() {
    for (seed, place) in [(6, 0), (7, 1), (8, 2)] {
        let world = World::new(seed);
        let (a, b) = (world.device("anna"), world.device("anna"));
        let mut books = Books::opened_by(&world, &a);
        for id in ["x0", "x1", "x2"] {
            world.run(a.samples().create(id, json!({"n": 0}))).unwrap();
        }
        a.synced(&world);
        b.synced(&world);
        world.run(b.samples().update(format!("x{place}"), json!({"n": "text"}))).unwrap();
        b.synced(&world);
        let samples = a.samples();
        let group = ["x0", "x1", "x2"]
            .iter()
            .fold(a.client.transaction(), |group, id| group.edit(&samples, id, |edit| edit.increment("/n", 5)));
        let members: Vec<_> = world.run(group.commit()).unwrap().into_iter().flatten().collect();
        books.accept(&a, members.clone());
        books.count(&world, &a, 1);
        a.synced(&world);
        b.synced(&world);
        books.check_with_server(&world, &[&a, &b]);
        assert_eq!(a.parked(&world), members, "the whole group is shown");
        for (index, parking) in why(&world, &a).iter().enumerate() {
            match index == place {
                true => assert_eq!((parking.code.as_str(), &parking.because), ("type_mismatch", &None)),
                false => {
                    assert_eq!((parking.code.as_str(), &parking.because), ("skipped", &Some(members[place].clone())))
                }
            }
        }
        let seen = |device: &Device| ["x0", "x1", "x2"].map(|id| device.get(&world, id).unwrap()["n"].clone());
        let mut theirs = [json!(0), json!(0), json!(0)];
        theirs[place] = json!("text");
        assert_eq!(seen(&b), theirs, "not a part of it has been applied");
        if place == 1 {
            world.run(a.client.discard(&members[2])).unwrap();
            assert_eq!(seen(&a), theirs, "a group is discarded as a whole");
        } else {
            // The cause goes, one member is retried, and the whole group goes in.
            world.run(b.samples().update(format!("x{place}"), json!({"n": 100}))).unwrap();
            b.synced(&world);
            world.run(a.client.retry(&members[1])).unwrap();
            theirs = [json!(5), json!(5), json!(5)];
            theirs[place] = json!(105);
        }
        for device in [&a, &b] {
            device.synced(&world);
            assert_eq!(seen(device), theirs);
        }
        books.check_settled(&world, &[&a, &b]);
    }
}

#[test]
fn b04_what_was_refused_in_a_push_without_an_answer_stays_in_view_and_can_be_replaced() {
    let world = World::new(6);
    let (a, b) = (world.device("anna"), world.device("anna"));
    world.run(a.samples().create("kick", json!({"plays": 1}))).unwrap();
    a.synced(&world);
    b.synced(&world);
    world.run(b.samples().update("kick", json!({"plays": "many"}))).unwrap();
    b.synced(&world);
    // The server will refuse it as a whole: the increment does not fit.
    let refused = a.samples().edit("kick").set("/title", "mine").increment("/plays", 1).commit();
    let refused = world.run(refused).unwrap().expect("an edit");
    let beside = world.run(a.samples().create("beside", json!({}))).unwrap();
    a.push_faults([Fault::drop_response()]);
    a.sync(&world).unwrap_err();
    assert_eq!(a.get(&world, "kick").unwrap()["title"], json!("mine"));
    // Sent again, a proxy refuses it. A pull tells that the server holds the push, and not that it holds a refusal.
    a.push_faults([Fault::status(413)]);
    a.synced(&world);
    assert!(matches!(outcome(&world, &a, &beside), Outcome::Applied { .. }));
    assert_eq!(why(&world, &a)[0].code, "type_mismatch", "the server has refused it: it holds nothing of it");
    assert_eq!(a.get(&world, "kick"), Some(json!({"plays": 2, "title": "mine"})), "entirely, as it was written");
    let replaced = a.client.replace(&refused, |mut event| {
        event.ops.retain(|op| !matches!(op.kind, OpKind::Inc { .. }));
        event
    });
    let replaced = world.run(replaced).unwrap();
    a.synced(&world);
    assert!(matches!(outcome(&world, &a, &replaced), Outcome::Applied { .. }));
    assert_eq!(a.get(&world, "kick"), Some(json!({"plays": "many", "title": "mine"})));
}

#[test]
fn b01_an_event_that_the_server_holds_is_never_sent_with_other_dependencies() {
    let world = World::new(7);
    let a = world.device("anna");
    a.synced(&world);
    let first = world.run(a.samples().create("first", json!({}))).unwrap();
    let second = world.run(a.samples().after([first.clone()]).create("second", json!({}))).unwrap();
    a.push_faults([Fault::drop_response()]);
    a.sync(&world).unwrap_err();
    // Both are on the server. Sent again, they meet a proxy that takes nothing any more.
    a.push_faults([Fault::status(413), Fault::status(413)]);
    a.synced(&world);
    assert_eq!(a.parked(&world), std::slice::from_ref(&first));
    world.run(a.client.discard(&first)).unwrap();
    a.synced(&world);
    assert!(matches!(outcome(&world, &a, &second), Outcome::Applied { .. }), "{:?}", why(&world, &a));
}

#[test]
fn a_delete_reaches_the_server_whatever_was_refused_before_it() {
    let world = World::new(8);
    let (a, b) = (world.device("anna"), world.device("anna"));
    world.run(a.samples().create("kick", json!({"plays": 1}))).unwrap();
    a.synced(&world);
    b.synced(&world);
    world.run(a.samples().update("kick", json!({"plays": "many"}))).unwrap();
    a.synced(&world);
    let edit = world.run(b.samples().edit("kick").increment("/plays", 3).commit()).unwrap().expect("an edit");
    b.synced(&world);
    assert_eq!(why(&world, &b)[0].code, "type_mismatch");
    let deleted = world.run(b.samples().delete("kick")).unwrap();
    b.synced(&world);
    a.synced(&world);
    assert_eq!((a.get(&world, "kick"), b.get(&world, "kick"), b.parked(&world).len()), (None, None, 0));
    assert_eq!(outcome(&world, &b, &edit), Outcome::Cancelled);
    assert!(matches!(outcome(&world, &b, &deleted), Outcome::Applied { .. }));
    world.assert_converged(&[&a, &b]);
}

#[test]
fn b10_an_answer_that_is_too_long_makes_the_next_push_smaller() {
    let world = World::new(9);
    let a = world.device("anna");
    a.synced(&world);
    let mut books = Books::opened_by(&world, &a);
    for n in 0..7 {
        let id = world.run(a.samples().create(format!("r{n}"), json!({}))).unwrap();
        books.accept(&a, [id]);
    }
    a.network.clear_calls();
    a.push_faults([Fault::answer_too_long(), Fault::answer_too_long()]);
    a.synced(&world);
    let sizes: Vec<_> = a.network.pushes().iter().map(|push| push.events.len()).collect();
    assert_eq!(sizes, [8, 4, 2, 4, 2], "halved, then grown again");
    books.check_settled(&world, &[&a]);

    // One event alone cannot be made smaller: it is shown, and holds nothing else up.
    let alone = world.run(a.samples().create("alone", json!({}))).unwrap();
    a.push_faults([Fault::answer_too_long()]);
    a.synced(&world);
    assert_eq!((a.parked(&world), why(&world, &a)[0].code.as_str()), (vec![alone.clone()], Parking::UNCERTAIN));
    let free = world.run(a.samples().create("free", json!({}))).unwrap();
    a.synced(&world);
    assert!(matches!(outcome(&world, &a, &free), Outcome::Applied { .. }));
    world.run(a.client.retry(&alone)).unwrap();
    a.synced(&world);
    assert!(matches!(outcome(&world, &a, &alone), Outcome::Applied { .. }));
}
