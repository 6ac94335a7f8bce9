//! What a write comes to: with and without policies, folded or not, however large, in few or many calls.

use serde_json::{Value, json};
use unisono::model::Policy;
use unisono::testing::Fault;
use unisono_tests::World;

/// Another device's edit stays where a rescan asserts what was there before.
#[test]
fn a_rescan_reverts_nobodys_edit() {
    let world = World::new(1);
    let (a, b) = (world.device("anna"), world.device("anna"));
    let docs: Vec<(String, Value)> =
        (0..50).map(|n| (format!("t{n}"), json!({"title": format!("T{n}"), "bpm": 120, "tags": ["x"]}))).collect();
    let written = world.run(a.samples().put_many(docs.clone())).unwrap();
    assert!(written.iter().all(Option::is_some));
    a.synced(&world);
    b.synced(&world);
    world.run(b.samples().update("t5", json!({"bpm": 174}))).unwrap();
    b.synced(&world);
    world.pass(1);
    assert_eq!(world.run(a.samples().put_many(docs.clone())).unwrap(), vec![None; 50]);
    for (id, doc) in docs {
        assert_eq!(world.run(a.samples().update(id, doc)).unwrap(), None);
    }
    assert_eq!(a.client.status().pending, 0);
    a.synced(&world);
    assert_eq!(a.get(&world, "t5").unwrap()["bpm"], json!(174));
    assert_eq!(world.run(a.client.conflicts()).unwrap(), []);
}

#[test]
fn many_puts_are_checked_before_the_first_is_written() {
    let world = World::new(2);
    let a = world.device("anna");
    let docs = (0..1_200).map(|n| (format!("r{n}"), if n == 1_100 { json!(["no object"]) } else { json!({"n": n}) }));
    assert_eq!(world.run(a.samples().put_many(docs)).unwrap_err().code(), "not_an_object");
    assert_eq!(a.client.status().pending, 0);
    let docs = (0..1_200).map(|n| (format!("r{n}"), json!({"n": n})));
    assert_eq!(world.run(a.samples().put_many(docs)).unwrap().len(), 1_200);
    assert_eq!(a.synced(&world).pushed, 1_200);
    assert_eq!(world.run(a.samples().put_many(Vec::<(&str, Value)>::new())).unwrap(), []);
}

/// With a policy on any of its fields, a collection's patches are read as they are without: each in sight of the writes before it.
#[test]
fn a_patch_in_a_transaction_means_the_same_with_a_policy() {
    let patches = [
        (json!({"meta": {"artist": "Ann"}}), json!({"meta": {}, "bpm": 120})),
        (json!({"a": 5}), json!({"a": {}, "b": 1})),
        (json!({"list": [1]}), json!({"list": {"x": 1}, "b": 1})),
    ];
    for (doc, patch) in patches {
        let seen = [false, true].map(|with_policy| {
            let world = World::new(3);
            let a = world.device_with("anna", move |builder| match with_policy {
                true => builder.field_policy("samples", "/rating", Policy::ClientWins),
                false => builder,
            });
            let samples = a.samples();
            let write = a.client.transaction().create(&samples, "kick", doc.clone());
            let result = world.run(write.update(&samples, "kick", patch.clone()).commit());
            (result.map(|ids| ids.len()).map_err(|error| error.code().to_owned()), a.get(&world, "kick"))
        });
        assert_eq!(seen[0], seen[1], "{doc} + {patch}");
    }
}

#[test]
fn two_writes_that_were_folded_into_one_come_to_the_same() {
    let ends = [false, true].map(|folded| {
        let world = World::new(4);
        let (a, b) = (world.device("anna"), world.device("anna"));
        world.run(a.samples().create("kick", json!({"plays": 10}))).unwrap();
        a.synced(&world);
        b.synced(&world);
        world.run(a.samples().edit("kick").increment("/plays", 1).commit()).unwrap();
        if !folded {
            // Sent once, without an answer and without effect: it is not folded into any more.
            a.push_faults([Fault::drop_request()]);
            a.sync(&world).unwrap_err();
        }
        world.run(a.samples().update("kick", json!({"plays": 5}))).unwrap();
        world.pass(5);
        world.run(b.samples().update("kick", json!({"plays": 100}))).unwrap();
        for device in [&a, &b, &a, &b, &a] {
            device.synced(&world);
        }
        world.assert_converged(&[&a, &b]);
        a.get(&world, "kick").unwrap()
    });
    assert_eq!(ends[0], ends[1]);
}

#[test]
fn a_write_that_no_server_can_take_is_refused_at_once() {
    let world = World::new(5);
    let a = world.device("anna");
    world.run(a.samples().create("kick", json!({}))).unwrap();
    a.synced(&world);
    // Each value fits a document, and so does the record in the end; the event would not fit a push.
    let long = |number: usize| format!("{number}{}", "x".repeat(1_000_000));
    let large = (0..6).fold(a.samples().edit("kick"), |edit, number| edit.set("/text", long(number)));
    let error = world.run(large.commit()).unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("push_too_large", false), "{error}");
    assert_eq!(a.get(&world, "kick"), Some(json!({})));
    let fits = (0..3).fold(a.samples().edit("kick"), |edit, number| edit.set("/text", long(number)));
    world.run(fits.commit()).unwrap();
    assert_eq!((a.synced(&world).pushed, a.parked(&world)), (1, vec![]));
}
