//! The transport seam: how a client reaches a server. Whoever has a backend of their own implements [`Transport`].

use std::fmt::Debug;
use std::time::Duration;

use secrecy::SecretString;

use crate::error::ErrorKind;
use crate::model::Change;
use crate::platform::{BoxFuture, MaybeSend, MaybeSync};
use crate::protocol::{ChangesRequest, Cursor, Problem, PushRequest, PushResponse, Trailer};

#[cfg(any(feature = "http", all(target_family = "wasm", target_os = "unknown")))]
mod address;
#[cfg(any(feature = "http", all(target_family = "wasm", target_os = "unknown")))]
mod body;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod fetch;
#[cfg(feature = "http")]
mod http;
pub mod ndjson;
#[cfg(any(feature = "http", all(target_family = "wasm", target_os = "unknown")))]
mod pace;
pub mod wire;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub use fetch::{FetchOptions, FetchTransport};
#[cfg(feature = "http")]
pub use http::{Compression, HttpOptions, HttpTransport};

/// What goes with every request.
#[derive(Clone, Debug, Default)]
pub struct RequestContext {
    /// The bearer token or API key; its `Debug` form is redacted.
    pub token: Option<SecretString>,
    /// How long the request may take; for a feed, how long each chunk may take.
    pub deadline: Option<Duration>,
}

/// The methods of [`Transport::request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
}

/// A successful answer to [`Transport::request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status (2xx).
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// The ETag, without quotes.
    pub etag: Option<String>,
}

/// A part of the feed that ends at a position: its changes and cursor are committed together.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// The changes, by ascending revision.
    pub changes: Vec<Change>,
    /// The position after them.
    pub cursor: Cursor,
    /// See [`crate::protocol::CursorLine::included`].
    pub included: u64,
    /// Present in the last chunk.
    pub trailer: Option<Trailer>,
}

/// Reads a feed as it comes.
pub trait ChangeReader: MaybeSend {
    /// The next chunk; `None` after the one with the trailer. Reading no further holds the sender back.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Chunk>, TransportError>>;
}

/// Reaches a server.
///
/// Implementations send what they are given and report what came back; retrying, ordering and credentials are the
/// engine's. Dropping a future abandons its request.
pub trait Transport: Debug + MaybeSend + MaybeSync + 'static {
    /// `POST /sync/events`.
    fn push<'a>(
        &'a self,
        context: &'a RequestContext,
        request: &'a PushRequest,
    ) -> BoxFuture<'a, Result<PushResponse, TransportError>>;

    /// `GET /sync/changes`.
    fn changes<'a>(
        &'a self,
        context: &'a RequestContext,
        request: &'a ChangesRequest,
    ) -> BoxFuture<'a, Result<Box<dyn ChangeReader>, TransportError>>;

    /// Any other request below the protocol's base path; `path` begins with `/` and may carry a query.
    fn request<'a>(
        &'a self,
        context: &'a RequestContext,
        method: Method,
        path: &'a str,
        body: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Response, TransportError>>;

    /// Opens the server's live channel, over which it says that there is something to pull. `None` if this transport has
    /// none: then the interval alone drives pulls.
    fn live<'a>(
        &'a self,
        context: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Option<Box<dyn LiveReader>>, TransportError>> {
        let _ = context;
        Box::pin(async { Ok(None) })
    }
}

/// Reads hints from a live channel.
pub trait LiveReader: MaybeSend {
    /// Waits for the next hint; `None` when the channel has ended.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<LiveHint>, TransportError>>;
}

/// Something is there to be pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveHint {
    /// In this scope.
    pub scope: crate::model::Scope,
}

/// What can go wrong on the way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// No answer: no connection, a broken one, or a deadline. The server may or may not have acted.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The server answered with an error document (or a bare error status, whose code is then `http_<status>`).
    #[error("the server answered {}: {} ({})", .0.status, .0.detail.as_deref().unwrap_or(&.0.title), .0.code)]
    Problem(Box<Problem>),
    /// The answer is not what the protocol says.
    #[error("the server's answer cannot be read: {0}")]
    Malformed(String),
    /// The answer is longer than this client reads. The server has acted.
    #[error("the server's answer has more than {limit} bytes")]
    TooLong {
        /// What the client reads, in bytes.
        limit: usize,
    },
}

impl TransportError {
    /// An error document.
    #[must_use]
    pub fn problem(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Problem(problem) => &problem.code,
            Self::Malformed(_) => "malformed_answer",
            Self::TooLong { .. } => "answer_too_long",
        }
    }

    /// The broad class.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreachable(_) => ErrorKind::Offline,
            Self::Malformed(_) | Self::TooLong { .. } => ErrorKind::Internal,
            Self::Problem(problem) => match problem.status {
                401 | 403 => ErrorKind::Auth,
                408 | 429 | 500..=599 => ErrorKind::Offline,
                409 | 412 => ErrorKind::Conflict,
                _ => ErrorKind::Rejected,
            },
        }
    }

    /// Whether the server may have acted although no receipt came. No answer, an unreadable answer, 408, 429 and 5xx: the same
    /// push is sent again. An answer that is too long would come again: the push is given up, and its events go in smaller ones.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Malformed(_) | Self::TooLong { .. } => true,
            Self::Problem(problem) => matches!(problem.status, 408 | 429 | 500..=599),
        }
    }

    /// Whether the same request may succeed later by itself.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Malformed(_) | Self::TooLong { .. } => false,
            _ => self.is_ambiguous(),
        }
    }

    /// How long the server asked to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem(problem) => problem.retry_after.map(Duration::from_secs),
            _ => None,
        }
    }
}

impl<T: Transport + ?Sized> Transport for std::sync::Arc<T> {
    fn push<'a>(
        &'a self,
        context: &'a RequestContext,
        request: &'a PushRequest,
    ) -> BoxFuture<'a, Result<PushResponse, TransportError>> {
        (**self).push(context, request)
    }

    fn changes<'a>(
        &'a self,
        context: &'a RequestContext,
        request: &'a ChangesRequest,
    ) -> BoxFuture<'a, Result<Box<dyn ChangeReader>, TransportError>> {
        (**self).changes(context, request)
    }

    fn request<'a>(
        &'a self,
        context: &'a RequestContext,
        method: Method,
        path: &'a str,
        body: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Response, TransportError>> {
        (**self).request(context, method, path, body)
    }

    fn live<'a>(
        &'a self,
        context: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Option<Box<dyn LiveReader>>, TransportError>> {
        (**self).live(context)
    }
}

/// The transport of a client that has none: no server can be reached.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTransport;

impl NoTransport {
    fn unreachable<T>() -> Result<T, TransportError> {
        Err(TransportError::Unreachable("the client has no transport".into()))
    }
}

impl Transport for NoTransport {
    fn push<'a>(
        &'a self,
        _: &'a RequestContext,
        _: &'a PushRequest,
    ) -> BoxFuture<'a, Result<PushResponse, TransportError>> {
        Box::pin(async { Self::unreachable() })
    }

    fn changes<'a>(
        &'a self,
        _: &'a RequestContext,
        _: &'a ChangesRequest,
    ) -> BoxFuture<'a, Result<Box<dyn ChangeReader>, TransportError>> {
        Box::pin(async { Self::unreachable() })
    }

    fn request<'a>(
        &'a self,
        _: &'a RequestContext,
        _: Method,
        _: &'a str,
        _: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Response, TransportError>> {
        Box::pin(async { Self::unreachable() })
    }
}
