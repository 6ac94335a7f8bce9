//! The one list of routes.

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use unisono::protocol::BASE_PATH;
use utoipa::openapi::path::{HttpMethod, Operation};

use super::{account, changes, events, operations};
use crate::app::AppState;

/// A route: path, method and documentation come from the one `utoipa::path` attribute of its handler.
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
        Self { path: P::path(), method, operation: P::operation(), handler: on(filter, handler) }
    }

    /// Whether it belongs to the sync protocol, whose version is negotiated.
    pub(crate) fn speaks_protocol(&self) -> bool {
        self.path.starts_with(BASE_PATH)
    }
}

/// Every route of the server.
pub(crate) fn table() -> Vec<Route> {
    vec![
        Route::new::<events::__path_push, _, _>(events::push),
        Route::new::<changes::__path_changes, _, _>(changes::changes),
        Route::new::<account::__path_status, _, _>(account::status),
        Route::new::<account::__path_digest, _, _>(account::digest),
        Route::new::<account::__path_value, _, _>(account::value),
        Route::new::<account::__path_stats, _, _>(account::stats),
        Route::new::<account::__path_enable, _, _>(account::enable),
        Route::new::<account::__path_disable, _, _>(account::disable),
        Route::new::<account::__path_now, _, _>(account::now),
        Route::new::<operations::__path_healthz, _, _>(operations::healthz),
        Route::new::<operations::__path_readyz, _, _>(operations::readyz),
        Route::new::<operations::__path_metrics, _, _>(operations::metrics),
        Route::new::<operations::__path_document, _, _>(operations::document),
    ]
}
