//! The main job: devices that worked apart end in unison, and nothing is lost.

use serde_json::json;
use unisono_tests::World;

#[test]
fn a_local_write_reaches_every_device() {
    let world = World::new(1);
    let (a, b) = (world.device("anna"), world.device("anna"));
    world.run(a.samples().create("kick", json!({"name": "Kick", "bpm": 120}))).unwrap();
    let report = world.run(a.client.sync_now()).unwrap();
    assert_eq!((report.pushed, report.conflicts, report.parked), (1, 0, 0));
    let report = world.run(b.client.sync_now()).unwrap();
    assert_eq!(report.pulled, 1);
    assert_eq!(b.get(&world, "kick"), Some(json!({"name": "Kick", "bpm": 120})));
    world.assert_converged(&[&a, &b]);
}

#[test]
fn two_devices_that_worked_apart_end_in_unison() {
    let world = World::new(2);
    let (a, b) = (world.device("anna"), world.device("anna"));
    world.run(async {
        let (sa, sb) = (a.samples(), b.samples());
        for id in ["kick", "snare", "hat", "gone"] {
            sa.create(id, json!({"name": id, "plays": 0, "tags": ["drum"]})).await.unwrap();
        }
        a.client.sync_now().await.unwrap();
        b.client.sync_now().await.unwrap();
        // Apart.
        sa.update("kick", json!({"bpm": 120})).await.unwrap();
        sb.update("kick", json!({"key": "C"})).await.unwrap();
        sa.update("snare", json!({"name": "Snare A"})).await.unwrap();
        sb.update("snare", json!({"name": "Snare B"})).await.unwrap();
        sa.edit("hat").increment("/plays", 2).add("/tags", ["bright"]).commit().await.unwrap();
        sb.edit("hat").increment("/plays", 3).add("/tags", ["short"]).remove("/tags", ["drum"]).commit().await.unwrap();
        sa.delete("gone").await.unwrap();
        sb.update("gone", json!({"name": "still here?"})).await.unwrap();
        sa.create("new", json!({"from": "a", "x": 1})).await.unwrap();
        sb.create("new", json!({"from": "b", "y": 2})).await.unwrap();
        for client in [&a.client, &b.client, &a.client] {
            client.sync_now().await.unwrap();
        }
    });
    world.assert_converged(&[&a, &b]);
    assert_eq!(a.get(&world, "kick").unwrap()["bpm"], 120);
    assert_eq!(a.get(&world, "kick").unwrap()["key"], "C");
    assert_eq!(a.get(&world, "snare").unwrap()["name"], "Snare B");
    assert_eq!(a.get(&world, "hat").unwrap()["plays"], 5);
    assert_eq!(a.get(&world, "gone"), None);
    assert_eq!(a.get(&world, "new"), Some(json!({"from": "b", "x": 1, "y": 2})));
    let conflicts = world.run(a.client.conflicts()).unwrap();
    let mut lost: Vec<_> = conflicts
        .iter()
        .flat_map(|note| note.doc["losers"].as_array().unwrap().iter().map(|loser| loser["value"].clone()))
        .collect();
    lost.sort_by_key(ToString::to_string);
    assert_eq!(lost, [json!("Snare A"), json!("a"), json!("still here?")]);
}
