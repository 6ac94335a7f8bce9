//! `GET /sync/changes`: the feed, as lines or as one document. Both are written as the service hands chunks out, and no
//! faster than the client reads; an error after the first byte breaks the connection, so that nobody takes a part for
//! the whole.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use unisono::limits::MAX_CHANGES_LIMIT;
use unisono::protocol::{ChangesRequest, CursorLine, FeedLine, NDJSON, Page, Problem};
use unisono::transport::Chunk;

use super::query::Asked;
use crate::app::AppState;
use crate::auth::Authenticated;
use crate::problem::ApiError;
use crate::sync::Feed;

/// Read the change feed.
///
/// By default a stream of lines: changes, a cursor line at least every 500 of them, and a trailer at the end; without a
/// trailer the feed was cut. With `Accept: application/json` one document.
#[utoipa::path(
    get,
    path = "/api/v1/sync/changes",
    tag = "sync",
    security(("bearer" = [])),
    params(ChangesRequest),
    responses(
        (status = 200, description = "The changes after the cursor.", content(
            (Page = "application/json"),
            (String = "application/x-ndjson"),
        )),
        (status = "default", description = "Refused.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn changes(
    State(state): State<AppState>,
    Authenticated(principal): Authenticated,
    headers: HeaderMap,
    Asked(request): Asked<ChangesRequest>,
) -> Result<Response, ApiError> {
    if request.limit.is_some_and(|limit| limit == 0 || limit as usize > MAX_CHANGES_LIMIT) {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_query", "The query has not the documented form")
            .detail(format!("limit is 1 to {MAX_CHANGES_LIMIT}")));
    }
    let form = Form::of(&headers);
    let feed = state.service.changes(&principal, request).await?;
    let body = Body::from_stream(stream::try_unfold(Writer { feed, form, begun: false, ended: false }, Writer::next));
    Ok(([(CONTENT_TYPE, form.media())], body).into_response())
}

/// How the feed is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Lines,
    Page,
}

impl Form {
    /// Lines, unless the client takes JSON and does not name lines.
    fn of(headers: &HeaderMap) -> Self {
        let accepts = |media: &str| {
            headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|value| {
                value
                    .split(',')
                    .any(|range| range.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media))
            })
        };
        if accepts("application/json") && !accepts(NDJSON) { Self::Page } else { Self::Lines }
    }

    fn media(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Lines => NDJSON,
            Self::Page => "application/json",
        })
    }
}

/// Turns a feed into bytes, a chunk at a time.
struct Writer {
    feed: Feed,
    form: Form,
    begun: bool,
    ended: bool,
}

/// Why a feed was broken off. The client sees a cut; the log has the code.
#[derive(Debug, thiserror::Error)]
#[error("the feed was broken off: {0}")]
struct Broken(String);

impl Writer {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Broken> {
        if self.ended {
            return Ok(None);
        }
        let chunk = match self.feed.next().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Err(broken("no_trailer")),
            Err(problem) => return Err(broken(&problem.code)),
        };
        self.ended = chunk.trailer.is_some();
        let bytes = match self.form {
            Form::Lines => lines(chunk),
            Form::Page => self.part_of_page(chunk)?,
        };
        self.begun = true;
        Ok(Some((Bytes::from(bytes), self)))
    }

    /// `{"changes":[…` from the first chunk on, `…],…trailer}` with the last.
    fn part_of_page(&self, chunk: Chunk) -> Result<Vec<u8>, Broken> {
        let failed = |error: serde_json::Error| broken(&error.to_string());
        let mut out = Vec::new();
        let mut separator: &[u8] = if self.begun { b"," } else { b"{\"changes\":[" };
        if chunk.changes.is_empty() && !self.begun {
            out.extend_from_slice(separator);
        }
        for change in &chunk.changes {
            out.extend_from_slice(separator);
            serde_json::to_writer(&mut out, change).map_err(failed)?;
            separator = b",";
        }
        if let Some(trailer) = chunk.trailer {
            out.extend_from_slice(b"],");
            let trailer = serde_json::to_vec(&trailer).map_err(failed)?;
            // An object's text without its opening brace continues the page.
            out.extend_from_slice(trailer.strip_prefix(b"{").unwrap_or(&trailer));
        }
        Ok(out)
    }
}

fn lines(chunk: Chunk) -> Vec<u8> {
    let Chunk { changes, cursor, included, trailer } = chunk;
    let mut out = Vec::new();
    changes.into_iter().for_each(|change| FeedLine::Change(change).write(&mut out));
    match trailer {
        None => FeedLine::Cursor(CursorLine { cursor, included }).write(&mut out),
        Some(trailer) => FeedLine::Trailer(trailer).write(&mut out),
    }
    out
}

fn broken(code: &str) -> Broken {
    tracing::warn!(code, "a change feed was broken off");
    Broken(code.to_owned())
}
