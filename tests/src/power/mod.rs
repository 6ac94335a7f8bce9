//! Power losses, full disks and failing flushes, on the real SQLite of the client and of the server.
//!
//! A child process runs a workload under a preloaded shim (`tests/shim/power.c`) that records what it does to its files,
//! and what it was promised. From the record every power loss is made offline: [`Disk`] knows what may be left, [`losses`]
//! makes the images, and [`client_check`] and [`server_check`] hold each to the promises of `docs/promises.md`. The shim also lets chosen calls
//! fail, so that a child meets a full disk or a failing flush at each of its calls.

pub mod calls;
pub mod child;
pub mod client_check;
pub mod client_run;
pub mod client_work;
mod disk;
pub mod history;
pub mod losses;
pub mod marks;
mod observed;
pub mod recovery;
pub mod server_check;
pub mod server_run;
pub mod server_work;
mod trace;

pub use disk::{Disk, Image, Survival};
pub use observed::{Acknowledge, Observed, StateDigest};
pub use trace::Operation;
