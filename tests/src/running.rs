//! A world in which background sync is under way.

use std::time::Duration;

use super::{Books, Device, World};

/// A world with a device whose background sync runs, and one that syncs when told.
#[must_use]
pub fn running(seed: u64) -> (World, Device, Device, Books) {
    let world = World::new(seed);
    let (a, b) = (world.device("anna"), world.device("anna"));
    let books = Books::opened_by(&world, &a);
    a.synced(&world);
    b.synced(&world);
    world.run(a.client.start()).unwrap();
    world.env.run_until_idle();
    a.network.clear_calls();
    (world, a, b, books)
}

/// Lets `ms` milliseconds pass.
pub fn millis(world: &World, ms: u64) {
    world.env.advance(Duration::from_millis(ms));
}

/// The time between each moment and the next.
#[must_use]
pub fn gaps(times: &[Duration]) -> Vec<Duration> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}
