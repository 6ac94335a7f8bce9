//! What an event costs grows with what it touches: neither with the square of its operations nor with what its record has seen.
//! All merges run inside the server's only writer, so that one account's large event would hold up everybody's small ones.
//!
//! The measure is the allocations of the test's own thread, on which client, loopback and server all run: the same in every run.

use allocation_counter::measure;
use serde_json::{Value, json};
use unisono::client::Edit;
use unisono_tests::{Device, World};

/// Allocations while `device` sends what it has written and hears of it.
fn cost_of_sync(world: &World, device: &Device) -> u64 {
    measure(|| drop(device.synced(world))).count_total
}

/// What an edit made by `ops` costs on a record of `doc`, of which another device has changed something meanwhile.
fn cost_of_edit(doc: &Value, ops: impl FnOnce(Edit) -> Edit) -> u64 {
    let world = World::new(1);
    let (a, b) = (world.device("anna"), world.device("anna"));
    world.run(a.samples().create("kick", doc.clone())).unwrap();
    a.synced(&world);
    b.synced(&world);
    world.run(b.samples().update("kick", json!({"by": "b"}))).unwrap();
    b.synced(&world);
    world.run(ops(a.samples().edit("kick")).commit()).unwrap();
    cost_of_sync(&world, &a)
}

/// Fails unless four times as much costs about four times as much.
fn assert_linear(what: &str, cost: impl Fn(usize) -> u64) {
    let (few, many) = (cost(500), cost(2_000));
    println!("{what}: {few} allocations, {many} for four times as much");
    assert!(many < few * 5, "{what}: {few} allocations, {many} for four times as much");
}

#[test]
fn an_event_of_many_operations_costs_in_proportion_to_them() {
    assert_linear("assignments", |count| {
        let doc = (0..count).map(|n| (format!("k{n}"), json!(n))).collect();
        cost_of_edit(&doc, |edit| (0..count).fold(edit, |edit, n| edit.set(format!("/k{n}"), json!(n + 1))))
    });
    assert_linear("increments", |count| {
        let doc = (0..count).map(|n| (format!("k{n}"), json!(n))).collect();
        cost_of_edit(&doc, |edit| (0..count).fold(edit, |edit, n| edit.increment(format!("/k{n}"), 1)))
    });
}

#[test]
fn a_write_on_a_large_set_costs_in_proportion_to_it() {
    let set = |count: usize| json!({"tags": (0..count).map(|n| format!("t{n:05}")).collect::<Vec<_>>()});
    let half = |count: usize| (0..count).step_by(2).map(|n| json!(format!("t{n:05}")));
    assert_linear("removals", |count| cost_of_edit(&set(count), |edit| edit.remove("/tags", half(count))));
    assert_linear("additions", |count| {
        let new = (0..count).map(|n| json!(format!("n{n:05}")));
        cost_of_edit(&set(count), |edit| edit.add("/tags", new))
    });
}

/// "Recently played": ids come and go. Until the horizon their removals are remembered, as cheaply as can be.
#[test]
fn a_small_write_costs_little_for_each_element_that_was_ever_removed() {
    let cost = |passed: usize| {
        let world = World::new(2);
        let a = world.device("anna");
        world.run(a.samples().create("recent", json!({"ids": []}))).unwrap();
        a.synced(&world);
        for round in 0..passed / 100 {
            let ids: Vec<_> = (0..100).map(|n| json!(format!("track-{:06}", round * 100 + n))).collect();
            let edit = || a.samples().edit("recent");
            for edit in [edit().add("/ids", ids.clone()), edit().remove("/ids", ids)] {
                world.run(edit.commit()).unwrap();
                a.synced(&world);
            }
        }
        world.run(a.samples().update("recent", json!({"z": passed}))).unwrap();
        cost_of_sync(&world, &a)
    };
    let (none, many) = (cost(0), cost(2_000));
    println!("{none} allocations, {many} after 2,000 elements");
    // Its text, and its share of a map.
    assert!(many - none <= 2 * 2_000, "{none} allocations, {many} after 2,000 elements");
}
