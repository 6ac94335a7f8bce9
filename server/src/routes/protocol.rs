//! Protocol versions: what a client says it speaks against what this build speaks.

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use unisono::protocol::{PROTOCOL, PROTOCOL_HEADER, ProblemCode};

use crate::problem::ApiError;

/// Refuses clients with which there is no common version; who says nothing speaks the oldest.
pub(crate) async fn negotiate(request: Request, next: Next) -> Response {
    let asked = match request.headers().get(PROTOCOL_HEADER) {
        None => (PROTOCOL.0, PROTOCOL.0),
        Some(value) => match versions(value) {
            Some(versions) => versions,
            None => {
                return ApiError::new(
                    ProblemCode::InvalidProtocolHeader,
                    "The Unisono-Protocol header has not the form <min>-<max>",
                )
                .into_response();
            }
        },
    };
    let newest_common = asked.1.min(PROTOCOL.1);
    if newest_common < asked.0.max(PROTOCOL.0) {
        return ApiError::new(ProblemCode::UnsupportedProtocol, "There is no common protocol version")
            .detail(format!("this server speaks {} to {}; update the older side", PROTOCOL.0, PROTOCOL.1))
            .into_response();
    }
    let mut response = next.run(request).await;
    response.headers_mut().insert(PROTOCOL_HEADER, HeaderValue::from(newest_common));
    response
}

fn versions(value: &HeaderValue) -> Option<(u32, u32)> {
    let (min, max) = value.to_str().ok()?.split_once('-')?;
    let (min, max) = (min.trim().parse().ok()?, max.trim().parse().ok()?);
    (min <= max).then_some((min, max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_a_range() {
        let read = |text: &str| versions(&HeaderValue::from_str(text).unwrap());
        assert_eq!(read("1-1"), Some((1, 1)));
        assert_eq!(read("1 - 12"), Some((1, 12)));
        for text in ["", "1", "2-1", "a-b", "-1", "1-", "1-2-3", "99999999999-1", "1-99999999999"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
