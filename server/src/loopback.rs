//! The loopback: a client and the sync service in one process, for tests, simulation and embedding.
//!
//! No HTTP is involved, but pushes and answers go through their JSON forms: what the wire would refuse or change, the loopback
//! refuses and changes too. It answers what a client asks, no more: `/sync/*`, the account's API keys and its storage. Whoever the
//! resolver names is taken for the account itself, as by a token of its login.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use unisono::environment::timeout;
use unisono::model::Scope;
use unisono::platform::BoxFuture;
use unisono::protocol::{ChangesRequest, Problem, ProblemCode, PushRequest, PushResponse};
use unisono::transport::{
    ChangeReader, Chunk, LiveHint, LiveReader, Method, RequestContext, Response, Transport, TransportError, wire,
};

use crate::api_keys::ApiKeys;
use crate::problem::ApiError;
use crate::sync::{Feed, HintReader, Principal, SyncService};

/// Tells who asks, from what goes with a request.
type Resolver = dyn Fn(&RequestContext) -> Result<Principal, Problem> + Send + Sync;

/// A [`Transport`] that calls a [`SyncService`] directly. Clones share the service.
#[derive(Clone)]
pub struct LoopbackTransport {
    service: SyncService,
    resolver: Arc<Resolver>,
}

impl LoopbackTransport {
    /// Every request is `principal`'s.
    #[must_use]
    pub fn new(service: SyncService, principal: Principal) -> Self {
        Self::with_resolver(service, move |_| Ok(principal.clone()))
    }

    /// `resolver` tells whose a request is, or why it is refused.
    #[must_use]
    pub fn with_resolver(
        service: SyncService,
        resolver: impl Fn(&RequestContext) -> Result<Principal, Problem> + Send + Sync + 'static,
    ) -> Self {
        Self { service, resolver: Arc::new(resolver) }
    }

    fn principal(&self, context: &RequestContext) -> Result<Principal, TransportError> {
        (self.resolver)(context).map_err(TransportError::problem)
    }

    /// Waits for `answer` as long as the request may take.
    async fn within<T>(
        &self,
        context: &RequestContext,
        answer: impl Future<Output = Result<T, TransportError>>,
    ) -> Result<T, TransportError> {
        match context.deadline {
            None => answer.await,
            Some(limit) => timeout(self.service.environment(), limit, answer)
                .await
                .unwrap_or_else(|| Err(TransportError::Unreachable(format!("no answer within {limit:?}")))),
        }
    }

    async fn dispatch(
        &self,
        principal: &Principal,
        method: Method,
        path: &str,
        body: &[u8],
    ) -> Result<Response, TransportError> {
        let service = &self.service;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        match (method, path) {
            (Method::Get, "/sync/status") => {
                let asked: OptionalScope = parse_query(query)?;
                answer(service.status(principal, asked.scope).await)
            }
            (Method::Get, "/sync/digest") => {
                answer(service.digest(principal, parse_query::<OneScope>(query)?.scope).await)
            }
            (Method::Get, "/sync/values") => answer(service.value(principal, parse_query(query)?).await),
            (Method::Get, "/sync/stats") => {
                answer(service.stats(principal, parse_query::<OneScope>(query)?.scope).await)
            }
            (Method::Post, "/sync/enable") => answer(service.set_enabled(principal, true).await),
            (Method::Post, "/sync/disable") => answer(service.set_enabled(principal, false).await),
            (Method::Post, "/sync/now") => answer(service.sync_now(principal).await),
            (method, path) => match path.strip_prefix("/settings/") {
                Some(call) => self.dispatch_settings(principal, method, call, body).await,
                None => Err(no_such_route()),
            },
        }
    }

    /// What a client asks of settings. The documents are none of it: they sync, as records.
    async fn dispatch_settings(
        &self,
        principal: &Principal,
        method: Method,
        call: &str,
        body: &[u8],
    ) -> Result<Response, TransportError> {
        let keys = ApiKeys { service: &self.service, principal };
        // No key's id has anything to escape: one that is escaped is nobody's.
        let parts: Vec<_> = call.split('/').collect();
        match (method, &parts[..]) {
            (Method::Get, ["storage"]) => {
                answer(self.service.storage(principal).await.map(|storage| storage.to_stats()))
            }
            (Method::Post, ["api-keys"]) => told(keys.create(parse_body(body)?).await),
            (Method::Get, ["api-keys"]) => told(keys.list().await),
            (Method::Patch, ["api-keys", id]) => told(keys.rename(id, parse_body(body)?).await),
            (Method::Put, ["api-keys", id, "toggle"]) => told(keys.toggle(id, parse_body_if_any(body)?).await),
            (Method::Post, ["api-keys", id, "rotate"]) => told(keys.rotate(id, parse_body_if_any(body)?).await),
            (Method::Delete, ["api-keys", id]) => {
                keys.delete(id).await.map_err(|error| TransportError::problem(error.into_problem()))?;
                Ok(Response { status: 204, body: Vec::new(), etag: None })
            }
            _ => Err(no_such_route()),
        }
    }
}

