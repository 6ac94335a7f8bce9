//! Memory is bounded (I13): by what a sync looks at once, not by what a scope, a queue or a long life has gathered.
//!
//! The measure is what the test's own thread holds of Rust's heap; client, loopback and server all run on it. What SQLite
//! holds is its own, and bounded by its caches.

use allocation_counter::{AllocationInfo, measure};
use serde_json::json;
use unisono::storage::SqliteOptions;
use unisono_tests::sim::simulation;
use unisono_tests::{Device, World};

/// A device on the real storage, with a queue for `events`, and straight to the server: the scripted network keeps a list of
/// what it has met.
fn device(world: &World) -> Device {
    let link = world.server.link();
    world.device_with("anna", move |builder| {
        let storage = SqliteOptions::default().open_in_memory().expect("a storage");
        builder.storage(storage).transport(link.clone())
    })
}

/// Something of the size of a sample's record.
fn create(world: &World, device: &Device, number: usize) {
    let doc = json!({"name": format!("Kick {number:05}"), "bpm": 120 + number % 40, "tags": ["drums", "kick", "one-shot"],
        "meta": {"key": "F#", "length_ms": 1_234, "by": "anna"}});
    world.run(device.samples().create(format!("sample-{number:05}"), doc)).unwrap();
}

/// What `work` had allocated at its peak, and what it left.
fn measured(work: impl FnOnce()) -> AllocationInfo {
    measure(work)
}

#[test]
fn i13_a_simulated_run_gives_back_all_its_memory() {
    let simulation = simulation();
    let run = |seed| drop(simulation.run_seed(seed).expect("the seed holds"));
    // What is made once for the thread.
    run(0);
    for seed in 0..12 {
        let left = measured(|| run(seed)).bytes_current;
        assert_eq!(left, 0, "seed {seed}");
    }
}

#[test]
fn i13_a_first_sync_holds_pages_and_not_the_scope() {
    let peak = |records: usize| {
        let world = World::new(1);
        let writer = device(&world);
        (0..records).for_each(|number| create(&world, &writer, number));
        writer.synced(&world);
        let reader = device(&world);
        measured(|| _ = reader.synced(&world)).bytes_max
    };
    println!("{:?}", [1_000, 2_000, 4_000, 8_000].map(peak));
}

#[test]
fn i13_a_long_queue_is_sent_in_parts() {
    let peaks = |events: usize| {
        let world = World::new(1);
        let writer = device(&world);
        let written = measured(|| (0..events).for_each(|number| create(&world, &writer, number)));
        let sent = measured(|| _ = writer.synced(&world));
        (written.bytes_max, written.bytes_current, sent.bytes_max, sent.bytes_current)
    };
    println!("{:?}", [1_000, 2_000, 4_000, 8_000].map(peaks));
}

#[test]
fn i13_a_long_life_holds_no_more_than_a_short_one() {
    let world = World::new(1);
    let device = device(&world);
    create(&world, &device, 0);
    let live = |rounds: usize| {
        measured(|| {
            for round in 0..rounds {
                world.run(device.samples().update("sample-00000", json!({"bpm": round}))).unwrap();
                device.synced(&world);
            }
        })
    };
    let mut seen = Vec::new();
    for _ in 0..120 {
        let i = live(1);
        seen.push((i.bytes_current, i.bytes_max));
    }
    println!("{seen:?}");
    println!(
        "{:?}",
        [100, 100, 200, 400].map(|rounds| {
            let i = live(rounds);
            (i.bytes_max, i.bytes_current)
        })
    );
}
