//! Memory is bounded (I13): by what a sync looks at once, not by what a scope, a queue or a long life has gathered.
//!
//! The measure is what the test's own thread holds of Rust's heap; client, loopback and server all run on it. What SQLite
//! holds is its own, and bounded by its caches.

use allocation_counter::measure;
use serde_json::json;
use unisono::storage::SqliteOptions;
use unisono_tests::sim::simulation;
use unisono_tests::{Device, World};

/// Records that a replica takes in one commit.
const PAGE: usize = 4_000;

/// A device on the real storage and straight to the server: the scripted network keeps a list of what it has met.
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

/// Most of Rust's heap that a call held at once.
fn peak(call: impl FnOnce()) -> u64 {
    measure(call).bytes_max
}

#[test]
fn i13_a_simulated_run_gives_back_all_its_memory() {
    let simulation = simulation();
    let run = |seed| drop(simulation.run_seed(seed).expect("the seed holds"));
    // What is made once for the thread.
    run(0);
    for seed in 0..12 {
        assert_eq!(measure(|| run(seed)).bytes_current, 0, "seed {seed}");
    }
}

#[test]
fn i13_a_first_sync_holds_a_page_and_not_the_scope() {
    let first_sync = |records: usize| {
        let world = World::new(1);
        let writer = device(&world);
        (0..records).for_each(|number| create(&world, &writer, number));
        writer.synced(&world);
        let reader = device(&world);
        peak(|| {
            reader.synced(&world);
        })
    };
    let (one, three) = (first_sync(PAGE), first_sync(3 * PAGE));
    assert!(three < one + one / 10, "{PAGE} records: {one} bytes; three times as many: {three}");
}

#[test]
fn i13_a_first_sync_holds_a_bounded_weight_however_large_the_documents_are() {
    let first_sync = |records: usize| {
        let world = World::new(1);
        let writer = device(&world);
        for number in 0..records {
            let doc = json!({"text": "x".repeat(512 << 10)});
            world.run(writer.samples().create(format!("r{number:02}"), doc)).unwrap();
        }
        writer.synced(&world);
        let reader = device(&world);
        peak(|| {
            reader.synced(&world);
        })
    };
    let (some, many) = (first_sync(16), first_sync(48));
    assert!(many < some + some / 10, "16 records of 512 KiB: {some} bytes; 48: {many}");
}

#[test]
fn i13_a_long_queue_is_sent_in_parts_and_not_held() {
    let queue = |events: usize| {
        let world = World::new(1);
        let writer = device(&world);
        let written = measure(|| (0..events).for_each(|number| create(&world, &writer, number)));
        (
            written.bytes_current,
            peak(|| {
                writer.synced(&world);
            }),
        )
    };
    let ((few_kept, few), (many_kept, many)) = (queue(1_000), queue(4_000));
    assert_eq!(few_kept, many_kept, "what waits is on the disk");
    assert!(many < few + few / 10, "1,000 events: {few} bytes; 4,000: {many}");
}

#[test]
fn i13_a_long_life_holds_no_more_than_a_short_one() {
    let world = World::new(1);
    let device = device(&world);
    create(&world, &device, 0);
    let live = |rounds: usize| {
        measure(|| {
            for round in 0..rounds {
                world.run(device.samples().update("sample-00000", json!({"bpm": round}))).unwrap();
                device.synced(&world);
            }
        })
    };
    live(50);
    let left = live(500).bytes_current;
    assert!(left < 500, "500 writes and syncs left {left} bytes");
}
