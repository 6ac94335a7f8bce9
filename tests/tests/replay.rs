//! The same push twice, and the same replica twice: nothing is doubled, nothing lost (I3).

use serde_json::json;
use unisono::model::{DeviceId, Scope};
use unisono::testing::Fault;
use unisono::transport::{RequestContext, Transport};
use unisono_tests::{Books, Device, World};

fn device_id(world: &World, device: &Device) -> DeviceId {
    world.run(device.client.replica().replica()).unwrap().device.clone()
}

/// A second device with a copy of `original`'s storage, as after a restored phone backup.
fn clone_of(world: &World, original: &Device) -> Device {
    world.device_on("anna", original.storage.deep_copy(), 0)
}

#[test]
fn b01_a_whole_push_replayed_changes_nothing() {
    let world = World::new(1);
    let (a, b) = (world.device("anna"), world.device("anna"));
    let mut books = Books::opened_by(&world, &a);
    for round in 0..5 {
        books.count(&world, &a, 1);
        let id = world.run(a.samples().create(format!("s{round}"), json!({"round": round}))).unwrap();
        books.accept(&a, [id]);
    }
    a.synced(&world);
    let request = a.network.pushes().pop().expect("a push");
    let replay = || {
        let context = RequestContext { token: Some("anna".into()), deadline: None };
        world.run(world.server.link().push(&context, &request)).unwrap()
    };
    let state = world.server_state("anna", &Scope::User);
    let first = replay();
    assert_eq!((first.receipts.len(), &first), (request.events.len(), &replay()), "each time the same receipts");
    assert_eq!(world.server_state("anna", &Scope::User), state);
    b.synced(&world);
    books.check_settled(&world, &[&a, &b]);
    // Under a later number the same events are known by their ids.
    let mut later = request.clone();
    later.push_seq += 1;
    let context = RequestContext { token: Some("anna".into()), deadline: None };
    let again = world.run(world.server.link().push(&context, &later)).unwrap();
    assert_eq!(again.receipts, first.receipts);
    assert_eq!(world.server_state("anna", &Scope::User), state);
}

#[test]
fn a_cloned_replica_becomes_a_device_of_its_own_and_both_go_on_writing() {
    for seed in [2, 3] {
        let world = World::new(seed);
        let a = world.device("anna");
        let mut books = Books::opened_by(&world, &a);
        a.synced(&world);
        books.count(&world, &a, 1);
        a.synced(&world);
        let clone = clone_of(&world, &a);
        let shared = device_id(&world, &a);
        assert_eq!(device_id(&world, &clone), shared);
        for round in 0..4 {
            for device in [&a, &clone] {
                books.count(&world, device, 10);
                let name = format!("{}-{round}", device.name);
                let id = world.run(device.samples().create(name, json!({"by": device.name}))).unwrap();
                books.accept(device, [id]);
            }
            // Either of them may be the one that is noticed.
            let order = if (round + seed) % 2 == 0 { [&a, &clone] } else { [&clone, &a] };
            for device in order {
                device.synced(&world);
                books.check_with_server(&world, &[&a, &clone]);
            }
        }
        for device in [&a, &clone] {
            device.synced(&world);
        }
        books.check_settled(&world, &[&a, &clone]);
        let ids = [device_id(&world, &a), device_id(&world, &clone)];
        assert_ne!(ids[0], ids[1], "two devices");
        assert!(ids.contains(&shared), "one of them is still the old one");
    }
}

#[test]
fn b01_a_clone_with_a_push_in_flight_sends_it_under_the_old_ids() {
    for (seed, heard) in [(4, true), (5, false)] {
        let world = World::new(seed);
        let a = world.device("anna");
        let mut books = Books::opened_by(&world, &a);
        a.synced(&world);
        let id = books.count(&world, &a, 1);
        let made = world.run(a.samples().create("kick", json!({"bpm": 120}))).unwrap();
        books.accept(&a, [made.clone()]);
        a.push_faults([if heard { Fault::drop_response() } else { Fault::drop_request() }]);
        a.sync(&world).unwrap_err();
        let clone = clone_of(&world, &a);
        books.accept(&clone, [id.clone(), made]);
        for device in [&a, &clone] {
            books.count(&world, device, 100);
            let name = format!("of-{}", device.name);
            let own = world.run(device.samples().create(name, json!({}))).unwrap();
            books.accept(device, [own]);
            books.check(&world, &[&a, &clone]);
        }
        for device in [&clone, &a, &clone, &a] {
            device.synced(&world);
            books.check_with_server(&world, &[&a, &clone]);
        }
        let sent: Vec<_> = [&a, &clone].iter().flat_map(|device| device.network.pushes()).collect();
        let carriers = sent.iter().filter(|push| push.events.iter().any(|event| event.id == id)).count();
        assert!(carriers >= 2, "both have sent the event, under one id");
        books.check_settled(&world, &[&a, &clone]);
        assert_ne!(device_id(&world, &a), device_id(&world, &clone));
    }
}

#[test]
fn a_clone_with_unsent_events_sends_what_the_original_has_sent_already() {
    let world = World::new(6);
    let a = world.device("anna");
    let mut books = Books::opened_by(&world, &a);
    a.synced(&world);
    // Both hold it unsent. What the clone writes to other records cannot fold into it.
    let id = books.count(&world, &a, 7);
    let clone = clone_of(&world, &a);
    books.accept(&clone, [id]);
    for device in [&a, &clone] {
        for round in 0..3 {
            let own = world.run(device.samples().create(format!("{}-{round}", device.name), json!({}))).unwrap();
            books.accept(device, [own]);
        }
        device.synced(&world);
        books.check_with_server(&world, &[&a, &clone]);
    }
    for device in [&a, &clone] {
        books.count(&world, device, 1);
        device.synced(&world);
    }
    a.synced(&world);
    books.check_settled(&world, &[&a, &clone]);
    assert_eq!(books.total(), 9);
}