#[derive(Deserialize)]
struct OneScope {
    scope: Scope,
}

#[derive(Deserialize)]
struct OptionalScope {
    scope: Option<Scope>,
}

fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, TransportError> {
    serde_urlencoded::from_str(query).map_err(|error| {
        let problem = Problem::of(ProblemCode::InvalidQuery, "the query has not the documented form");
        TransportError::problem(problem.detail(error.to_string()))
    })
}

fn parse_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, TransportError> {
    serde_json::from_slice(body).map_err(|error| {
        let problem = Problem::of(ProblemCode::InvalidJson, "the body has not the documented form");
        TransportError::problem(problem.detail(error.to_string()))
    })
}

fn parse_body_if_any<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, TransportError> {
    if body.is_empty() { Ok(T::default()) } else { parse_body(body) }
}

fn no_such_route() -> TransportError {
    TransportError::problem(Problem::of(ProblemCode::NotFound, "there is no such route"))
}

fn told<T: Serialize>(result: Result<T, ApiError>) -> Result<Response, TransportError> {
    answer(result.map_err(ApiError::into_problem))
}

fn answer<T: Serialize>(result: Result<T, Problem>) -> Result<Response, TransportError> {
    let body = result.map_err(TransportError::problem)?;
    Ok(Response { status: 200, body: encode(&body)?, etag: None })
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, TransportError> {
    serde_json::to_vec(value).map_err(|error| TransportError::Malformed(error.to_string()))
}

impl Transport for LoopbackTransport {
    fn push<'a>(
        &'a self,
        context: &'a RequestContext,
        request: &'a PushRequest,
    ) -> BoxFuture<'a, Result<PushResponse, TransportError>> {
        Box::pin(self.within(context, async move {
            let principal = self.principal(context)?;
            let request = parse_body(&encode(request)?)?;
            let response = self.service.push(&principal, request).await.map_err(TransportError::problem)?;
            wire::push_response(&encode(&response)?)
        }))
    }

    fn changes<'a>(
        &'a self,
        context: &'a RequestContext,
        request: &'a ChangesRequest,
    ) -> BoxFuture<'a, Result<Box<dyn ChangeReader>, TransportError>> {
        Box::pin(self.within(context, async move {
            let principal = self.principal(context)?;
            let feed = self.service.changes(&principal, request.clone()).await.map_err(TransportError::problem)?;
            let reader = LoopbackReader { transport: self.clone(), context: context.clone(), feed };
            Ok(Box::new(reader) as Box<dyn ChangeReader>)
        }))
    }

    fn request<'a>(
        &'a self,
        context: &'a RequestContext,
        method: Method,
        path: &'a str,
        body: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Response, TransportError>> {
        Box::pin(self.within(context, async move {
            let principal = self.principal(context)?;
            self.dispatch(&principal, method, path, &body.unwrap_or_default()).await
        }))
    }

    fn live<'a>(
        &'a self,
        context: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Option<Box<dyn LiveReader>>, TransportError>> {
        Box::pin(async move {
            let principal = self.principal(context)?;
            let reader: Box<dyn LiveReader> = Box::new(LoopbackLive(self.service.listen(&principal)));
            Ok(Some(reader))
        })
    }
}

impl fmt::Debug for LoopbackTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopbackTransport").field("service", &self.service).finish_non_exhaustive()
    }
}

struct LoopbackReader {
    transport: LoopbackTransport,
    context: RequestContext,
    feed: Feed,
}

impl ChangeReader for LoopbackReader {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Chunk>, TransportError>> {
        let Self { transport, context, feed } = self;
        Box::pin(transport.within(context, async { feed.next().await.map_err(TransportError::problem) }))
    }
}

struct LoopbackLive(HintReader);

impl LiveReader for LoopbackLive {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<LiveHint>, TransportError>> {
        Box::pin(async { Ok(self.0.next().await) })
    }
}
