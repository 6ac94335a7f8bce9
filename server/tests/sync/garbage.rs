//! Horizons: what is dropped, and who has to start afresh for it (pitfall B16).

use std::time::Duration;

use serde_json::json;
use unisono::model::{ReceiptStatus, Scope};
use unisono::protocol::ChangesRequest;
use unisono_server::{GarbageReport, ServiceOptions};

use crate::world::{Device, World, user};

const DAY: Duration = Duration::from_secs(86_400);

fn collect(world: &World) -> GarbageReport {
    world.env.block_on(world.service.collect_garbage()).unwrap()
}

/// A deleted record, and a replica that last pulled before the delete.
fn deleted(world: &World) -> (Device, Device) {
    let anna = user("anna");
    let (mut a, mut away) = (Device::new(&anna, "a"), Device::new(&anna, "away"));
    for name in ["kick", "snare"] {
        let event = a.create(world, name, json!({"bpm": 120}));
        a.write(world, event);
    }
    away.pull(world).unwrap();
    let event = a.delete(world, "kick", 2);
    a.write(world, event);
    a.pull(world).unwrap();
    (a, away)
}

#[test]
fn b16_whoever_may_have_missed_a_dropped_delete_starts_afresh() {
    let world = World::new();
    let (mut a, mut away) = deleted(&world);
    world.env.advance(89 * DAY);
    assert_eq!(collect(&world), GarbageReport { scopes: 1, ..GarbageReport::default() });
    world.env.advance(2 * DAY);
    assert_eq!(collect(&world), GarbageReport { scopes: 1, tombstones: 1, audit_rows: 0 });
    assert_eq!(collect(&world).tombstones, 0);

    let problem = away.pull(&world).unwrap_err();
    assert_eq!((problem.status, problem.code.as_str()), (410, "cursor_expired"));
    assert!(a.pull(&world).unwrap().is_empty(), "who has seen the delete goes on");
    away.cursor = None;
    let names: Vec<_> = away.pull(&world).unwrap().iter().map(|change| change.record.to_string()).collect();
    assert_eq!(names, ["snare"]);
    world.assert_sound(&a.principal);
}

#[test]
fn b16_an_update_of_a_dropped_record_meets_the_delete() {
    let world = World::new();
    let (_, mut away) = deleted(&world);
    world.env.advance(91 * DAY);
    assert_eq!(collect(&world).tombstones, 1);
    let event = away.set(&world, "kick", 2, "/bpm", 99);
    let receipt = away.write(&world, event);
    assert_eq!(receipt.status, ReceiptStatus::Superseded);
    assert_eq!(world.doc(&away.principal, "kick"), None, "the delete does not come back");
    world.assert_sound(&away.principal);
}

#[test]
fn a_first_sync_that_was_cut_off_goes_on_after_a_collection() {
    let world = World::new();
    let (a, _) = deleted(&world);
    let mut late = Device::new(&a.principal, "late");
    let event = late.create(&world, "hat", json!({}));
    late.write(&world, event);
    let request = ChangesRequest { limit: Some(1), ..ChangesRequest::from_start(Scope::User) };
    let (_, trailer) = world.pull(&a.principal, request).unwrap();
    assert!(trailer.more);
    world.env.advance(91 * DAY);
    assert_eq!(collect(&world).tombstones, 1);
    // Its place is older than the dropped delete, but a first sync needs no delete of before its start.
    let request = ChangesRequest { cursor: Some(trailer.cursor), ..ChangesRequest::from_start(Scope::User) };
    let (chunks, _) = world.pull(&a.principal, request).unwrap();
    assert_eq!(chunks[0].changes[0].record.as_str(), "hat");
}

#[test]
fn a_feed_that_is_overtaken_by_a_collection_ends_with_410() {
    let world = World::new();
    let (a, away) = deleted(&world);
    let request = ChangesRequest { cursor: away.cursor.clone(), ..ChangesRequest::from_start(Scope::User) };
    let mut feed = world.env.block_on(world.service.changes(&a.principal, request)).unwrap();
    world.env.advance(91 * DAY);
    assert_eq!(collect(&world).tombstones, 1);
    let problem = world.env.block_on(feed.next()).unwrap_err();
    assert_eq!((problem.status, problem.code.as_str()), (410, "cursor_expired"));
}

#[test]
fn many_tombstones_are_dropped_in_steps() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    let mut head = 0;
    for round in 0..10 {
        let events: Vec<_> =
            (0..250).map(|number| device.create(&world, &format!("r{round}-{number}"), json!({}))).collect();
        head = device.push(&world, &events).unwrap().receipts.last().unwrap().revision.unwrap();
    }
    for round in 0..10 {
        let events: Vec<_> =
            (0..250).map(|number| device.delete(&world, &format!("r{round}-{number}"), head)).collect();
        device.push(&world, &events).unwrap();
    }
    world.env.advance(91 * DAY);
    assert_eq!(collect(&world).tombstones, 2_500);
    let stats = world.env.block_on(world.service.stats(&anna, Scope::User)).unwrap();
    assert_eq!((stats.tombstones, stats.records, stats.events), (0, 0, 5_000), "the log is complete");
    world.assert_sound(&anna);
}

