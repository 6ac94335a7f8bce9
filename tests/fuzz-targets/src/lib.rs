//! What the fuzzer runs: one plain function for each place where bytes from outside enter.
//!
//! A body takes any bytes and returns, or panics because a promise is broken: each compares with an oracle of its own, or
//! holds a round trip or an invariant, and none is content with "does not panic". The fuzzer (`fuzz/`, `cargo xtask fuzz`)
//! searches with them; the ordinary tests replay what it found worth keeping, and try seeded inputs (`tests/replay.rs`).
//!
//! To add a target: a module here with its body, a row in [`TARGETS`], three lines in `fuzz/fuzz_targets/`, its name in
//! `fuzz/Cargo.toml`, and a few inputs in `fuzz/corpus/`. The tests fail if one of them is missing.

mod bytes;
mod canonical_json;
mod cursor;
mod feed;
mod history;
mod jwt;
mod merge;
mod merge_order;
mod pointer;
mod push_decode;
mod push_service;
mod replica_file;
mod replica_rows;
mod server;
mod stamp;
mod stored_rows;

pub use canonical_json::canonical_json;
pub use cursor::cursor;
pub use feed::feed;
pub use jwt::jwt;
pub use merge::merge;
pub use merge_order::merge_order;
pub use pointer::pointer;
pub use push_decode::push_decode;
pub use push_service::push_service;
pub use replica_file::replica_file;
pub use replica_rows::replica_rows;
pub use stamp::stamp;
pub use stored_rows::stored_rows;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of its function, its file in `fuzz/fuzz_targets/` and its folder in `fuzz/corpus/`.
    pub name: &'static str,
    /// What it runs.
    pub body: fn(&[u8]),
    /// Seeded inputs that an ordinary test run tries: fewer for bodies that open databases.
    pub tries: usize,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "canonical_json", body: canonical_json, tries: 20_000 },
    Target { name: "cursor", body: cursor, tries: 1_500 },
    Target { name: "feed", body: feed, tries: 5_000 },
    Target { name: "jwt", body: jwt, tries: 5_000 },
    Target { name: "merge", body: merge, tries: 3_000 },
    Target { name: "merge_order", body: merge_order, tries: 3_000 },
    Target { name: "pointer", body: pointer, tries: 20_000 },
    Target { name: "push_decode", body: push_decode, tries: 10_000 },
    Target { name: "push_service", body: push_service, tries: 200 },
    Target { name: "replica_file", body: replica_file, tries: 200 },
    Target { name: "replica_rows", body: replica_rows, tries: 300 },
    Target { name: "stamp", body: stamp, tries: 20_000 },
    Target { name: "stored_rows", body: stored_rows, tries: 10_000 },
];
