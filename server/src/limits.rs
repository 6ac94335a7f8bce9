//! What the server takes from a request: sizes, depth, time.

use std::time::Duration;

use unisono::limits::{MAX_DEPTH, MAX_GROUP_EVENTS, MAX_PUSH_BYTES_HARD, MAX_PUSH_EVENTS};

/// Bounds of a request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Bytes as they come over the wire.
    pub encoded_bytes: usize,
    /// Bytes after decompression.
    pub decoded_bytes: usize,
    /// How many times a body may grow by decompression, beyond `free_bytes`.
    pub ratio: usize,
    /// Bytes after decompression up to which the ratio does not matter.
    pub free_bytes: usize,
    /// Nesting of its JSON: a document of the deepest kind with its envelope, and some more, so that an event that is too
    /// deep is refused by itself. Below what the parser's recursion can take.
    pub depth: usize,
    /// Events in a push.
    pub events: usize,
    /// How long it may take to arrive; a long one gets a second more for every 16 KiB.
    pub time: Duration,
}

impl Default for BodyLimits {
    /// Never less than what a client of the same version may send.
    fn default() -> Self {
        let bytes = MAX_PUSH_BYTES_HARD + (64 << 10);
        Self {
            encoded_bytes: bytes,
            decoded_bytes: bytes,
            ratio: 100,
            free_bytes: 256 << 10,
            depth: MAX_DEPTH + 32,
            events: if MAX_GROUP_EVENTS > MAX_PUSH_EVENTS { MAX_GROUP_EVENTS } else { MAX_PUSH_EVENTS },
            time: Duration::from_secs(30),
        }
    }
}
