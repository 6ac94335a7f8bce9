//! What the tests across crates share: a world of virtual time with one server and any number of devices.
//!
//! The server is the real service on SQLite; a device is the real client; between them stands the loopback, whose faults
//! the test scripts. Nothing here waits: [`TestEnvironment`](unisono::testing::TestEnvironment) advances time when nobody
//! can run. [`Books`] hold what the devices were promised against what became of it.

mod books;
mod device;
pub mod http_server;
pub mod power;
mod running;
mod server;
pub mod sim;
mod world;

pub use books::Books;
pub use device::{Customize, Device, Network, canonical_state};
pub use running::{gaps, millis, running};
pub use server::{Access, Backup, Link, Server};
pub use world::World;
