//! What a scripted transport does to a call, and what it remembers of it.

use std::time::Duration;

use crate::protocol::{ChangesRequest, Problem, ProblemCode, PushRequest};
use crate::transport::{Method, RequestContext};

/// The kinds of calls; each has a script of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallKind {
    /// [`Transport::push`](crate::transport::Transport::push).
    Push,
    /// [`Transport::changes`](crate::transport::Transport::changes).
    Changes,
    /// [`Transport::request`](crate::transport::Transport::request).
    Request,
    /// [`Transport::live`](crate::transport::Transport::live).
    Live,
}

/// One call, as it was made.
#[derive(Clone, Debug)]
pub struct Call {
    /// When, on the environment's monotonic clock.
    pub at: Duration,
    /// The credentials and the deadline that came with it.
    pub context: RequestContext,
    /// What was asked.
    pub asked: Asked,
}

/// What a call asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// [`Transport::push`](crate::transport::Transport::push).
    Push(PushRequest),
    /// [`Transport::changes`](crate::transport::Transport::changes).
    Changes(ChangesRequest),
    /// [`Transport::request`](crate::transport::Transport::request).
    Request {
        /// The method.
        method: Method,
        /// The path, with its query.
        path: String,
        /// The body.
        body: Option<Vec<u8>>,
    },
    /// [`Transport::live`](crate::transport::Transport::live).
    Live,
}

impl Asked {
    /// The kind of the call.
    #[must_use]
    pub fn kind(&self) -> CallKind {
        match self {
            Self::Push(_) => CallKind::Push,
            Self::Changes(_) => CallKind::Changes,
            Self::Request { .. } => CallKind::Request,
            Self::Live => CallKind::Live,
        }
    }
}

/// What happens to one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub(super) effect: Effect,
    pub(super) request_delay: Duration,
    pub(super) response_delay: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    Deliver,
    DropRequest,
    DropResponse,
    Answer(Problem),
    ActAndAnswer(Problem),
    Garble,
    AnswerTooLong,
    CutFeed(usize),
    TruncateFeed(usize),
    Hang,
    Duplicate,
    Late(Duration),
}

impl Fault {
    fn of(effect: Effect) -> Self {
        Self { effect, request_delay: Duration::ZERO, response_delay: Duration::ZERO }
    }

    /// None: the call goes through.
    #[must_use]
    pub fn none() -> Self {
        Self::of(Effect::Deliver)
    }

    /// The request is lost: the server never hears of it.
    #[must_use]
    pub fn drop_request() -> Self {
        Self::of(Effect::DropRequest)
    }

    /// The response is lost: the server acts, the client hears nothing.
    #[must_use]
    pub fn drop_response() -> Self {
        Self::of(Effect::DropResponse)
    }

    /// The server refuses with `problem` and does nothing.
    #[must_use]
    pub fn answer(problem: Problem) -> Self {
        Self::of(Effect::Answer(problem))
    }

    /// The server acts, but `problem` comes back, as from a gateway that gave up waiting.
    #[must_use]
    pub fn act_and_answer(problem: Problem) -> Self {
        Self::of(Effect::ActAndAnswer(problem))
    }

    /// The server refuses with this status (a code and title to match) and does nothing.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::answer(Problem::new(status, format!("http_{status}"), "scripted"))
    }

    /// 429 with a Retry-After of `seconds`.
    #[must_use]
    pub fn too_many_requests(seconds: u64) -> Self {
        let mut problem = Problem::of(ProblemCode::RateLimited, "scripted");
        problem.retry_after = Some(seconds);
        Self::answer(problem)
    }

    /// The server acts, but its answer cannot be read.
    #[must_use]
    pub fn garble() -> Self {
        Self::of(Effect::Garble)
    }

    /// The server acts, but its answer is longer than the client reads.
    #[must_use]
    pub fn answer_too_long() -> Self {
        Self::of(Effect::AnswerTooLong)
    }

    /// The feed, or the live channel, breaks after `chunks` chunks or hints. No other call notices.
    #[must_use]
    pub fn cut_feed(chunks: usize) -> Self {
        Self::of(Effect::CutFeed(chunks))
    }

    /// The feed, or the live channel, ends after `chunks` chunks or hints as if that were all. No other call notices.
    #[must_use]
    pub fn truncate_feed(chunks: usize) -> Self {
        Self::of(Effect::TruncateFeed(chunks))
    }

    /// The request arrives twice; the second answer comes back.
    #[must_use]
    pub fn duplicate() -> Self {
        Self::of(Effect::Duplicate)
    }

    /// The client hears at once that it failed; the request arrives `delay` later, after whatever was sent meanwhile.
    #[must_use]
    pub fn late(delay: Duration) -> Self {
        Self::of(Effect::Late(delay))
    }

    /// No answer ever comes; only the request's deadline, or going offline, ends the call.
    #[must_use]
    pub fn hang() -> Self {
        Self::of(Effect::Hang)
    }

    /// The request takes `delay` to reach the server.
    #[must_use]
    pub fn request_delayed(mut self, delay: Duration) -> Self {
        self.request_delay = delay;
        self
    }

    /// The response takes `delay` to come back.
    #[must_use]
    pub fn response_delayed(mut self, delay: Duration) -> Self {
        self.response_delay = delay;
        self
    }
}
