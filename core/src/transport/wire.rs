//! What every HTTP-like transport needs and that knows of no HTTP library: headers, paths, queries, error answers.

use std::fmt::Write;

use super::TransportError;
use crate::model::{Revision, value};
use crate::protocol::{ChangesRequest, PROTOCOL, Problem, ProblemCode, PushRequest, PushResponse, ValueRequest};
use crate::reading;

/// Where events are pushed, below the base path.
pub const EVENTS_PATH: &str = "/sync/events";
/// Where the feed is read, below the base path.
pub const CHANGES_PATH: &str = "/sync/changes";
/// Where the values are read to which conflict notes refer, below the base path.
pub const VALUES_PATH: &str = "/sync/values";
/// Largest error answer that is looked at, in bytes.
pub const MAX_ERROR_BYTES: usize = 64 << 10;
/// Longest wait that a server can ask for, in seconds (a day); more is taken for this.
const MAX_RETRY_AFTER: u64 = 86_400;
/// Longest `detail` and `title` that are kept, in characters.
const MAX_DETAIL_CHARS: usize = 1_000;

/// The value of the protocol header: the versions that this build speaks.
#[must_use]
pub fn protocol_versions() -> String {
    format!("{}-{}", PROTOCOL.0, PROTOCOL.1)
}

/// Path and query of a feed request, below the base path.
#[must_use]
pub fn changes_path(request: &ChangesRequest) -> String {
    let ChangesRequest { scope, epoch, cursor, seen, limit, device, bucket, collection, references } = request;
    let mut path = format!("{CHANGES_PATH}?scope=");
    percent_encode(&scope.to_string(), &mut path);
    let optional = [
        ("epoch", epoch.clone()),
        ("cursor", cursor.as_ref().map(|cursor| cursor.0.clone())),
        ("seen", seen.as_ref().map(|cursor| cursor.0.clone())),
        ("limit", limit.map(|limit| limit.to_string())),
        ("device", device.as_ref().map(ToString::to_string)),
        ("bucket", bucket.map(|bucket| bucket.to_string())),
        ("collection", collection.as_ref().map(ToString::to_string)),
        ("references", references.then(|| references.to_string())),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            path.push('&');
            path.push_str(name);
            path.push('=');
            percent_encode(&value, &mut path);
        }
    }
    path
}

/// Path and query of a request for a lost value, below the base path.
#[must_use]
pub fn value_path(request: &ValueRequest) -> String {
    let ValueRequest { scope, note, sha256 } = request;
    let mut path = format!("{VALUES_PATH}?scope=");
    percent_encode(&scope.to_string(), &mut path);
    path.push_str("&note=");
    percent_encode(note.as_str(), &mut path);
    path.push_str("&sha256=");
    percent_encode(sha256, &mut path);
    path
}

/// Appends `text`, everything but unreserved characters (RFC 3986) escaped.
pub fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
}

/// The body of a push.
///
/// # Errors
/// `invalid_request` if the push cannot be written down; nothing is sent then.
pub fn push_body(request: &PushRequest) -> Result<Vec<u8>, TransportError> {
    serde_json::to_vec(request).map_err(|error| {
        TransportError::problem(
            Problem::of(ProblemCode::InvalidRequest, "The request was not sent").detail(error.to_string()),
        )
    })
}

/// Reads the answer to a push.
///
/// # Errors
/// `malformed_answer`.
pub fn push_response(body: &[u8]) -> Result<PushResponse, TransportError> {
    let mut response: PushResponse = serde_json::from_slice(body)
        .map_err(|error| TransportError::Malformed(format!("the answer to a push: {error}")))?;
    let records = response.receipts.iter_mut().filter_map(|receipt| receipt.record.as_mut());
    records.filter_map(|record| record.doc.as_mut()).for_each(value::normalize);
    Ok(response)
}

/// The members of a problem document, each of which a foreign server may leave out.
struct Answer {
    kind: Option<String>,
    title: Option<String>,
    detail: Option<String>,
    code: Option<String>,
    request_id: Option<String>,
    retry_after: Option<u64>,
    epoch: Option<String>,
    shared_revision: Option<Revision>,
}

reading::fields!(Answer {
    kind as "type" = None, title = None, detail = None, code = None, request_id = None, retry_after = None, epoch = None,
    shared_revision = None,
});

