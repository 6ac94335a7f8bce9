//! What a connection is about at the moment: waited on for a request, or busy with one.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::response::Response;
use http_body::{Frame, SizeHint};

/// A connection's state, shared by its stream and its requests.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    begun: AtomicU64,
    ended: AtomicU64,
    /// Whether the client has yet to take bytes.
    writing: AtomicBool,
}

impl Traffic {
    /// A request's head has arrived; its answer's end is told by the guard.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.begun.fetch_add(1, Ordering::SeqCst);
        Busy(Arc::clone(self))
    }

    /// Requests that have begun.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Whether a request is being answered.
    pub(super) fn is_busy(&self) -> bool {
        self.ended.load(Ordering::SeqCst) < self.begun()
    }

    pub(super) fn set_writing(&self, writing: bool) {
        self.writing.store(writing, Ordering::SeqCst);
    }

    /// Whether nobody would miss the connection: no request runs, and no byte of an answer is left.
    pub(super) fn is_quiet(&self) -> bool {
        !self.is_busy() && !self.writing.load(Ordering::SeqCst)
    }
}

/// Lives as long as a request and its answer.
#[derive(Debug)]
pub(super) struct Busy(Arc<Traffic>);

impl Busy {
    /// Lets the answer's body keep the request alive.
    pub(super) fn until_end_of(self, response: Response) -> Response {
        response.map(|body| Body::new(Answer { body, _busy: self }))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

/// A body whose end is the end of its request.
struct Answer {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Answer {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
