//! The layer around every request: its id, its span, its counts, and the form of its errors.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tracing::Instrument;
use tracing::field::Empty;
use unisono::Environment;
use unisono::model::value::hex;

use unisono::protocol::ProblemCode;

use crate::app::AppState;
use crate::problem::{ApiError, code, render};

use super::origin::Origin;

/// Where a request's id comes and goes.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over, in bytes.
const MAX_REQUEST_ID: usize = 128;
/// Routes that machines ask every few seconds.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Whether machines ask for this path every few seconds.
pub(crate) fn is_probe(path: &str) -> bool {
    PROBES.contains(&path)
}

/// Wraps a request in everything that the operator sees of it.
pub(crate) async fn observe(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let id = request_id(request.headers(), &*state.environment);
    let method = request.method().clone();
    // The template: a path or query as sent may name records and scopes.
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_string());
    let span = tracing::info_span!("request", %id, %method, %route, peer = Empty, account = Empty, device = Empty);
    span.record("peer", &peer);
    let origin = Origin::new(peer);
    let whose = Arc::clone(&origin);
    let answer = async {
        let running = state.metrics.begin();
        let started = state.environment.monotonic();
        // A defect in one handler must not take a connection with other requests down, nor go unanswered.
        let response = AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!("a handler panicked");
            ApiError::new(ProblemCode::Internal, "The server failed").into_response()
        });
        let took = state.environment.monotonic().saturating_sub(started);
        drop(running);
        state.metrics.answered(&route, &method, response.status(), took);
        let code = code(&response);
        if let Some(code) = code {
            state.metrics.refused(code);
            if response.status().is_client_error() {
                state.service.note_refusal(&whose, &route, response.status().as_u16(), code);
            }
        }
        log(response.status(), code, took, is_probe(&route));
        finish(render(response, &id), &id)
    };
    origin.answer(answer).instrument(span).await
}

/// One line for each answer. Probes come every few seconds, and say something only when they fail.
fn log(status: StatusCode, code: Option<&str>, took: Duration, probe: bool) {
    let (status, took_ms) = (status.as_u16(), took.as_secs_f64() * 1000.0);
    match status {
        500.. => tracing::warn!(status, code, took_ms, "answered"),
        _ if probe => tracing::debug!(status, code, took_ms, "answered"),
        _ => tracing::info!(status, code, took_ms, "answered"),
    }
}

fn finish(mut response: Response, id: &str) -> Response {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The caller's id if it can stand in a log, else a new one.
fn request_id(headers: &HeaderMap, environment: &dyn Environment) -> String {
    let plain = |id: &&str| {
        (1..=MAX_REQUEST_ID).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
    };
    match headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(plain) {
        Some(id) => id.to_owned(),
        None => {
            let mut random = [0; 16];
            environment.random(&mut random);
            hex(&random)
        }
    }
}