/// The problem that an error answer tells: its document if it is one, else `http_<status>`. The status is that of the
/// answer, whatever the document says; `retry_after` (seconds, from the header) wins over the document.
#[must_use]
pub fn problem_of(status: u16, body: &[u8], retry_after: Option<u64>) -> Problem {
    let bare = || Problem::new(status, format!("http_{status}"), format!("HTTP status {status}"));
    let document = serde_json::from_slice::<Answer>(body).ok().filter(|answer| answer.code.is_some());
    let mut problem = match document {
        None => bare(),
        Some(answer) => Problem {
            kind: answer.kind.map_or_else(|| "about:blank".to_owned(), |kind| printable(&kind)),
            title: answer.title.map(|title| printable(&title)).unwrap_or_default(),
            status,
            detail: answer.detail.map(|detail| printable(&detail)),
            code: answer.code.filter(|code| is_code(code)).unwrap_or_else(|| bare().code),
            request_id: answer.request_id.map(|id| printable(&id)),
            retry_after: answer.retry_after,
            epoch: answer.epoch,
            shared_revision: answer.shared_revision,
        },
    };
    problem.retry_after = retry_after.or(problem.retry_after).map(|seconds| seconds.min(MAX_RETRY_AFTER));
    problem
}

/// Codes end up in logs and in apps' `match`es: a short word, nothing else.
fn is_code(code: &str) -> bool {
    (1..=64).contains(&code.len()) && code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// A server's words, safe to print: no control characters, not without end.
fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MAX_DETAIL_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Scope;
    use crate::protocol::Cursor;

    #[test]
    fn the_query_of_a_feed_request_escapes_what_ids_may_hold() {
        let bare = ChangesRequest { references: false, ..ChangesRequest::from_start(Scope::User) };
        assert_eq!(changes_path(&bare), "/sync/changes?scope=user");
        let value = ValueRequest { scope: Scope::User, note: "a&b".parse().unwrap(), sha256: "0f".into() };
        assert_eq!(value_path(&value), "/sync/values?scope=user&note=a%26b&sha256=0f");
        let full = ChangesRequest {
            scope: Scope::workspace("a&b=c d/é").unwrap(),
            epoch: Some("e=1".into()),
            cursor: Some(Cursor("x+y".into())),
            seen: Some(Cursor("%".into())),
            limit: Some(10),
            device: Some("d#1?".parse().unwrap()),
            bucket: Some(255),
            collection: Some("$settings".parse().unwrap()),
            references: true,
        };
        assert_eq!(
            changes_path(&full),
            "/sync/changes?scope=workspace%3Aa%26b%3Dc%20d%2F%C3%A9&epoch=e%3D1&cursor=x%2By&seen=%25&limit=10&device=d%231%3F&bucket=255&collection=%24settings&references=true"
        );
    }

    #[test]
    fn a_problem_document_is_taken_over_with_the_answers_status() {
        let body = br#"{"type":"about:blank","title":"Conflict","status":200,"code":"epoch_changed","epoch":"e2",
            "shared_revision":41,"request_id":"r1","future":[1]}"#;
        let problem = problem_of(409, body, None);
        assert_eq!((problem.status, problem.code.as_str()), (409, "epoch_changed"));
        assert_eq!((problem.epoch.as_deref(), problem.shared_revision), (Some("e2"), Some(41)));
        assert_eq!(problem.request_id.as_deref(), Some("r1"));
    }

    #[test]
    fn an_answer_that_is_no_problem_document_gets_the_code_of_its_status() {
        for body in ["", "<html>", "{}", "[1]", "null", r#"{"code":7}"#, r#"{"title":"x","status":502}"#, "{\"code\":"]
        {
            assert_eq!(problem_of(502, body.as_bytes(), None).code, "http_502", "{body}");
        }
        for code in ["Not A Code", "", "x\\ny"] {
            assert_eq!(problem_of(502, format!(r#"{{"code":"{code}"}}"#).as_bytes(), None).code, "http_502");
        }
    }

    #[test]
    fn i15_a_servers_words_cannot_forge_log_lines_or_fill_them() {
        let body = format!(r#"{{"code":"busy","detail":"a\u001b[31m\nb{}"}}"#, "x".repeat(5_000));
        let detail = problem_of(503, body.as_bytes(), None).detail.unwrap();
        assert!(detail.starts_with("a[31mb"));
        assert_eq!(detail.chars().count(), MAX_DETAIL_CHARS);
    }

    #[test]
    fn the_header_says_how_long_to_wait_and_nobody_waits_for_ever() {
        let body = br#"{"code":"overloaded","retry_after":5}"#;
        assert_eq!(problem_of(503, body, None).retry_after, Some(5));
        assert_eq!(problem_of(503, body, Some(7)).retry_after, Some(7));
        assert_eq!(problem_of(503, b"", Some(u64::MAX)).retry_after, Some(86_400));
    }

    #[test]
    fn an_answer_to_a_push_that_breaks_the_protocol_is_malformed() {
        for body in ["", "{}", "<html>", r#"{"receipts":[]}"#] {
            assert!(matches!(push_response(body.as_bytes()), Err(TransportError::Malformed(_))), "{body}");
        }
    }
}