#[test]
fn audit_rows_go_after_their_retention_and_never_by_default() {
    let world = World::with_options(ServiceOptions { audit_retention: Some(DAY), ..ServiceOptions::default() });
    let mut device = Device::new(&user("anna"), "a");
    let event = device.create(&world, "kick", json!({}));
    device.write(&world, event);
    world.env.advance(2 * DAY);
    assert_eq!(collect(&world).audit_rows, 2, "the epoch's and the push's");
}

#[test]
fn the_backup_revision_is_the_head_of_seven_days_ago() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    let backup = |device: &Device| {
        world.pull(&device.principal, ChangesRequest::from_start(Scope::User)).unwrap().1.backup_revision
    };
    for day in 0..10 {
        let event = device.create(&world, &format!("r{day}"), json!({}));
        device.write(&world, event);
        assert_eq!(backup(&device), if day < 7 { 0 } else { day - 6 });
        world.env.advance(DAY);
    }
    // A wall clock that is set back makes nothing look younger, or older.
    world.env.jump_wall(-30 * 86_400_000);
    let event = device.create(&world, "later", json!({}));
    device.write(&world, event);
    assert_eq!(backup(&device), 4);
}

/// What the feed says of backups.
fn backup(world: &World, device: &Device) -> u64 {
    world.pull(&device.principal, ChangesRequest::from_start(Scope::User)).unwrap().1.backup_revision
}

#[test]
fn a_wall_clock_that_jumps_ahead_makes_nothing_old() {
    let world = World::with_options(ServiceOptions { audit_retention: Some(DAY), ..ServiceOptions::default() });
    let (a, mut away) = deleted(&world);
    world.env.jump_wall(400 * 86_400_000);
    assert_eq!(backup(&world, &a), 0, "no backup holds what was written a moment ago");
    assert_eq!(collect(&world), GarbageReport { scopes: 1, ..GarbageReport::default() });
    assert_eq!(away.pull(&world).unwrap().len(), 1, "the delete is told to who has not heard of it");
    world.env.advance(8 * DAY);
    assert_eq!(backup(&world, &a), 3);
}

#[test]
fn ages_are_counted_in_time_for_which_the_server_has_run() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.db");
    let world = World::in_file(&path);
    let (a, _) = deleted(&world);
    world.env.advance(5 * DAY);
    assert_eq!(backup(&world, &a), 0);
    // Off for a year; or started with a clock that is a year ahead: nobody can tell.
    let env = world.close();
    env.advance(365 * DAY);
    let world = World::in_file_again(&path, env);
    assert_eq!(backup(&world, &a), 0);
    assert_eq!(collect(&world).tombstones, 0);
    world.env.advance(2 * DAY);
    assert_eq!(backup(&world, &a), 3, "seven days of running are seven days");
    world.env.advance(83 * DAY);
    assert_eq!(collect(&world).tombstones, 1);
}

#[test]
fn b61_what_was_removed_from_a_record_weighs_nothing_once_the_horizon_has_passed() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    let event = device.create(&world, "recent", json!({"ids": []}));
    device.write(&world, event);
    for round in 0..10 {
        let values: Vec<_> = (0..10).map(|id| json!(format!("track-{round}-{id}"))).collect();
        for op in ["add", "remove"] {
            let ops = json!({"ops": [{"op": op, "path": "/ids", "values": values}]});
            let event = device.event(&world, "update", "recent", 1, ops);
            device.write(&world, event);
        }
    }
    world.env.advance(91 * DAY);
    for _ in 0..2 {
        let event = device.set(&world, "recent", 21, "/z", 1);
        device.write(&world, event);
        // The replay of the log forgets the same at the same revision.
        world.assert_sound(&anna);
    }
    // An add from before the horizon finds no removal to lose against.
    let mut late = Device::new(&anna, "late");
    let ops = json!({"ops": [{"op": "add", "path": "/ids", "values": ["track-0-0"]}]});
    let event = late.event(&world, "update", "recent", 1, ops);
    assert_eq!(late.write(&world, event).status, ReceiptStatus::Applied);
    world.assert_sound(&anna);
}

#[test]
fn purges_run_at_the_start_and_every_hour() {
    let world = World::with_options(ServiceOptions { tombstone_horizon: DAY, ..ServiceOptions::default() });
    let (mut a, _) = deleted(&world);
    world.env.advance(2 * DAY);
    let tombstones = || world.env.block_on(world.service.stats(&a.principal, Scope::User)).unwrap().tombstones;
    assert_eq!(tombstones(), 1);
    let maintained = world.service.clone();
    world.env.shared().spawn(Box::pin(async move { maintained.maintain().await }));
    world.env.advance(Duration::ZERO);
    assert_eq!(tombstones(), 0, "at the start");
    let event = a.create(&world, "late", json!({}));
    a.write(&world, event);
    let event = a.delete(&world, "late", 4);
    a.write(&world, event);
    world.env.advance(DAY - Duration::from_secs(1));
    let tombstones = || world.env.block_on(world.service.stats(&a.principal, Scope::User)).unwrap().tombstones;
    assert_eq!(tombstones(), 1, "not before its time");
    world.env.advance(Duration::from_secs(3_601));
    assert_eq!(tombstones(), 0, "within the hour");
}
