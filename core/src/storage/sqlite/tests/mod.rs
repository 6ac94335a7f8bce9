//! What only SQLite promises; the contract's own tests come from the conformance suite.

mod contract;
mod crash;
mod damage;
mod durability;
mod full;
mod helpers;
mod in_memory;
mod lost_log;
mod migration;
mod ownership;
mod reads;
