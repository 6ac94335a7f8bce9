//! [`HttpTransport`]: requests over a pool of connections.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue};
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use secrecy::ExposeSecret;

use super::body::{compressed, successful, unreachable};
use super::options::{Compression, HttpOptions, parse};
use crate::error::{Error, InvalidCode};
use crate::platform::{BoxFuture, TokioEnvironment};
use crate::protocol::{ChangesRequest, NDJSON, PROTOCOL_HEADER, Problem, ProblemCode, PushRequest, PushResponse};
use crate::transport::address::Address;
use crate::transport::body::{FeedReader, bare_etag, is_media, read};
use crate::transport::pace::Pace;
use crate::transport::wire::{EVENTS_PATH, changes_path, protocol_versions, push_body, push_response};
use crate::transport::{ChangeReader, Method, RequestContext, Response, Transport, TransportError};

const JSON: &str = "application/json";
/// Shorter than the server keeps an idle connection, so that it is not closed under a request.
const IDLE_CONNECTION: Duration = Duration::from_secs(45);

/// Reaches a server over HTTP(S).
///
/// TLS is rustls with the platform's roots. Connections are kept and shared; redirects are not followed; bodies may be
/// compressed both ways. Needs a Tokio runtime. At most
/// [`max_response_bytes`](HttpOptions::max_response_bytes) of an answer and one chunk of a feed are held in memory.
pub struct HttpTransport {
    client: Client,
    base: Address,
    options: HttpOptions,
    compress: bool,
    /// The server does not read compressed requests (415).
    plain_only: AtomicBool,
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport")
            .field("base", &self.base)
            .field("compress", &self.compress)
            .finish_non_exhaustive()
    }
}

impl HttpTransport {
    /// A transport to the server at `url`, with default options.
    ///
    /// # Errors
    /// `invalid_config` if `url` is not `https://…` (or `http://` to this machine).
    pub fn new(url: impl AsRef<str>) -> Result<Self, Error> {
        Self::with_options(url, HttpOptions::default())
    }

    /// A transport to the server at `url`.
    ///
    /// # Errors
    /// `invalid_config` if `url` is not `https://…` (or `http://` to this machine, or as
    /// [`allow_plain_http`](HttpOptions::allow_plain_http) says), or the options cannot be used.
    pub fn with_options(url: impl AsRef<str>, options: HttpOptions) -> Result<Self, Error> {
        let (base, is_loopback) = parse(url.as_ref(), options.allow_plain_http)?;
        let compress = match options.compression {
            Compression::Auto => !is_loopback,
            Compression::On => true,
            Compression::Off => false,
        };
        let mut headers = HeaderMap::new();
        let versions = HeaderValue::from_str(&protocol_versions());
        headers.insert(PROTOCOL_HEADER, versions.map_err(|error| Error::Internal(error.to_string()))?);
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .retry(reqwest::retry::never())
            .default_headers(headers)
            .user_agent(&options.user_agent)
            .connect_timeout(options.connect_timeout)
            .pool_idle_timeout(IDLE_CONNECTION)
            .tcp_nodelay(true)
            .gzip(compress)
            .zstd(compress)
            .build()
            .map_err(|error| {
                Error::invalid(InvalidCode::Config, format!("the HTTP client cannot be made: {}", error.without_url()))
            })?;
        Ok(Self { client, base, options, compress, plain_only: AtomicBool::new(false) })
    }

    fn deadline(&self, context: &RequestContext) -> Duration {
        context.deadline.unwrap_or(self.options.deadline)
    }

    fn url(&self, path: &str) -> Result<Url, TransportError> {
        let url = self.base.join(path)?;
        Url::parse(&url).map_err(|_| Address::invalid_path())
    }

    fn start(
        &self,
        context: &RequestContext,
        method: reqwest::Method,
        path: &str,
    ) -> Result<RequestBuilder, TransportError> {
        let mut request = self.client.request(method, self.url(path)?);
        if let Some(token) = &context.token {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret())).map_err(|_| {
                TransportError::problem(
                    Problem::of(ProblemCode::AuthRequired, "The request was not sent")
                        .detail("the token has characters that no header may hold"),
                )
            })?;
            request = request.header(AUTHORIZATION, sensitive(value));
        }
        Ok(request)
    }

    /// Sends a request and passes on a successful answer.
    async fn exchange(
        &self,
        context: &RequestContext,
        method: reqwest::Method,
        path: &str,
        accept: &'static str,
        body: Option<Vec<u8>>,
        pace: &mut Pace,
    ) -> Result<reqwest::Response, TransportError> {
        pace.moved(body.as_ref().map_or(0, Vec::len));
        let small = match &body {
            Some(body) if self.compress && !self.plain_only.load(Ordering::Relaxed) => compressed(body),
            _ => None,
        };
        let start = || Ok(self.start(context, method.clone(), path)?.header(ACCEPT, accept));
        if let Some(small) = small {
            let request = start()?.header(CONTENT_TYPE, JSON).header(CONTENT_ENCODING, "zstd").body(small);
            let response = pace.within(send(request)).await?;
            if response.status() != StatusCode::UNSUPPORTED_MEDIA_TYPE {
                return successful(response, pace).await;
            }
            // RFC 7694: this server wants bodies as they are, which only its refusal can tell. It did not act.
            self.plain_only.store(true, Ordering::Relaxed);
        }
        let mut request = start()?;
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, JSON).body(body);
        }
        let response = pace.within(send(request)).await?;
        successful(response, pace).await
    }

    async fn send_push(&self, context: &RequestContext, request: &PushRequest) -> Result<PushResponse, TransportError> {
        let body = push_body(request)?;
        let mut pace = Pace::start(&TokioEnvironment, self.deadline(context));
        let mut response =
            self.exchange(context, reqwest::Method::POST, EVENTS_PATH, JSON, Some(body), &mut pace).await?;
        push_response(&read(&mut response, self.options.max_response_bytes, &mut pace).await?)
    }

    async fn open_feed(
        &self,
        context: &RequestContext,
        request: &ChangesRequest,
    ) -> Result<Box<dyn ChangeReader>, TransportError> {
        let deadline = self.deadline(context);
        let mut pace = Pace::start(&TokioEnvironment, deadline);
        let path = changes_path(request);
        let response = self.exchange(context, reqwest::Method::GET, &path, NDJSON, None, &mut pace).await?;
        let media = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !is_media(media, NDJSON) {
            return Err(TransportError::Malformed(format!("the change feed is not {NDJSON}")));
        }
        Ok(Box::new(FeedReader::new(response, self.options.feed, &TokioEnvironment, deadline)))
    }

    async fn send_any(
        &self,
        context: &RequestContext,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Response, TransportError> {
        let method = match method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut pace = Pace::start(&TokioEnvironment, self.deadline(context));
        let mut response = self.exchange(context, method, path, JSON, body, &mut pace).await?;
        let etag = response.headers().get(ETAG).and_then(|value| value.to_str().ok()).map(bare_etag);
        let status = response.status().as_u16();
        let body = read(&mut response, self.options.max_response_bytes, &mut pace).await?;
        Ok(Response { status, body, etag })
    }
}

async fn send(request: RequestBuilder) -> Result<reqwest::Response, TransportError> {
    request.send().await.map_err(unreachable)
}

/// Keeps a value out of debug output and compression dictionaries.
fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

impl Transport for HttpTransport {
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
