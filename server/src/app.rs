//! The router: one table of routes within layers that hold for all of them.

use std::sync::Arc;

use axum::Router;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_MATCH, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use unisono::environment::SharedEnvironment;
use unisono::protocol::PROTOCOL_HEADER;

use unisono::protocol::ProblemCode;

use crate::auth::Authenticator;
use crate::head;
use crate::limits::BodyLimits;
use crate::problem::ApiError;
use crate::rate::{self, Limiter, RateOptions};
use crate::routes;
use crate::sync::SyncService;
use crate::telemetry::{Metrics, REQUEST_ID, observe};

/// How long a browser may remember what CORS allows.
const PREFLIGHT_AGE: std::time::Duration = std::time::Duration::from_secs(3_600);

/// What an app is made of besides its sync service.
#[derive(Clone, Debug)]
pub struct AppOptions {
    /// Who checks credentials.
    pub authenticator: Arc<dyn Authenticator>,
    /// Clock, timer and randomness.
    pub environment: SharedEnvironment,
    /// Bounds of request bodies.
    pub body: BodyLimits,
    /// Origins of browsers that may call, exactly as browsers send them (`https://app.example.com`). None by default.
    pub origins: Vec<HeaderValue>,
    /// How many requests callers may make; without limits by default.
    pub rates: RateOptions,
}

impl AppOptions {
    /// The usual bounds, and no browsers.
    #[must_use]
    pub fn new(authenticator: Arc<dyn Authenticator>, environment: SharedEnvironment) -> Self {
        Self {
            authenticator,
            environment,
            body: BodyLimits::default(),
            origins: Vec::new(),
            rates: RateOptions::default(),
        }
    }
}

/// What handlers share.
#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) service: SyncService,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) environment: SharedEnvironment,
    pub(crate) body: Arc<BodyLimits>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) rates: Arc<Limiter>,
}

impl AppState {
    pub(crate) fn new(service: SyncService, options: AppOptions) -> Self {
        let AppOptions { authenticator, environment, body, origins: _, rates } = options;
        let rates = Arc::new(Limiter::new(rates, Arc::clone(&environment)));
        let metrics = Arc::new(Metrics::new(environment.now_ms()));
        Self { service, authenticator, environment, body: Arc::new(body), metrics, rates }
    }
}

/// The server as a service: all routes, with everything around them but the network.
pub fn app(service: SyncService, options: AppOptions) -> Router {
    let origins = options.origins.clone();
    let state = AppState::new(service, options);
    let mut router = Router::new();
    for route in routes::table() {
        let handler =
            if route.speaks_protocol() { route.handler.layer(from_fn(routes::negotiate)) } else { route.handler };
        router = router.route(&route.path, handler);
    }
    enclose(router, state, origins)
}

/// The layers that hold for every route. From the inside out: CORS answers preflights for every path, the observer turns
/// all that failed within into documents, compression sees the bodies as they leave.
pub(crate) fn enclose(router: Router<AppState>, state: AppState, origins: Vec<HeaderValue>) -> Router {
    router
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(from_fn_with_state(state.clone(), rate::limit))
        .layer(from_fn(head::bounded))
        .layer(cors(origins))
        .layer(from_fn_with_state(state.clone(), observe))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .with_state(state)
}

async fn unknown_route() -> ApiError {
    ApiError::new(ProblemCode::NotFound, "There is no such route").detail("see /openapi.json")
}

async fn unknown_method() -> ApiError {
    ApiError::new(ProblemCode::MethodNotAllowed, "This route does not have this method")
        .detail("the Allow header names those that it has")
}

/// An exact list, without credentials: tokens travel in a header that a page has to set itself.
fn cors(origins: Vec<HeaderValue>) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            ACCEPT,
            AUTHORIZATION,
            CONTENT_ENCODING,
            CONTENT_TYPE,
            IF_MATCH,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static(PROTOCOL_HEADER),
            REQUEST_ID,
        ])
        .expose_headers([
            ETAG,
            RETRY_AFTER,
            REQUEST_ID,
            HeaderName::from_static(PROTOCOL_HEADER),
            rate::RATE_LIMIT,
            rate::RATE_LIMIT_POLICY,
        ])
        .max_age(PREFLIGHT_AGE)
}
