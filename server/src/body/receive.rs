//! Bytes off the wire.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use futures_util::StreamExt;
use unisono::Environment;
use unisono::environment::timeout;

use super::{text, too_large};
use unisono::protocol::ProblemCode;

use crate::limits::BodyLimits;
use crate::problem::ApiError;

/// How many times the limit is read and thrown away after a body has proved too large: a client that is still sending
/// when the connection closes may never see the answer.
const DISCARD: usize = 4;

/// What the slowest useful link moves, in bytes a second.
const SLOWEST: usize = 16 << 10;

/// Receives a body of at most `encoded_bytes` within `time`, to which its announced length adds what a slow link needs.
pub(super) async fn receive(
    headers: &HeaderMap,
    body: Body,
    limits: &BodyLimits,
    environment: &dyn Environment,
) -> Result<Vec<u8>, ApiError> {
    let announced = text(headers, CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    let announced = announced.unwrap_or(0);
    let time = limits.time + Duration::from_secs((announced.min(limits.encoded_bytes) / SLOWEST) as u64);
    match timeout(environment, time, collect(body, announced, limits.encoded_bytes)).await {
        Some(received) => received,
        None => Err(ApiError::new(ProblemCode::RequestTimeout, "The body did not arrive in time")
            .detail(format!("more than {time:?}"))),
    }
}

async fn collect(body: Body, announced: usize, limit: usize) -> Result<Vec<u8>, ApiError> {
    let ceiling = limit.saturating_mul(DISCARD);
    if announced > ceiling {
        return Err(too_large(limit));
    }
    let mut received = Vec::with_capacity(announced.min(limit));
    let mut total = 0usize;
    let mut parts = body.into_data_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| ApiError::new(ProblemCode::BodyIncomplete, "The body broke off before its end"))?;
        total = total.saturating_add(part.len());
        if total <= limit {
            received.extend_from_slice(&part);
        } else if total > ceiling {
            break;
        } else {
            received = Vec::new();
        }
    }
    if total > limit { Err(too_large(limit)) } else { Ok(received) }
}
