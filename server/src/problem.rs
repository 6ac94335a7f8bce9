//! Errors on their way to the client.

use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use unisono::protocol::{PROBLEM_JSON, Problem, ProblemCode};

/// A refused request. It travels as a marked response without a body; [`render`] writes the document, once the request's
/// id is known.
#[derive(Debug)]
pub(crate) struct ApiError(Box<Problem>);

impl ApiError {
    pub(crate) fn new(code: ProblemCode, title: &str) -> Self {
        Self(Box::new(Problem::of(code, title)))
    }

    /// The server has as much to do as it takes on; nothing of the request was done.
    pub(crate) fn overloaded(why: &str) -> Self {
        Self::from(overloaded()).detail(why)
    }

    pub(crate) fn detail(self, detail: impl Into<String>) -> Self {
        Self(Box::new(self.0.detail(detail)))
    }
}

/// Seconds after which an overloaded server may be asked again.
const OVERLOAD_PAUSE: u64 = 2;

/// `503 unavailable`: the same again, a little later.
pub(crate) fn overloaded() -> Problem {
    let problem = Problem::of(ProblemCode::Unavailable, "The server has too much to do");
    Problem { retry_after: Some(OVERLOAD_PAUSE), ..problem }
}

impl<P: Into<Problem>> From<P> for ApiError {
    fn from(problem: P) -> Self {
        Self(Box::new(problem.into()))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::from_u16(self.0.status)
            .ok()
            .filter(|status| status.is_client_error() || status.is_server_error())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(Marked(self.0));
        response
    }
}

#[derive(Clone)]
struct Marked(Box<Problem>);

/// The code of an error response, as far as the server itself has made it.
pub(crate) fn code(response: &Response) -> Option<&str> {
    response.extensions().get::<Marked>().map(|Marked(problem)| problem.code.as_str())
}

/// Writes the document of an error response; other responses pass. Whatever its source, no error leaves without one.
pub(crate) fn render(mut response: Response, request_id: &str) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let mut problem = match response.extensions_mut().remove::<Marked>() {
        Some(Marked(problem)) => problem,
        None => {
            let title = status.canonical_reason().unwrap_or("Error");
            Box::new(Problem::new(status.as_u16(), format!("http_{}", status.as_u16()), title))
        }
    };
    problem.status = status.as_u16();
    problem.request_id = Some(request_id.to_owned());
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    match status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        StatusCode::UPGRADE_REQUIRED => {
            headers.insert(UPGRADE, HeaderValue::from_static("unisono/1"));
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd"));
        }
        _ => {}
    }
    if let Some(seconds) = problem.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    *response.body_mut() = Body::from(serde_json::to_vec(&problem).expect("a problem serializes"));
    response
}
