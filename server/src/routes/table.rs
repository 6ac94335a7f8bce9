//! The one list of routes.

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use unisono::protocol::{BASE_PATH, ProblemCode};
use utoipa::openapi::path::{HttpMethod, Operation};

use super::{account, changes, events, operations, refusals};
use crate::app::AppState;

/// A route: path, method and documentation come from the one `utoipa::path` attribute of its handler; the refusals that do not
/// follow from that are named beside it.
pub(crate) struct Route {
    pub(crate) path: String,
    pub(crate) method: HttpMethod,
    pub(crate) operation: Operation,
    pub(crate) handler: MethodRouter<AppState>,
}

impl Route {
    fn new<P: utoipa::Path, H: Handler<T, AppState>, T: 'static>(handler: H) -> Self {
        let method = P::methods().into_iter().next().unwrap_or(HttpMethod::Get);
        let filter = match method {
            HttpMethod::Get => MethodFilter::GET,
            HttpMethod::Post => MethodFilter::POST,
            HttpMethod::Put => MethodFilter::PUT,
            HttpMethod::Delete => MethodFilter::DELETE,
            HttpMethod::Options => MethodFilter::OPTIONS,
            HttpMethod::Head => MethodFilter::HEAD,
            HttpMethod::Patch => MethodFilter::PATCH,
            HttpMethod::Trace => MethodFilter::TRACE,
        };
        Self { path: P::path(), method, operation: P::operation(), handler: on(filter, handler) }.refuses(&[])
    }

    /// Documents refusals of its own.
    fn refuses(mut self, codes: &[ProblemCode]) -> Self {
        let speaks_protocol = self.speaks_protocol();
        refusals::document(&mut self.operation, speaks_protocol, codes);
        self
    }

    /// Documents that it answers 503 whatever the store's trouble is.
    fn unready(mut self) -> Self {
        refusals::respond(&mut self.operation, 503, &refusals::UNREADY);
        self
    }

    /// Whether it tells that the server lives, and nothing else.
    pub(crate) fn tells_of_life(&self) -> bool {
        tells_of_life(&self.path)
    }

    /// Whether it tells operators how the server is.
    pub(crate) fn tells_of_state(&self) -> bool {
        matches!(self.path.as_str(), "/readyz" | "/metrics")
    }

    /// Whether it belongs to the sync protocol, whose version is negotiated.
    pub(crate) fn speaks_protocol(&self) -> bool {
        self.path.starts_with(BASE_PATH)
    }
}

/// Whether the route at `path` is answered whatever else is going on.
pub(crate) fn tells_of_life(path: &str) -> bool {
    path == "/healthz"
}

/// Every route of the server.
pub(crate) fn table() -> Vec<Route> {
    use ProblemCode::*;
    vec![
        Route::new::<events::__path_push, _, _>(events::push).refuses(&[
            InvalidCursor,
            MalformedEvent,
            IdentityMismatch,
            ScopeNotFound,
            EpochChanged,
            DeviceForked,
            PushTooLarge,
        ]),
        Route::new::<changes::__path_changes, _, _>(changes::changes).refuses(&[
            InvalidCursor,
            InvalidRequest,
            ScopeNotFound,
            EpochChanged,
            CursorExpired,
        ]),
        Route::new::<account::__path_status, _, _>(account::status).refuses(&[ScopeNotFound]),
        Route::new::<account::__path_digest, _, _>(account::digest).refuses(&[ScopeNotFound]),
        Route::new::<account::__path_value, _, _>(account::value).refuses(&[ScopeNotFound, ValueNotFound]),
        Route::new::<account::__path_stats, _, _>(account::stats).refuses(&[ScopeNotFound]),
        Route::new::<account::__path_enable, _, _>(account::enable),
        Route::new::<account::__path_disable, _, _>(account::disable),
        Route::new::<account::__path_now, _, _>(account::now),
        Route::new::<operations::__path_healthz, _, _>(operations::healthz),
        Route::new::<operations::__path_readyz, _, _>(operations::readyz).unready(),
        Route::new::<operations::__path_metrics, _, _>(operations::metrics),
        Route::new::<operations::__path_document, _, _>(operations::document),
    ]
}
