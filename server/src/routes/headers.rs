//! Headers of conditional and repeatable requests.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use unisono::model::{EventId, Revision};
use unisono::protocol::ProblemCode;

use crate::problem::ApiError;

/// Names a request that may be sent again.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The ETag of a record's state.
pub(super) fn etag(revision: Revision) -> (HeaderName, HeaderValue) {
    let tag = HeaderValue::from_str(&format!("\"{revision}\"")).expect("digits and quotes make a header");
    (ETAG, tag)
}

/// `If-Match` (RFC 9110, section 13.1.1): the revisions of which one has to be the present one; `None` if it does not matter.
/// What is no ETag of a record, or a weak one, matches nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IfMatch(pub(super) Option<Vec<Revision>>);

impl IfMatch {
    fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(IF_MATCH).iter().peekable();
        if values.peek().is_none() {
            return Self(None);
        }
        let tags: Vec<_> =
            values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim).collect();
        if tags.contains(&"*") {
            return Self(None);
        }
        let revision = |tag: &str| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok();
        Self(Some(tags.into_iter().filter_map(revision).collect()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

/// `Idempotency-Key`: the name of the event that the request becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdempotencyKey(pub(super) Option<EventId>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let invalid = |why: String| {
            let title = "The Idempotency-Key header is no name of an event";
            ApiError::new(ProblemCode::InvalidIdempotencyKey, title).detail(why)
        };
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        if values.next().is_some() {
            return Err(invalid("there is more than one".to_owned()));
        }
        let text = value.to_str().map_err(|_| invalid("it has characters beyond ASCII".to_owned()))?;
        // Clients may send it as a string of RFC 8941.
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        EventId::new(text).map(|id| Self(Some(id))).map_err(|error| invalid(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_a_list_of_strong_tags_or_anything() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IF_MATCH, HeaderValue::from_str(value).unwrap());
            }
            IfMatch::of(&headers).0
        };
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["*"]), None);
        assert_eq!(read(&["\"7\""]), Some(vec![7]));
        assert_eq!(read(&["\"7\", \"9\"", "\"11\""]), Some(vec![7, 9, 11]));
        for nothing in ["", "7", "W/\"7\"", "\"x\"", "\"-1\"", "\""] {
            assert_eq!(read(&[nothing]), Some(vec![]), "{nothing}");
        }
    }

    #[test]
    fn an_etag_is_the_revision() {
        assert_eq!(etag(41).1, "\"41\"");
    }
}
