//! What only SQLite promises; the contract's own tests come from the conformance suite.

mod contract;
mod helpers;
