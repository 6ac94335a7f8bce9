//! [`FetchTransport`]: the protocol's requests.

use std::fmt;
use std::time::Duration;

use web_sys::Url;

use super::exchange::{Answer, Exchange};
use crate::error::Error;
use crate::platform::{BoxFuture, WebEnvironment};
use crate::protocol::{ChangesRequest, NDJSON, PushRequest, PushResponse};
use crate::transport::address::{Address, Parts};
use crate::transport::body::{FeedReader, bare_etag, is_media, read};
use crate::transport::ndjson::FeedLimits;
use crate::transport::pace::Pace;
use crate::transport::wire::{EVENTS_PATH, changes_path, push_body, push_response};
use crate::transport::{ChangeReader, Method, RequestContext, Response, Transport, TransportError};

const JSON: &str = "application/json";

/// Options of [`FetchTransport`].
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// How long a request (or a feed's chunk) may take where the [`RequestContext`] says nothing. A body that keeps coming
    /// gets more: a second for every 16 KiB.
    pub deadline: Duration,
    /// Allows `http://` to hosts other than this machine. Tokens and data are then readable on the way: for tests in a
    /// closed network only.
    pub allow_plain_http: bool,
    /// Largest answer that is read, in bytes after decompression; a feed is bounded by `feed` instead.
    pub max_response_bytes: usize,
    /// What is accepted from a feed.
    pub feed: FeedLimits,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            allow_plain_http: false,
            max_response_bytes: 128 << 20,
            feed: FeedLimits::default(),
        }
    }
}

/// Reaches a server with the host's `fetch`. At most [`max_response_bytes`](FetchOptions::max_response_bytes) of an answer
/// and one chunk of a feed are held in memory.
pub struct FetchTransport {
    base: Address,
    options: FetchOptions,
}

impl fmt::Debug for FetchTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FetchTransport({:?})", self.base)
    }
}

impl FetchTransport {
    /// A transport to the server at `url`, with default options.
    ///
    /// # Errors
    /// `invalid_config` if `url` is not `https://…` (or `http://` to this machine).
    pub fn new(url: &str) -> Result<Self, Error> {
        Self::with_options(url, FetchOptions::default())
    }

    /// A transport to the server at `url`.
    ///
    /// # Errors
    /// `invalid_config` if `url` is not `https://…` (or `http://` to this machine, or as
    /// [`allow_plain_http`](FetchOptions::allow_plain_http) says).
    pub fn with_options(url: &str, options: FetchOptions) -> Result<Self, Error> {
        let url = Url::new(url).map_err(|_| Address::not_a_url("the host cannot read it"))?;
        let (href, scheme, host) = (url.href(), url.protocol(), url.hostname());
        let parts = Parts {
            href: &href,
            scheme: scheme.trim_end_matches(':'),
            host: &host,
            has_credentials: !url.username().is_empty() || !url.password().is_empty(),
            has_query_or_fragment: !url.search().is_empty() || !url.hash().is_empty(),
        };
        Ok(Self { base: Address::check(&parts, options.allow_plain_http)?, options })
    }

    fn pace(&self, context: &RequestContext) -> Pace {
        Pace::start(&WebEnvironment, self.deadline(context))
    }

    fn deadline(&self, context: &RequestContext) -> Duration {
        context.deadline.unwrap_or(self.options.deadline)
    }

    /// Sends a request and passes on a successful answer.
    async fn exchange(
        &self,
        context: &RequestContext,
        method: &str,
        path: &str,
        accept: &str,
        body: Option<Vec<u8>>,
        pace: &mut Pace,
    ) -> Result<Answer, TransportError> {
        pace.moved(body.as_ref().map_or(0, Vec::len));
        let exchange = Exchange { url: &self.base.join(path)?, method, accept, token: context.token.as_ref(), body };
        exchange.run(pace).await
    }

    async fn send_push(&self, context: &RequestContext, request: &PushRequest) -> Result<PushResponse, TransportError> {
        let body = push_body(request)?;
        let mut pace = self.pace(context);
        let mut answer = self.exchange(context, "POST", EVENTS_PATH, JSON, Some(body), &mut pace).await?;
        push_response(&read(&mut answer.body, self.options.max_response_bytes, &mut pace).await?)
    }

    async fn open_feed(
        &self,
        context: &RequestContext,
        request: &ChangesRequest,
    ) -> Result<Box<dyn ChangeReader>, TransportError> {
        let mut pace = self.pace(context);
        let answer = self.exchange(context, "GET", &changes_path(request), NDJSON, None, &mut pace).await?;
        if !is_media(&answer.header("content-type").unwrap_or_default(), NDJSON) {
            return Err(TransportError::Malformed(format!("the change feed is not {NDJSON}")));
        }
        Ok(Box::new(FeedReader::new(answer.body, self.options.feed, &WebEnvironment, self.deadline(context))))
    }

    async fn send_any(
        &self,
        context: &RequestContext,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Response, TransportError> {
        let method = match method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        };
        let mut pace = self.pace(context);
        let mut answer = self.exchange(context, method, path, JSON, body, &mut pace).await?;
        let etag = answer.header("etag").map(|etag| bare_etag(&etag));
        let body = read(&mut answer.body, self.options.max_response_bytes, &mut pace).await?;
        Ok(Response { status: answer.status, body, etag })
    }
}

impl Transport for FetchTransport {
    fn push<'a>(
        &'a self,
        context: &'a RequestContext,
        request: &'a PushRequest,
    ) -> BoxFuture<'a, Result<PushResponse, TransportError>> {
        Box::pin(self.send_push(context, request))
    }

    fn changes<'a>(
        &'a self,
        context: &'a RequestContext,
        request: &'a ChangesRequest,
    ) -> BoxFuture<'a, Result<Box<dyn ChangeReader>, TransportError>> {
        Box::pin(self.open_feed(context, request))
    }

    fn request<'a>(
        &'a self,
        context: &'a RequestContext,
        method: Method,
        path: &'a str,
        body: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Response, TransportError>> {
        Box::pin(self.send_any(context, method, path, body))
    }
}
