//! What an app sees while it watches: answers and differences, events, and their end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use unisono::environment::{Environment, timeout};
use unisono::events::ClientEvent;
use unisono::query::{Change, Record, RecordState, eq};
use unisono::storage::MemoryStorage;
use unisono::testing::FaultyStorage;
use unisono_tests::{Device, World};

/// Long enough for whatever is going to be told.
const LONG: Duration = Duration::from_secs(3600);

/// A device on a disk whose commits take 50 ms.
fn with_slow_disk(world: &World) -> Device {
    let disk = Arc::new(FaultyStorage::new(MemoryStorage::new()));
    disk.take_time(Duration::from_millis(50));
    world.device_with("anna", move |builder| builder.storage(disk.clone()))
}

#[test]
fn a_watch_tells_the_answer_then_its_changes_and_ends_with_the_client() {
    let world = World::new(1);
    let (a, b) = (world.device("anna"), world.device("anna"));
    world.run(async {
        let samples = a.samples();
        samples.create("kick", json!({"category": "bd", "name": "Kick"})).await.unwrap();
        let mut watch = samples.query().filter(eq("/category", "bd")).order_by("/name").watch().unwrap();
        let first = watch.next().await.unwrap().unwrap();
        assert_eq!((first.records.len(), first.changes.len()), (1, 0));

        // An own write, and one that does not matter to the query.
        samples.create("snare", json!({"category": "sn", "name": "Snare"})).await.unwrap();
        samples.create("boom", json!({"category": "bd", "name": "Boom"})).await.unwrap();
        let update = watch.next().await.unwrap().unwrap();
        assert!(matches!(&update.changes[..], [Change::Inserted { index: 0, .. }]), "{update:?}");
        assert_eq!(update.records[0].state, RecordState::Pending);

        // The receipts: the records are no longer pending.
        a.client.sync_now().await.unwrap();
        let update = watch.next().await.unwrap().unwrap();
        assert!(update.records.iter().all(|record| record.state == RecordState::Synced && record.revision > 0));

        // Another device's write.
        b.client.sync_now().await.unwrap();
        b.samples().delete("kick").await.unwrap();
        b.client.sync_now().await.unwrap();
        a.client.sync_now().await.unwrap();
        let update = watch.next().await.unwrap().unwrap();
        assert!(matches!(&update.changes[..], [Change::Removed { index: 1, .. }]), "{update:?}");

        a.client.close().await.unwrap();
        assert_eq!(watch.next().await.unwrap(), None);
    });
}

#[test]
fn b48_a_listener_may_call_the_client_back() {
    let world = World::new(2);
    let a = world.device("anna");
    world.run(async {
        let mut events = a.client.events();
        a.samples().create("kick", json!({})).await.unwrap();
        while let Some(event) = events.next().await {
            match event {
                ClientEvent::Changed { key, .. } if key.record.as_str() == "kick" => {
                    a.samples().update("kick", json!({"seen": true})).await.unwrap();
                    a.client.sync_now().await.unwrap();
                }
                ClientEvent::Synced { .. } => a.client.close().await.unwrap(),
                _ => {}
            }
            if a.client.sync_now().await.is_err_and(|error| error.code() == "closed") {
                break;
            }
        }
        while events.next().await.is_some() {}
    });
    assert_eq!(world.server_state("anna", &unisono::model::Scope::User).len(), 1);
}

#[test]
fn whoever_reads_after_the_end_is_told_all_that_was_before_it() {
    let world = World::new(3);
    let a = world.device("anna");
    world.run(async {
        let mut events = a.client.events();
        a.samples().create("kick", json!({})).await.unwrap();
        a.client.sync_now().await.unwrap();
        a.client.close().await.unwrap();
        let mut told = Vec::new();
        while let Some(event) = events.next().await {
            told.push(event);
        }
        assert!(told.iter().any(|event| matches!(event, ClientEvent::Changed { .. })), "{told:?}");
        assert!(told.iter().any(|event| matches!(event, ClientEvent::Synced { .. })), "{told:?}");
        assert_eq!(events.next().await, None);
    });
}

#[test]
fn events_that_are_asked_for_after_the_end_have_ended() {
    let world = World::new(4);
    let a = world.device("anna");
    world.run(async {
        a.client.close().await.unwrap();
        let mut events = a.client.events();
        assert_eq!(events.next().await, None);
        assert_eq!(events.next().await, None);
    });
}

#[test]
fn settled_hears_of_a_commit_that_was_under_way_when_it_was_asked() {
    let mut unanswered = Vec::new();
    for delay in (0..1_000).step_by(10) {
        let world = World::new(4);
        let a = with_slow_disk(&world);
        let answer = world.run(async {
            let id = a.samples().create("kick", json!({})).await.unwrap();
            let client = a.client.clone();
            world.env.spawn(Box::pin(async move { drop(client.sync_now().await) }));
            world.env.sleep(Duration::from_millis(delay)).await;
            timeout(&world.env, LONG, a.client.settled(&id)).await
        });
        if answer.is_none() {
            unanswered.push(delay);
        }
    }
    assert!(unanswered.is_empty(), "no answer when asked so many ms after the sync began: {unanswered:?}");
}

