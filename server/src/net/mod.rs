//! The network: connections within bounds, and an end that loses no answer.
#![expect(clippy::disallowed_methods, reason = "real sockets live in real time, one task each")]

mod admission;
mod peer;
mod serve;
mod timed;
mod traffic;

pub(crate) use admission::Crowded;
pub use peer::peer_network;
pub use serve::{ServeOptions, serve};

#[cfg(test)]
mod tests;
