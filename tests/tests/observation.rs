//! What an app sees while it watches: answers and differences, events, and their end.

use serde_json::json;
use unisono::events::ClientEvent;
use unisono::query::{Change, RecordState, eq};
use unisono_tests::World;

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
