//! The wire, as types: `docs/protocol.md` in Rust. Used by client, server, OpenAPI and tests.

mod code;
mod feed;
mod problem;
mod push;
mod settings;
mod status;

pub use code::ProblemCode;
pub use feed::{ChangesRequest, Cursor, CursorLine, FeedLine, Page, Trailer, ValueRequest, ValueResponse};
pub use problem::Problem;
pub use push::{PushRequest, PushResponse};
pub use settings::{
    ApiKey, ApiKeyList, CollectionStorage, CreatedApiKey, KeyPermission, KeyProvider, NewApiKey, RenameApiKey,
    RotateApiKey, StorageStats, ToggleApiKey,
};
pub use status::{DigestResponse, StatsResponse, StatusResponse, SyncSwitch};

/// Oldest and newest protocol version that this build speaks.
pub const PROTOCOL: (u32, u32) = (1, 1);
/// Header in which a client says which versions it speaks: `<min>-<max>`.
pub const PROTOCOL_HEADER: &str = "unisono-protocol";
/// Path prefix of every route of the protocol.
pub const BASE_PATH: &str = "/api/v1";
/// Media type of the streamed change feed.
pub const NDJSON: &str = "application/x-ndjson";
/// Media type of an error document (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";
