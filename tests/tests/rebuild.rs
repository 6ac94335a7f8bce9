//! A replica that has to be fetched anew, wholly or in part: the queue stays, deletes stay deleted, and what is damaged is
//! mended (pitfalls B16, B18, B19).

use std::time::Duration;

use serde_json::json;
use unisono::engine::SyncReport;
use unisono::events::ClientEvent;
use unisono::model::{CollectionName, RecordId, RecordKey, Scope, bucket_of};
use unisono::replica::keys;
use unisono::replica::rows::{Outcome, RecordRow};
use unisono::storage::{Batch, MemoryStorage, RowKey, Scan, Storage, Table};
use unisono::testing::{CallKind, Fault};
use unisono_server::ServiceOptions;
use unisono_tests::{Books, Device, World};

const DAY: u64 = 86_400;
/// More than two parts of a feed.
const MANY: usize = 1_100;

/// `away` has missed a delete whose tombstone is gone, and holds unsent work.
fn expired(seed: u64) -> (World, Device, Device, Books) {
    let options = ServiceOptions { tombstone_horizon: Duration::from_secs(DAY), ..ServiceOptions::default() };
    let world = World::with(seed, options);
    let (a, away) = (world.device("anna"), world.device("anna"));
    let mut books = Books::opened_by(&world, &a);
    for id in ["gone", "gone too", "kept"] {
        let id = world.run(a.samples().create(id, json!({"n": 1}))).unwrap();
        books.accept(&a, [id]);
    }
    for index in 0..MANY {
        let id = world.run(a.samples().create(format!("s{index}"), json!({"index": index}))).unwrap();
        books.accept(&a, [id]);
    }
    a.synced(&world);
    away.synced(&world);
    for id in ["gone", "gone too"] {
        let id = world.run(a.samples().delete(id)).unwrap();
        books.accept(&a, [id]);
    }
    a.synced(&world);
    world.pass(3 * DAY);
    let report = world.run(world.service().collect_garbage()).unwrap();
    assert_eq!(report.tombstones, 2);
    books.count(&world, &away, 1);
    let kept = world.run(away.samples().update("kept", json!({"m": 2}))).unwrap().expect("an edit");
    let gone = world.run(away.samples().update("gone", json!({"n": 9}))).unwrap().expect("an edit");
    books.accept(&away, [kept, gone]);
    (world, a, away, books)
}

fn rows_below(world: &World, device: &Device, generation: u32) -> usize {
    let prefix = keys::generation_prefix(&Scope::User, generation);
    let tables = [Table::Record, Table::Index];
    tables.iter().map(|table| world.run(device.storage.scan(Scan::prefix(*table, &prefix))).unwrap().len()).sum()
}

#[test]
fn b16_a_replica_that_missed_dropped_deletes_starts_afresh_and_keeps_its_queue() {
    for (seed, restarts) in [(1, false), (2, true)] {
        let (world, a, mut away, mut books) = expired(seed);
        // The way is long: the feed breaks twice, and the app goes on working.
        away.network.script(CallKind::Changes, [Fault::none(), Fault::cut_feed(1), Fault::cut_feed(1)]);
        away.sync(&world).unwrap_err();
        let row = world.run(away.client.replica().scope(&Scope::User)).unwrap();
        assert!(row.building.is_some(), "a fresh generation is being filled");
        assert!(away.findings(&world).contains(&"rebuilding".to_owned()));
        books.check(&world, &[&a, &away]);
        if restarts {
            away.restart(&world);
            books.check(&world, &[&a, &away]);
        }
        books.count(&world, &away, 10);
        let kept = world.run(away.samples().update("kept", json!({"o": 3}))).unwrap().expect("an edit");
        let new = world.run(away.samples().create("new", json!({"n": 4}))).unwrap();
        books.accept(&away, [kept, new]);
        assert_eq!(away.get(&world, "kept"), Some(json!({"n": 1, "m": 2, "o": 3})), "the old one is read meanwhile");
        away.sync(&world).unwrap_err();
        books.check(&world, &[&a, &away]);
        for device in [&away, &a, &away] {
            device.synced(&world);
            books.check(&world, &[&a, &away]);
        }
        for device in [&a, &away] {
            assert_eq!(
                (device.get(&world, "gone"), device.get(&world, "gone too")),
                (None, None),
                "deleted stays deleted"
            );
            assert_eq!(device.get(&world, "kept"), Some(json!({"n": 1, "m": 2, "o": 3})));
            assert_eq!(device.get(&world, "new"), Some(json!({"n": 4})));
        }
        let row = world.run(away.client.replica().scope(&Scope::User)).unwrap();
        assert!(row.generation > 0 && row.building.is_none() && row.retired.is_empty());
        assert_eq!(rows_below(&world, &away, 0), 0, "nothing of the old generation is left");
        let lost: Vec<_> = world
            .run(a.client.conflicts())
            .unwrap()
            .iter()
            .map(|note| note.doc["losers"][0]["value"].clone())
            .collect();
        assert_eq!(lost, [json!(9)], "the update of the deleted record is in the inbox");
        books.check_settled(&world, &[&a, &away]);
    }
}

