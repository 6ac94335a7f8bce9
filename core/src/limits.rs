//! Every limit of the protocol and the replica, in one place.
//!
//! Client and server share these constants, so that a write which the client accepts is never refused by the server for
//! its size: *server limits ≥ client limits*.

/// Largest canonical document, in bytes (1 MiB).
pub const MAX_DOCUMENT_BYTES: usize = 1 << 20;
/// Deepest nesting of a value; a scalar has depth 0, `[]` and `{}` have depth 1.
pub const MAX_DEPTH: usize = 64;
/// Longest collection name, record id, device id, group id or event id, in UTF-8 bytes.
pub const MAX_ID_BYTES: usize = 256;
/// Longest object key, in UTF-8 bytes.
pub const MAX_KEY_BYTES: usize = 256;
/// Longest JSON Pointer, in UTF-8 bytes: every field of an admissible document has one that fits.
pub const MAX_POINTER_BYTES: usize = MAX_DEPTH * (2 * MAX_KEY_BYTES + 1);
/// Most field operations in one event.
pub const MAX_OPS_PER_EVENT: usize = 10_000;

/// Most events in one push request, unless one group alone has more.
pub const MAX_PUSH_EVENTS: usize = 500;
/// Target size of one push body before compression, in bytes (1 MiB); a single event or group may exceed it.
pub const MAX_PUSH_BYTES: usize = 1 << 20;
/// Hard limit of one push body before compression, in bytes (4 MiB).
pub const MAX_PUSH_BYTES_HARD: usize = 4 << 20;
/// Most events in one group; larger transactions are refused at the local write.
pub const MAX_GROUP_EVENTS: usize = 2_000;
/// Largest group, or event outside a group, in bytes of what is encoded; leaves room for the push envelope.
pub const MAX_GROUP_BYTES: usize = MAX_PUSH_BYTES_HARD - (64 << 10);

/// Canonical bytes of records after which the answer to a push tells no further one (1 MiB): the client pulls it.
pub const MAX_ANSWER_RECORD_BYTES: usize = 1 << 20;

/// Most changes between two cursor lines of a change feed.
pub const MAX_CHANGES_PER_CURSOR: usize = 500;
/// Default and largest `limit` of `GET /sync/changes`.
pub const MAX_CHANGES_LIMIT: usize = 10_000;

/// A stamp may be at most this far ahead of the server's clock, in milliseconds.
pub const MAX_CLOCK_AHEAD_MS: u64 = 60_000;

/// Most losers kept in one conflict note; the newest are kept.
pub const MAX_NOTE_LOSERS: usize = 8;
/// A losing value larger than this is kept by reference (its hash and size), in bytes.
pub const MAX_NOTE_VALUE_BYTES: usize = 16 << 10;
/// Largest conflict note, in bytes.
pub const MAX_NOTE_BYTES: usize = 64 << 10;

/// Buckets of a scope's digest.
pub const DIGEST_BUCKETS: usize = 256;

/// Default limit of unsettled events in a replica's queue.
pub const DEFAULT_QUEUE_EVENTS: u64 = 1_000_000;
/// Default limit of bytes of unsettled events in a replica's queue (1 GiB).
pub const DEFAULT_QUEUE_BYTES: u64 = 1 << 30;

/// Bytes of a value's encoding that an index keeps; longer values are found by these and checked in their record.
pub const MAX_INDEXED_VALUE_BYTES: usize = 256;
/// Most fields of one index.
pub const MAX_INDEX_PATHS: usize = 8;
/// Most conditions of one filter.
pub const MAX_FILTER_CONDITIONS: usize = 1_000;
/// Deepest nesting of a filter.
pub const MAX_FILTER_DEPTH: usize = 32;
/// Most values of one `in` condition.
pub const MAX_FILTER_VALUES: usize = 10_000;
/// Most fields of one query's order.
pub const MAX_ORDER_PATHS: usize = 8;
