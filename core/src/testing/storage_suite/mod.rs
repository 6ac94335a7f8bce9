//! The conformance suite of [`Storage`](crate::storage::Storage): each sentence of its contract is a test.
//!
//! A backend passes all of it by one line in its own tests, see [`storage_suite!`](crate::storage_suite). Each case is an
//! async function of its own, so that it runs on any executor.

mod concurrency;
mod helpers;
mod lifecycle;
mod list;
mod random;
mod scans;
mod transactions;
mod writes;

pub use concurrency::*;
pub use helpers::Replica;
pub use lifecycle::*;
pub use random::*;
pub use scans::*;
pub use transactions::*;
pub use writes::*;
