//! Errors on their way to the client.

use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use unisono::protocol::{PROBLEM_JSON, Problem, ProblemCode};
use unisono::settings::FieldError;

/// A refused request. It travels as a marked response without a body; [`render`] writes the document, once the request's
/// id is known.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ApiError {
    #[serde(flatten)]
    problem: Box<Problem>,
    /// Which fields of the body do not fit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

impl ApiError {
    pub(crate) fn new(code: ProblemCode, title: &str) -> Self {
        Self::from(Problem::of(code, title))
    }

    /// `422 settings_invalid`: the values at these places of the body do not fit.
    pub(crate) fn fields(errors: Vec<FieldError>) -> Self {
        let lines: Vec<_> =
            errors.iter().map(|error| format!("{}: allowed is {}", error.path, error.allowed)).collect();
        let problem = Problem::of(ProblemCode::SettingsInvalid, "The body has values that do not fit");
        Self { errors, ..Self::from(problem.detail(lines.join("; "))) }
    }

    /// The server has as much to do as it takes on; nothing of the request was done.
    pub(crate) fn overloaded(why: &str) -> Self {
        Self::from(overloaded()).detail(why)
    }

    /// What it says wherever there is no room for fields: its detail names them.
    pub(crate) fn into_problem(self) -> Problem {
        *self.problem
    }

    pub(crate) fn detail(self, detail: impl Into<String>) -> Self {
        Self { problem: Box::new(self.problem.detail(detail)), ..self }
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
        Self { problem: Box::new(problem.into()), errors: Vec::new() }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::from_u16(self.problem.status)
            .ok()
            .filter(|status| status.is_client_error() || status.is_server_error())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(self);
        response
    }
}

/// The code of an error response, as far as the server itself has made it.
pub(crate) fn code(response: &Response) -> Option<&str> {
    response.extensions().get::<ApiError>().map(|error| error.problem.code.as_str())
}

/// Writes the document of an error response; other responses pass. Whatever its source, no error leaves without one.
pub(crate) fn render(mut response: Response, request_id: &str) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let mut error = response.extensions_mut().remove::<ApiError>().unwrap_or_else(|| {
        let title = status.canonical_reason().unwrap_or("Error");
        ApiError::from(Problem::new(status.as_u16(), format!("http_{}", status.as_u16()), title))
    });
    let problem = &mut error.problem;
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
    *response.body_mut() = Body::from(serde_json::to_vec(&error).expect("a problem serializes"));
    response
}