#[test]
fn a_watch_shows_what_a_commit_wrote_that_was_under_way_when_it_began() {
    for delay in (0..60).step_by(10) {
        let world = World::new(5);
        let a = with_slow_disk(&world);
        let (shown, there) = world.run(async {
            let samples = a.samples();
            world.env.spawn(Box::pin(async move { drop(samples.create("kick", json!({"n": 1})).await) }));
            world.env.sleep(Duration::from_millis(delay)).await;
            let mut watch = a.samples().query().watch().unwrap();
            let mut shown: Vec<Record> = Vec::new();
            while let Some(update) = timeout(&world.env, LONG, watch.next()).await {
                shown = update.unwrap().unwrap().records;
            }
            (shown, a.samples().all().await.unwrap())
        });
        assert_eq!((shown.len(), &shown), (1, &there), "begun {delay} ms after the write");
    }
}

#[test]
fn events_that_nobody_listened_to_at_first_are_told_as_missed() {
    let world = World::new(6);
    let a = with_slow_disk(&world);
    world.run(async {
        let samples = a.samples();
        world.env.spawn(Box::pin(async move { drop(samples.create("kick", json!({})).await) }));
        world.env.sleep(Duration::from_millis(20)).await;
        let mut events = a.client.events();
        assert_eq!(timeout(&world.env, LONG, events.next()).await, Some(Some(ClientEvent::Lagged)));
    });
}

#[test]
fn a_watch_ends_cleanly_when_the_client_is_closed_while_it_reads() {
    let world = World::new(7);
    let a = with_slow_disk(&world);
    world.run(async {
        a.samples().create("kick", json!({"n": 0})).await.unwrap();
        let mut watch = a.samples().query().watch().unwrap();
        watch.next().await.unwrap();
        a.samples().update("kick", json!({"n": 1})).await.unwrap();
        // The disk takes its time to close. Meanwhile the watch has something to read, and has not heard of the end.
        let (closed, update) = futures_util::future::join(a.client.close(), watch.next()).await;
        closed.unwrap();
        assert_eq!(update.unwrap(), None);
        assert_eq!(watch.next().await.unwrap(), None);
    });
}

#[test]
fn a_watch_tells_a_revision_that_moves_under_a_view_that_stays() {
    let world = World::new(8);
    let (a, b) = (world.device("anna"), world.device("anna"));
    world.run(async {
        a.samples().create("kick", json!({"n": 0})).await.unwrap();
        a.client.sync_now().await.unwrap();
        b.client.sync_now().await.unwrap();
        // The earlier write arrives last: it is superseded, and raises the revision only.
        b.samples().update("kick", json!({"n": 1})).await.unwrap();
        world.env.sleep(Duration::from_secs(1)).await;
        a.samples().update("kick", json!({"n": 2})).await.unwrap();
        a.client.sync_now().await.unwrap();
        let mut watch = a.samples().query().watch().unwrap();
        let before = watch.next().await.unwrap().unwrap().records;
        b.client.sync_now().await.unwrap();
        a.client.sync_now().await.unwrap();
        let after = timeout(&world.env, LONG, watch.next()).await.expect("it is told").unwrap().unwrap().records;
        assert_eq!((&after[0].doc, after[0].revision > before[0].revision), (&before[0].doc, true));
        assert_eq!(after, a.samples().all().await.unwrap());
    });
}

#[test]
fn i13_an_observer_that_reads_nothing_holds_a_bounded_weight_and_misses_nothing() {
    let world = World::new(9);
    let a = world.device("anna");
    world.run(async {
        let mut slow = a.samples().query().watch().unwrap();
        let mut events = a.client.events();
        slow.next().await.unwrap();
        for n in 0..64 {
            let text = "x".repeat(200_000);
            a.samples().create(format!("r{n}"), json!({"text": text})).await.unwrap();
        }
        let update = slow.next().await.unwrap().unwrap();
        assert_eq!((update.records.len(), update.changes.len()), (64, 64));
        // Beyond 4 MiB the records are no longer named.
        let mut told = Vec::new();
        while let Some(Some(event)) = timeout(&world.env, LONG, events.next()).await {
            told.push(event);
        }
        let changed = told.iter().filter(|event| matches!(event, ClientEvent::Changed { .. })).count();
        let reset = told.iter().filter(|event| matches!(event, ClientEvent::Reset { .. })).count();
        assert_eq!((changed, reset), (20, 44));
    });
}
