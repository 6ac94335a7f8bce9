//! `GET /sync/changes`: the feed, as lines or as one document. Both are written as the service hands chunks out, and no
//! faster than the client reads. The first chunk is there before the answer begins: what cannot be read at all is refused
//! with a document. An error after it breaks the connection, so that nobody takes a part for the whole.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use unisono::limits::MAX_CHANGES_LIMIT;
use unisono::protocol::{ChangesRequest, CursorLine, FeedLine, NDJSON, Page, Problem, ProblemCode};
use unisono::transport::Chunk;

use super::query::Asked;
use crate::app::AppState;
use crate::auth::Caller;
use crate::problem::ApiError;
use crate::sync::{Feed, SyncService};
use crate::telemetry::{Metrics, origin};

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
    ),
)]
pub(super) async fn changes(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    Asked(request): Asked<ChangesRequest>,
) -> Result<Response, ApiError> {
    if let Some(device) = &request.device {
        origin::is_of_device(device.as_str());
    }
    if request.limit.is_some_and(|limit| limit == 0 || limit as usize > MAX_CHANGES_LIMIT) {
        return Err(ApiError::new(ProblemCode::InvalidQuery, "The query has not the documented form")
            .detail(format!("limit is 1 to {MAX_CHANGES_LIMIT}")));
    }
    let form = Form::of(&headers);
    let mut feed = state.service.changes(&caller.principal, request).await?;
    let first = feed.next().await?;
    let place = Place {
        feed,
        first,
        writer: Some(Writer::new(form)),
        metrics: Arc::clone(&state.metrics),
        caller,
        service: state.service,
    };
    let body = Body::from_stream(stream::try_unfold(place, next));
    Ok(([(CONTENT_TYPE, form.media())], body).into_response())
}

/// How far the body has come.
struct Place {
    feed: Feed,
    /// The chunk that was read before the answer began.
    first: Option<Chunk>,
    /// Gone once the trailer is written.
    writer: Option<Writer>,
    metrics: Arc<Metrics>,
    caller: Caller,
    service: SyncService,
}

impl Place {
    /// The next chunk, for a caller who may still read.
    async fn go_on(&mut self) -> Result<Option<Chunk>, Problem> {
        self.caller.recheck(&self.service).await?;
        self.feed.next().await
    }
}

/// The next part of the body.
async fn next(mut place: Place) -> Result<Option<(Bytes, Place)>, Broken> {
    let Some(mut writer) = place.writer.take() else {
        return Ok(None);
    };
    let metrics = Arc::clone(&place.metrics);
    let broken = |code: &str| {
        metrics.refused(code);
        broken(code)
    };
    let chunk = match place.first.take() {
        Some(first) => first,
        None => match place.go_on().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Err(broken("no_trailer")),
            Err(problem) => return Err(broken(&problem.code)),
        },
    };
    let goes_on = chunk.trailer.is_none();
    let bytes = writer.write(chunk).map_err(|_| broken("internal"))?;
    place.writer = goes_on.then_some(writer);
    Ok(Some((Bytes::from(bytes), place)))
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
#[derive(Debug)]
struct Writer {
    form: Form,
    /// What stands before the next change of a page.
    before: &'static [u8],
    begun: bool,
}

/// Why a feed was broken off. The client sees a cut; the log has the code.
#[derive(Debug, thiserror::Error)]
#[error("the feed was broken off: {0}")]
struct Broken(String);

impl Writer {
    fn new(form: Form) -> Self {
        Self { form, before: b"", begun: false }
    }

    fn write(&mut self, chunk: Chunk) -> Result<Vec<u8>, serde_json::Error> {
        match self.form {
            Form::Lines => Ok(lines(chunk)),
            Form::Page => self.part_of_page(chunk),
        }
    }

    /// `{"changes":[…` from the first chunk on, `…],…trailer}` with the last.
    fn part_of_page(&mut self, chunk: Chunk) -> Result<Vec<u8>, serde_json::Error> {
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            out.extend_from_slice(b"{\"changes\":[");
        }
        for change in &chunk.changes {
            out.extend_from_slice(std::mem::replace(&mut self.before, b","));
            serde_json::to_writer(&mut out, change)?;
        }
        if let Some(trailer) = chunk.trailer {
            out.extend_from_slice(b"],");
            let trailer = serde_json::to_vec(&trailer)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use unisono::model::Change;
    use unisono::protocol::{Cursor, Trailer};
    use unisono::transport::ndjson::{FeedDecoder, FeedLimits};

    fn change(revision: u64) -> Change {
        serde_json::from_value(json!({
            "kind": "put", "collection": "samples", "record": format!("r{revision}"), "revision": revision,
            "doc": {"bpm": 120.5}, "stamp": "019a3f2c11d0-0003-d1", "by": {"user": "alice", "device": "d1"}, "schema": 1,
        }))
        .unwrap()
    }

    fn trailer() -> Trailer {
        serde_json::from_value(json!({
            "cursor": "end", "revision": 9, "more": false, "epoch": "e", "included": 2, "backup_revision": 0, "server_now": 1,
            "server_id": "s", "total": 3,
        }))
        .unwrap()
    }

    /// Feeds whose chunks hold so many changes each.
    fn feeds() -> Vec<Vec<Chunk>> {
        let shapes: [&[u64]; 6] = [&[0], &[1], &[3], &[2, 0, 1], &[0, 0, 2], &[2, 0]];
        let feed = |shape: &[u64]| {
            let mut revision = 0;
            let chunk = |(index, changes): (usize, &u64)| {
                let changes: Vec<_> = (0..*changes).map(|at| change(revision + at + 1)).collect();
                revision += changes.len() as u64;
                let trailer = (index + 1 == shape.len()).then(trailer);
                let cursor = trailer.as_ref().map_or(Cursor(format!("c{index}")), |trailer| trailer.cursor.clone());
                Chunk { changes, cursor, included: 2, trailer }
            };
            shape.iter().enumerate().map(chunk).collect()
        };
        shapes.into_iter().map(feed).collect()
    }

    fn written(form: Form, feed: &[Chunk]) -> Vec<u8> {
        let mut writer = Writer::new(form);
        feed.iter().flat_map(|chunk| writer.write(chunk.clone()).unwrap()).collect()
    }

    #[test]
    fn lines_read_back_as_the_same_chunks() {
        for feed in feeds() {
            let mut decoder = FeedDecoder::new(FeedLimits::default());
            decoder.push(&written(Form::Lines, &feed));
            for chunk in feed {
                assert_eq!(decoder.next_chunk(), Ok(Some(chunk)));
            }
            assert_eq!(decoder.finish(), Ok(()));
        }
    }

    #[test]
    fn a_page_reads_back_as_the_same_changes_and_trailer() {
        for feed in feeds() {
            let page: Page = serde_json::from_slice(&written(Form::Page, &feed)).unwrap();
            let changes: Vec<_> = feed.into_iter().flat_map(|chunk| chunk.changes).collect();
            assert_eq!(page, Page { changes, trailer: trailer() });
        }
    }

    #[test]
    fn lines_are_the_default_and_json_has_to_be_asked_for() {
        for (accept, form) in [
            (&[][..], Form::Lines),
            (&["*/*"], Form::Lines),
            (&["application/x-ndjson"], Form::Lines),
            (&["application/x-ndjson, application/json;q=0.5"], Form::Lines),
            (&["application/json"], Form::Page),
            (&["text/html, Application/JSON;q=0.9"], Form::Page),
            (&["text/html", "application/json"], Form::Page),
        ] {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            assert_eq!(Form::of(&headers), form, "{accept:?}");
        }
    }
}
