//! What attackers, full disks and damaged files do to the server, and what it must not do then.

mod damage;
mod told;
#[path = "../sync/world.rs"]
#[expect(dead_code, reason = "the sync tests use all of it")]
mod world;
