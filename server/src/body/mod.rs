//! JSON bodies of requests: received within bounds of size and time, unpacked within bounds, checked for depth, then
//! parsed. Each step refuses before the next one spends anything.

mod depth;
mod receive;
mod unpack;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName};
use serde::de::DeserializeOwned;
use unisono::Environment;

use unisono::protocol::ProblemCode;

use crate::limits::BodyLimits;
use crate::problem::ApiError;
use unpack::Encoding;

/// Reads a JSON body.
pub(crate) async fn read_json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    limits: &BodyLimits,
    environment: &dyn Environment,
) -> Result<T, ApiError> {
    let media = text(headers, CONTENT_TYPE).unwrap_or_default();
    if !media.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(ApiError::new(ProblemCode::UnsupportedMediaType, "The body is not application/json"));
    }
    let encoding = Encoding::of(headers)?;
    let received = receive::receive(headers, body, limits, environment).await?;
    let bytes = unpack::unpack(encoding, &received, limits)?;
    if !depth::is_within(&bytes, limits.depth) {
        return Err(ApiError::new(ProblemCode::NestingTooDeep, "The body is nested too deeply")
            .detail(format!("more than {} levels", limits.depth)));
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        // Only the place: serde's words may quote the body.
        let (code, title) = match error.classify() {
            serde_json::error::Category::Data => (ProblemCode::InvalidRequest, "The body has not the documented form"),
            _ => (ProblemCode::InvalidJson, "The body is not JSON"),
        };
        ApiError::new(code, title).detail(format!("at line {}, column {}", error.line(), error.column()))
    })
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(ProblemCode::PayloadTooLarge, "The body is too large")
        .detail(format!("more than {limit} bytes; send fewer events at once"))
}

#[cfg(test)]
mod tests;
