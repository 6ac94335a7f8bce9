//! The transport over HTTP, for native processes.
//!
//! One request, one answer: no redirects, no retries, no cookies. Every wait has a deadline and every answer a bound, so
//! that neither a dead link nor a hostile server holds the engine up.
#![expect(clippy::disallowed_methods, reason = "a native backend: its deadlines are those of real sockets")]

mod body;
mod client;
mod options;
#[cfg(test)]
mod tests;

pub use client::HttpTransport;
pub use options::{Compression, HttpOptions};
