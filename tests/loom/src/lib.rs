//! What the models share: counting executions, callers that go away, and a place to run tasks.
//!
//! Empty unless built with `--cfg loom`; `cargo xtask test` does so.
#![cfg(loom)]

mod caller;
mod executor;
mod explore;

pub use caller::{abandon_after, pause};
pub use executor::Executor;
pub use explore::{check, check_within, find_failure};
