//! The router: one table of routes within layers that hold for all of them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_MATCH, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use unisono::environment::SharedEnvironment;
use unisono::protocol::PROTOCOL_HEADER;

use unisono::protocol::ProblemCode;

use crate::auth::{Authenticator, Needs, authorize};
use crate::head;
use crate::limits::BodyLimits;
use crate::net::Crowded;
use crate::problem::ApiError;
use crate::rate::{self, Limiter, RateOptions};
use crate::routes::{self, Route};
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
    /// Whether `/readyz` and `/metrics` are left out of the public routes, because [`apps`] serves them apart.
    pub private_operations: bool,
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
            private_operations: false,
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
        let AppOptions { authenticator, environment, body, rates, .. } = options;
        let rates = Arc::new(Limiter::new(rates, Arc::clone(&environment)));
        let metrics = Arc::new(Metrics::new(environment.now_ms()));
        Self { service, authenticator, environment, body: Arc::new(body), metrics, rates }
    }
}

/// The server as two services, over one state.
#[derive(Clone, Debug)]
pub struct Apps {
    /// For devices.
    pub public: Router,
    /// For operators: `/healthz`, `/readyz` and `/metrics`, to be served where only their machines reach it.
    pub admin: Router,
}

/// The server as a service: all routes, with everything around them but the network.
pub fn app(service: SyncService, options: AppOptions) -> Router {
    apps(service, options).public
}

/// The server as two services, with everything around them but the network.
pub fn apps(service: SyncService, options: AppOptions) -> Apps {
    let (origins, private) = (options.origins.clone(), options.private_operations);
    let state = AppState::new(service, options);
    let router = |wanted: &dyn Fn(&Route) -> bool| {
        routes::table().into_iter().filter(|route| wanted(route)).fold(Router::new(), |router, route| {
            let speaks_protocol = route.speaks_protocol();
            let mut handler = route.handler;
            if route.needs != Needs::Nothing {
                handler = handler.route_layer(from_fn_with_state((state.clone(), route.needs), authorize));
            }
            if speaks_protocol {
                handler = handler.layer(from_fn(routes::negotiate));
            }
            router.route(&route.path, handler)
        })
    };
    let public = router(&|route| !(private && route.tells_of_state()));
    let admin = router(&|route| route.tells_of_state() || route.tells_of_life());
    Apps { public: enclose(public, state.clone(), origins), admin: enclose(admin, state, Vec::new()) }
}

/// The layers that hold for every route. From the inside out: CORS answers preflights for every path, the observer turns
/// all that failed within into documents, compression sees the bodies as they leave.
pub(crate) fn enclose(router: Router<AppState>, state: AppState, origins: Vec<HeaderValue>) -> Router {
    router
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(from_fn_with_state(state.clone(), rate::limit))
        .layer(from_fn(turn_away))
        .layer(from_fn(head::bounded))
        .layer(cors(origins))
        .layer(from_fn_with_state(state.clone(), observe))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .with_state(state)
}

/// Over the reserve of connections only the server's life is told: whoever watches it must not take a full server for a dead one.
async fn turn_away(request: Request, next: Next) -> Response {
    let crowded = request.extensions().get::<Crowded>().is_some();
    if !crowded || request.extensions().get::<MatchedPath>().is_some_and(|path| routes::tells_of_life(path.as_str())) {
        return next.run(request).await;
    }
    ApiError::overloaded("too many connections").into_response()
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
