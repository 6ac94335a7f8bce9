//! Holds requests to their rates, and tells callers how they stand (IETF draft `ratelimit-headers`).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use unisono::protocol::{Problem, ProblemCode};

use super::address;
use super::limiter::{Key, Limiter, Standing};
use crate::app::AppState;
use crate::problem::ApiError;
use crate::telemetry::is_probe;

/// How a caller stands.
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// What a caller may do.
pub(crate) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How the caller of a request stands by the policy that was looked at last: the account's, once it is known.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Option<Standing>>>);

impl Told {
    fn set(&self, standing: Standing) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(standing);
    }

    fn write(&self, headers: &mut HeaderMap) {
        let standing = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(standing) = standing else { return };
        let Standing { policy, quota, remaining, .. } = standing;
        let window = Standing::WINDOW.as_secs();
        let values = [
            (RATE_LIMIT_POLICY, format!("\"{policy}\";q={quota};w={window}")),
            (RATE_LIMIT, format!("\"{policy}\";r={remaining};t={}", standing.reset())),
        ];
        for (name, value) in values {
            // Names and numbers are always a header's value.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
}

/// Counts a request for `key`, and refuses it beyond the rate.
pub(crate) fn take(limiter: &Limiter, key: Key, extensions: &Extensions) -> Result<(), ApiError> {
    let Some(standing) = limiter.take(key) else { return Ok(()) };
    if let Some(told) = extensions.get::<Told>() {
        told.set(standing);
    }
    match standing.wait {
        None => Ok(()),
        Some(wait) => Err(ApiError::from(Problem {
            retry_after: Some(wait.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX)),
            ..Problem::of(ProblemCode::RateLimited, "Too many requests for now")
        })),
    }
}

/// The layer around every route: counts the request of an address, and adds to the answer how its caller stands. Probes are not
/// counted: an operator's machines must not be turned away because somebody else is.
pub(crate) async fn limit(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let told = Told::default();
    request.extensions_mut().insert(told.clone());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let counted = peer.filter(|_| !is_probe(request.uri().path()));
    let admitted = counted.map_or(Ok(()), |peer| {
        let network = address::caller(peer, request.headers(), &state.rates.options().proxies);
        take(&state.rates, Key::Network(network), request.extensions())
    });
    let mut response = match admitted {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    told.write(response.headers_mut());
    response
}
