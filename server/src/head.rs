//! Bounds of a request's head. The HTTP library has wider ones of its own, beyond which it answers without a document: what is
//! only somewhat too large is told in the form of all errors here.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use unisono::protocol::ProblemCode;

use crate::problem::ApiError;

/// Longest path and query, in bytes.
const MAX_URI_BYTES: usize = 16 << 10;
/// Longest header fields in all, in bytes: names and values.
const MAX_HEADER_BYTES: usize = 32 << 10;

/// Refuses a request whose head is too large.
pub(crate) async fn bounded(request: Request, next: Next) -> Response {
    if request.uri().path_and_query().is_some_and(|uri| uri.as_str().len() > MAX_URI_BYTES) {
        return ApiError::new(ProblemCode::UriTooLong, "The path and query are too long").into_response();
    }
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    if fields.sum::<usize>() > MAX_HEADER_BYTES {
        return ApiError::new(ProblemCode::HeadersTooLarge, "The header fields are too large").into_response();
    }
    next.run(request).await
}
