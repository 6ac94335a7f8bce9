//! The offline queue: local writes, durable in the commit of their view, in order per lane, until the server has settled
//! them.
//!
//! Usable alone: [`OfflineQueue`] accepts writes, forms pushes, takes receipts, and keeps what was refused for the app.
//!
//! # Promises
//! - A write that returned is in exactly one state: pending, parked, applied, discarded, replaced or cancelled (I2).
//! - Events of one lane (same record, same group, declared dependants) keep their order (I7).
//! - A refused event stops its lane, no other; it can be retried, replaced or discarded (I12).
//! - Content is frozen, durably, before it is first sent; until then later writes are folded in where that cannot change who
//!   wins a conflict.

mod accept;
mod coalesce;
mod draft;
mod freeze;
mod lost_values;
mod moot;
mod offline_queue;
mod overlay;
mod park;
mod plan;
mod policies;
mod settle;
#[cfg(test)]
mod tests;

pub use draft::{Draft, Mutation};
pub use freeze::{Push, Selection};
pub use offline_queue::{OfflineQueue, QueueLimits, QueueStats};
pub use policies::PolicyTable;
pub use settle::{Judges, Settlement};

pub(crate) use lost_values::{keep_lost_values, sweep_lost_values};
pub(crate) use settle::{Confirmed, confirm, finish_settled};