#[test]
fn b18_a_reset_keeps_a_hundred_unsent_events() {
    let (world, a, away, mut books) = expired(3);
    let ids: Vec<_> = (0..100)
        .map(|index| {
            let id = world.run(away.samples().create(format!("offline{index}"), json!({"index": index}))).unwrap();
            books.accept(&away, [id.clone()]);
            id
        })
        .collect();
    away.synced(&world);
    a.synced(&world);
    for id in &ids {
        assert!(matches!(world.run(away.client.outcome(id)).unwrap(), Some(Outcome::Applied { .. })));
    }
    away.synced(&world);
    books.check_settled(&world, &[&a, &away]);
}

/// What goes wrong with a stored row.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Changed,
    Deleted,
}

fn key(id: &str) -> RecordKey {
    RecordKey { collection: CollectionName::new("samples").unwrap(), record: RecordId::new(id).unwrap() }
}

/// Damages the stored row of a record behind the client's back.
fn damage(world: &World, storage: &MemoryStorage, id: &str, how: Damage) {
    let row: RowKey = keys::record(&Scope::User, 0, &key(id));
    let stored = world.run(storage.get(vec![row.clone()])).unwrap().remove(0).expect("the row is there");
    let batch = match how {
        Damage::Deleted => Batch { delete: vec![row], ..Batch::default() },
        Damage::Changed => {
            let mut record: RecordRow = serde_json::from_slice(&stored.value).unwrap();
            record.doc = Some(json!({"rotten": true}));
            Batch { put: vec![(row, serde_json::to_vec(&record).unwrap())], ..Batch::default() }
        }
    };
    world.run(storage.apply(batch)).unwrap();
}

#[test]
fn b19_damaged_records_are_mended_and_at_most_once_an_hour() {
    for (seed, how) in [(11, Damage::Changed), (12, Damage::Deleted)] {
        let world = World::new(seed);
        let (a, b) = (world.device("anna"), world.device("anna"));
        let mut books = Books::opened_by(&world, &a);
        for index in 0..50 {
            let id = world.run(a.samples().create(format!("s{index}"), json!({"index": index}))).unwrap();
            books.accept(&a, [id]);
        }
        a.synced(&world);
        b.synced(&world);
        let good = b.get(&world, "s7");
        damage(&world, &b.storage, "s7", how);
        assert_ne!(b.get(&world, "s7"), good);
        assert!(b.findings(&world).contains(&"digest".to_owned()), "the doctor sees it");
        let mut events = b.client.events();
        let report = b.synced(&world);
        assert_eq!(report.repaired, 1, "{how:?}");
        assert_eq!(b.get(&world, "s7"), good);
        let told = world.run(async {
            loop {
                match events.next().await.expect("the client lives") {
                    ClientEvent::Repaired { scope, bucket } => return (scope, bucket),
                    _ => continue,
                }
            }
        });
        assert_eq!(told, (Scope::User, bucket_of(&key("s7"))), "it is reported");
        assert!(!b.findings(&world).contains(&"digest".to_owned()));
        assert_eq!(b.synced(&world), SyncReport::default());

        // The same bucket at once again: whatever rots there is not fetched for ever.
        damage(&world, &b.storage, "s7", how);
        assert!(b.findings(&world).contains(&"digest".to_owned()));
        world.pass(1_800);
        let asked = b.network.count(CallKind::Changes);
        assert_eq!(b.synced(&world).repaired, 0);
        assert_eq!(b.network.count(CallKind::Changes), asked + 1, "nothing but the pull");
        world.pass(1_800);
        assert_eq!(b.synced(&world).repaired, 1);
        assert_eq!(b.get(&world, "s7"), good);
        books.check_settled(&world, &[&a, &b]);
    }
}

