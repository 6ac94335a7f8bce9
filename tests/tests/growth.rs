//! A replica grows with its records, not with its writes (I13): what it remembers of events goes when the server's backups are
//! sure to hold them, and no sooner than anybody can need it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use unisono::replica::rows::Outcome;
use unisono::storage::{Scan, Storage, Table};
use unisono_tests::{Device, World};

const DAY: u64 = 86_400;

/// How many rows a device stores, by table.
fn rows(world: &World, device: &Device) -> BTreeMap<&'static str, usize> {
    let count = |table| world.run(device.storage.scan(Scan::prefix(table, b""))).unwrap().len();
    Table::ALL.into_iter().map(|table| (table.name(), count(table))).collect()
}

/// `device` writes something and hears of what is older than a week.
fn week(world: &World, device: &Device, name: String) {
    world.pass(8 * DAY);
    world.run(device.samples().create(name, json!({}))).unwrap();
    device.synced(world);
}

#[test]
fn i13_a_replica_grows_with_its_records_and_not_with_its_writes() {
    let world = World::new(1);
    let a = world.device("anna");
    let first = world.run(a.samples().create("kick", json!({"bpm": 100}))).unwrap();
    let mut sizes = Vec::new();
    let mut last = Vec::new();
    for round in 0..40 {
        last = vec![
            world.run(a.samples().update("kick", json!({"bpm": 2 * round}))).unwrap().expect("an edit"),
            world.run(a.samples().update("kick", json!({"bpm": 2 * round + 1}))).unwrap().expect("an edit"),
            world.run(a.samples().create("draft", json!({}))).unwrap(),
            world.run(a.samples().delete("draft")).unwrap(),
        ];
        a.synced(&world);
        sizes.push(rows(&world, &a));
        if round == 0 {
            assert!(world.run(a.client.outcome(&first)).unwrap().is_some(), "the app can still ask");
        }
        world.pass(8 * DAY);
    }
    assert_eq!(sizes[5..].iter().collect::<BTreeSet<_>>().len(), 1, "{sizes:?}");
    assert_eq!(sizes[5]["record"], 1);
    assert_eq!(world.run(a.client.outcome(&first)).unwrap(), None);
    for (id, state) in last.iter().zip(["replaced", "applied", "cancelled", "cancelled"]) {
        let outcome = world.run(a.client.outcome(id)).unwrap();
        let told = match outcome {
            Some(Outcome::ReplacedBy { .. }) => "replaced",
            Some(Outcome::Applied { .. }) => "applied",
            Some(Outcome::Cancelled) => "cancelled",
            other => panic!("{id}: {other:?}"),
        };
        assert_eq!(told, state, "{id}");
    }
    let later = world.run(a.samples().after([first]).create("snare", json!({}))).unwrap();
    a.synced(&world);
    assert!(
        matches!(world.run(a.client.outcome(&later)).unwrap(), Some(Outcome::Applied { .. })),
        "nothing to wait for"
    );
}

#[test]
fn what_waits_for_a_folded_event_waits_however_long_ago_it_was_folded() {
    let world = World::new(2);
    let a = world.device("anna");
    world.run(a.samples().create("kick", json!({}))).unwrap();
    a.synced(&world);
    world.server.access().limit_pushes(Some(6_000));
    let mut folded = Vec::new();
    for round in 0..4 {
        let text = json!({"text": "x".repeat(20_000 + round)});
        folded.push(world.run(a.samples().update("kick", text)).unwrap().expect("an edit"));
    }
    a.synced(&world);
    let parked = folded.pop().unwrap();
    assert_eq!(a.parked(&world), std::slice::from_ref(&parked));
    for round in 0..4 {
        week(&world, &a, format!("early-{round}"));
    }
    for id in &folded {
        let outcome = world.run(a.client.outcome(id)).unwrap();
        assert!(matches!(outcome, Some(Outcome::ReplacedBy { .. })), "the way to what is parked: {outcome:?}");
    }
    let waits = world.run(a.samples().after([folded[0].clone()]).create("loop", json!({}))).unwrap();
    a.synced(&world);
    assert!(matches!(world.run(a.client.outcome(&waits)).unwrap(), Some(Outcome::Pending { .. })));

    world.run(a.client.discard(&parked)).unwrap();
    // A way is forgotten from its far end, a step a sync where the ids do not tell which is newer.
    for round in 0..8 {
        week(&world, &a, format!("late-{round}"));
    }
    for id in folded.iter().chain([&parked, &waits]) {
        assert_eq!(world.run(a.client.outcome(id)).unwrap(), None, "{id}");
    }
    assert_eq!(a.get(&world, "loop"), Some(json!({})));
}

#[test]
fn i13_a_record_that_was_deleted_here_leaves_no_row() {
    let world = World::new(13);
    let (a, b) = (world.device("anna"), world.device("anna"));
    for round in 0..20 {
        let id = format!("r{round}");
        world.run(a.samples().create(&*id, json!({}))).unwrap();
        a.synced(&world);
        world.run(a.samples().delete(&*id)).unwrap();
        a.synced(&world);
    }
    assert_eq!(rows(&world, &a)["record"], 0, "nothing is left of what it has deleted alone");
    // The same where another's delete comes under an own write that loses to it.
    world.run(a.samples().create("kick", json!({}))).unwrap();
    a.synced(&world);
    b.synced(&world);
    world.run(b.samples().delete("kick")).unwrap();
    b.synced(&world);
    world.run(a.samples().update("kick", json!({"late": true}))).unwrap();
    a.synced(&world);
    b.synced(&world);
    a.synced(&world);
    assert_eq!((a.get(&world, "kick"), b.get(&world, "kick")), (None, None));
    let notes = world.run(a.client.conflicts()).unwrap().len();
    assert_eq!((rows(&world, &a)["record"], rows(&world, &b)["record"]), (notes, notes), "the note alone");
}
