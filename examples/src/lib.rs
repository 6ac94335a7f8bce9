//! What the examples and the benchmarks share: the sample library, and a server to run against.

pub mod library;
pub mod server;
