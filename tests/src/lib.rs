//! What the tests across crates share: a world of virtual time with one server and any number of devices.
//!
//! The server is the real service on SQLite; a device is the real client; between them stands the loopback, whose faults
//! the test scripts. Nothing here waits: [`TestEnvironment`] advances time when nobody can run.

mod world;

pub use world::{Device, World, canonical_state};
