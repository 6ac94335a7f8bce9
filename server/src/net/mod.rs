//! The network: connections within bounds, and an end that loses no answer.
#![expect(clippy::disallowed_methods, reason = "real sockets live in real time, one task each")]

mod serve;
mod stalling;

pub use serve::{ServeOptions, serve};

#[cfg(test)]
mod tests;