#[test]
fn b19_a_repair_keeps_what_is_pending_in_view() {
    let world = World::new(13);
    let (a, b) = (world.device("anna"), world.device("anna"));
    let mut books = Books::opened_by(&world, &a);
    let id = world.run(a.samples().create("kick", json!({"bpm": 120}))).unwrap();
    books.accept(&a, [id]);
    a.synced(&world);
    b.synced(&world);
    // Refused, and therefore in the queue while the repair runs.
    let id = world.run(a.samples().update("kick", json!({"bpm": 121}))).unwrap().expect("an edit");
    books.accept(&a, [id]);
    a.synced(&world);
    let met = world.run(b.samples().strict().update("kick", json!({"bpm": 99}))).unwrap().expect("an edit");
    books.accept(&b, [met.clone()]);
    b.synced(&world);
    assert_eq!(b.parked(&world), std::slice::from_ref(&met));
    damage(&world, &b.storage, "kick", Damage::Changed);
    assert!(b.findings(&world).contains(&"digest".to_owned()));
    assert_eq!(b.synced(&world).repaired, 1);
    assert_eq!(b.get(&world, "kick"), Some(json!({"bpm": 99})), "the pending value, on the mended record");
    books.check_with_server(&world, &[&a, &b]);
    world.run(b.client.discard(&met)).unwrap();
    assert_eq!(b.get(&world, "kick"), Some(json!({"bpm": 121})));
    b.synced(&world);
    books.check_settled(&world, &[&a, &b]);
}

#[test]
fn b19_a_repair_keeps_an_update_of_a_deleted_record_in_view() {
    let world = World::new(14);
    let (a, b) = (world.device("anna"), world.device("anna"));
    let mut books = Books::opened_by(&world, &a);
    let neighbour = (0..).map(|n| format!("s{n}")).find(|id| bucket_of(&key(id)) == bucket_of(&key("kick"))).unwrap();
    for id in ["kick", &neighbour] {
        let id = world.run(a.samples().create(id, json!({"bpm": 120}))).unwrap();
        books.accept(&a, [id]);
    }
    a.synced(&world);
    b.synced(&world);
    let id = world.run(a.samples().delete("kick")).unwrap();
    books.accept(&a, [id]);
    a.synced(&world);
    let met = world.run(b.samples().strict().update("kick", json!({"note": "mine"}))).unwrap().expect("an edit");
    books.accept(&b, [met.clone()]);
    b.synced(&world);
    assert_eq!(b.parked(&world), std::slice::from_ref(&met));
    let shown = Some(json!({"bpm": 120, "note": "mine"}));
    assert_eq!(b.get(&world, "kick"), shown);
    damage(&world, &b.storage, &neighbour, Damage::Changed);
    assert!(b.findings(&world).contains(&"digest".to_owned()));
    assert_eq!(b.synced(&world).repaired, 1);
    assert_eq!(b.get(&world, "kick"), shown, "until the app decides");
    world.run(b.client.discard(&met)).unwrap();
    assert_eq!(b.get(&world, "kick"), None);
    b.synced(&world);
    books.check_settled(&world, &[&a, &b]);
}
