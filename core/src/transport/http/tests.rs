//! The transport against a scripted server on loopback: what it sends, and what it makes of every kind of answer.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;

use super::*;
use crate::error::ErrorKind;
use crate::limits::MAX_DOCUMENT_BYTES;
use crate::model::{Scope, SyncEvent};
use crate::protocol::{ChangesRequest, Cursor, PushRequest};
use crate::transport::ndjson::FeedLimits;
use crate::transport::{ChangeReader, Method, RequestContext, Transport, TransportError};

/// What the server does with one connection.
type Script = Box<dyn FnOnce(&mut Connection) + Send>;

/// One accepted connection.
struct Connection {
    stream: TcpStream,
    seen: mpsc::Sender<Request>,
}

/// A request as it came over the wire.
struct Request {
    /// Request line and headers, with their case.
    head: String,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Connection {
    /// Reads one request.
    fn receive(&mut self) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).expect("a request head");
            head.push(byte[0]);
        }
        let mut request = Request { head: String::from_utf8(head).expect("an ASCII head"), body: Vec::new() };
        let length = request.header("content-length").map_or(0, |length| length.parse().expect("a length"));
        request.body = vec![0; length];
        self.stream.read_exact(&mut request.body).expect("a body");
        drop(self.seen.send(request));
    }

    fn send(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).expect("the client reads");
    }

    /// A whole answer with a body.
    fn answer(&mut self, status: &str, headers: &str, body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        self.receive();
        self.send(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len()));
        self.send(body);
    }

    /// Waits until the client has closed the connection.
    fn until_closed(&mut self) {
        while self.stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {}
    }
}

/// Serves each script on a connection of its own, in order.
fn server(scripts: Vec<Script>) -> (String, mpsc::Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (seen, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for script in scripts {
            let (stream, _) = listener.accept().expect("a connection");
            script(&mut Connection { stream, seen: seen.clone() });
        }
    });
    (url, requests)
}

fn one(script: impl FnOnce(&mut Connection) + Send + 'static) -> (HttpTransport, mpsc::Receiver<Request>) {
    let (url, requests) = server(vec![Box::new(script)]);
    (HttpTransport::new(url).expect("a loopback URL"), requests)
}

fn context() -> RequestContext {
    RequestContext { token: Some(SecretString::from("canary-token")), deadline: None }
}

fn feed_request() -> ChangesRequest {
    ChangesRequest::from_start(Scope::User)
}

fn push_request(events: usize) -> PushRequest {
    let event = |n: usize| -> SyncEvent {
        serde_json::from_value(json!({
            "id": format!("e{n}"), "collection": "samples", "record": format!("r{n}"), "action": "create",
            "doc": {"name": format!("kick {}", n * 7919 % 1000)}, "base": 0, "stamp": "019a3f2c11d0-0003-d1",
        }))
        .expect("an event")
    };
    PushRequest {
        scope: Scope::User,
        account: "alice".into(),
        epoch: None,
        device_id: "d1".parse().expect("an id"),
        push_seq: 1,
        cursor: None,
        seen: None,
        device_now: 5,
        events: (0..events).map(event).collect(),
    }
}

const PUSHED: &str = r#"{"server_now":1,"server_id":"s","epoch":"e","head":"h","receipts":[{"id":"e0","status":"applied","revision":1,"previous":0}]}"#;
const CHANGE: &str = r#"{"kind":"put","collection":"samples","record":"a","revision":1,"doc":{"bpm":120},"stamp":"019a3f2c11d0-0003-d1","by":{"user":"alice","device":"d1"}}"#;
const TRAILER: &str = r#"{"kind":"trailer","cursor":"c2","revision":2,"more":false,"epoch":"e","included":1,"backup_revision":0,"server_now":1,"server_id":"s"}"#;
const FEED_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";

/// One HTTP chunk.
fn part(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

async fn open(transport: &HttpTransport) -> Result<Box<dyn ChangeReader>, TransportError> {
    transport.changes(&context(), &feed_request()).await
}

#[tokio::test]
async fn a_push_carries_token_and_versions_and_brings_receipts_back() {
    let (transport, requests) =
        one(|connection| connection.answer("200 OK", "content-type: application/json\r\n", PUSHED));
    let response = transport.push(&context(), &push_request(1)).await.unwrap();
    assert_eq!(response.receipts.len(), 1);
    let request = requests.recv().unwrap();
    assert!(request.head.starts_with("POST /api/v1/sync/events HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.header("authorization"), Some("Bearer canary-token"));
    assert_eq!(request.header("unisono-protocol"), Some("1-1"));
    assert_eq!(request.header("content-encoding"), None);
    assert_eq!(serde_json::from_slice::<PushRequest>(&request.body).unwrap(), push_request(1));
}

#[tokio::test]
async fn large_bodies_travel_compressed_and_answers_are_asked_for_so() {
    let (url, requests) = server(vec![Box::new(|connection| {
        let small = zstd::bulk::compress(PUSHED.as_bytes(), 1).unwrap();
        connection.answer("200 OK", "content-encoding: zstd\r\n", small);
    })]);
    let options = HttpOptions { compression: Compression::On, ..HttpOptions::default() };
    let transport = HttpTransport::with_options(url, options).unwrap();
    let response = transport.push(&context(), &push_request(50)).await.unwrap();
    assert_eq!(response.epoch, "e");
    let request = requests.recv().unwrap();
    assert_eq!(request.header("content-encoding"), Some("zstd"));
    let accepted = request.header("accept-encoding").unwrap();
    assert!(accepted.contains("zstd") && accepted.contains("gzip"), "{accepted}");
    let body = zstd::bulk::decompress(&request.body, 1 << 20).unwrap();
    assert_eq!(serde_json::from_slice::<PushRequest>(&body).unwrap(), push_request(50));
}

#[tokio::test]
async fn a_server_that_refuses_compressed_bodies_gets_them_plain_from_then_on() {
    let answer = |status: &'static str| -> Script {
        Box::new(move |connection: &mut Connection| connection.answer(status, "connection: close\r\n", PUSHED))
    };
    let (url, requests) = server(vec![answer("415 Unsupported Media Type"), answer("200 OK"), answer("200 OK")]);
    let options = HttpOptions { compression: Compression::On, ..HttpOptions::default() };
    let transport = HttpTransport::with_options(url, options).unwrap();
    transport.push(&context(), &push_request(50)).await.unwrap();
    transport.push(&context(), &push_request(50)).await.unwrap();
    let encodings: Vec<_> =
        requests.iter().take(3).map(|request| request.header("content-encoding").map(str::to_owned)).collect();
    assert_eq!(encodings, [Some("zstd".to_owned()), None, None]);
}

#[tokio::test]
async fn a_feed_comes_chunk_by_chunk_and_ends_with_its_trailer() {
    let (transport, requests) = one(|connection| {
        connection.receive();
        connection.send(FEED_HEAD);
        // Lines cross the borders of HTTP chunks.
        let (before, after) = CHANGE.split_at(17);
        connection.send(part(before));
        connection.send(part(&format!("{after}\n{{\"kind\":\"cursor\",\"cursor\":\"c1\",\"included\":1}}\n")));
        connection.send(part(&format!("{TRAILER}\n")));
        connection.send("0\r\n\r\n");
        // The same connection serves the next request.
        connection.answer("200 OK", "", "{}");
    });
    let mut reader = open(&transport).await.unwrap();
    let chunk = reader.next().await.unwrap().unwrap();
    assert_eq!((chunk.changes.len(), chunk.cursor, chunk.trailer), (1, Cursor("c1".into()), None));
    let chunk = reader.next().await.unwrap().unwrap();
    assert_eq!((chunk.changes.len(), chunk.cursor), (0, Cursor("c2".into())));
    assert!(chunk.trailer.is_some());
    assert_eq!(reader.next().await, Ok(None));
    assert_eq!(reader.next().await, Ok(None));
    transport.request(&context(), Method::Get, "/sync/status?scope=user", None).await.unwrap();
    let heads: Vec<_> = requests.iter().take(2).map(|request| request.head).collect();
    assert!(heads[0].starts_with("GET /api/v1/sync/changes?scope=user&references=true HTTP/1.1\r\n"), "{}", heads[0]);
    assert!(heads[0].contains("accept: application/x-ndjson"), "{}", heads[0]);
    assert!(heads[1].starts_with("GET /api/v1/sync/status?scope=user HTTP/1.1\r\n"), "{}", heads[1]);
}

// Threads of its own: the connection's task could read ahead while the test waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_is_not_read_holds_the_server_back() {
    let (held, is_held) = mpsc::channel();
    let (transport, _requests) = one(move |connection| {
        connection.receive();
        connection.send(FEED_HEAD);
        connection.send(part("{\"kind\":\"cursor\",\"cursor\":\"c1\",\"included\":1}\n"));
        // Far more than all buffers on the way.
        let blank = part(&format!("{}\n", " ".repeat(8 << 10))).repeat(8_000);
        let mut rest = blank.as_bytes();
        connection.stream.set_write_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        while !rest.is_empty() {
            match connection.stream.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(_) => {
                    let _ = held.send(rest.len());
                    connection.stream.set_write_timeout(None).expect("no timeout");
                }
            }
        }
        connection.send(part(&format!("{TRAILER}\n")));
        connection.send("0\r\n\r\n");
    });
    let mut reader = open(&transport).await.unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap().cursor, Cursor("c1".into()));
    assert!(is_held.recv().expect("the server could send all of it to a client that did not read") > 0);
    assert!(reader.next().await.unwrap().unwrap().trailer.is_some());
}

#[tokio::test]
async fn a_cut_feed_is_unreachable_after_its_whole_chunks() {
    for end in ["", "0\r\n\r\n", "5\r\nab"] {
        let (transport, _requests) = one(move |connection| {
            connection.receive();
            connection.send(FEED_HEAD);
            connection.send(part("{\"kind\":\"cursor\",\"cursor\":\"c1\",\"included\":0}\n"));
            connection.send(part(&CHANGE[..40]));
            connection.send(end);
        });
        let mut reader = open(&transport).await.unwrap();
        assert_eq!(reader.next().await.unwrap().unwrap().cursor, Cursor("c1".into()));
        for _ in 0..2 {
            let error = reader.next().await.unwrap_err();
            assert!(matches!(error, TransportError::Unreachable(_)), "{end:?}: {error}");
            assert!(error.is_ambiguous());
        }
    }
}

#[tokio::test]
async fn what_is_no_feed_is_malformed() {
    for (head, body) in [
        ("content-type: application/x-ndjson\r\n", "nonsense\n"),
        ("content-type: text/html\r\n", "<html>welcome to the airport</html>"),
        ("", "{}"),
    ] {
        let (transport, _requests) = one(move |connection| connection.answer("200 OK", head, body));
        let error = match open(&transport).await {
            Ok(mut reader) => reader.next().await.unwrap_err(),
            Err(error) => error,
        };
        assert!(matches!(error, TransportError::Malformed(_)), "{head:?}: {error}");
    }
}

#[tokio::test]
async fn i13_a_hostile_line_or_answer_is_refused_and_not_collected() {
    let (url, _requests) = server(vec![
        Box::new(|connection| {
            connection.receive();
            connection.send(FEED_HEAD);
            // The client hangs up on the way.
            let part = part(&"x".repeat(64 << 10));
            while connection.stream.write_all(part.as_bytes()).is_ok() {}
        }),
        Box::new(|connection| connection.answer("200 OK", "", "x".repeat(2_000))),
    ]);
    let options = HttpOptions {
        max_response_bytes: 1_000,
        feed: FeedLimits { line_bytes: MAX_DOCUMENT_BYTES, ..FeedLimits::default() },
        ..HttpOptions::default()
    };
    let transport = HttpTransport::with_options(url, options).unwrap();
    let mut reader = open(&transport).await.unwrap();
    assert!(matches!(reader.next().await, Err(TransportError::Malformed(_))));
    drop(reader);
    let answer = transport.request(&context(), Method::Get, "/sync/status", None).await;
    assert_eq!(answer.unwrap_err(), TransportError::TooLong { limit: 1_000 });
}

#[tokio::test]
async fn a_server_that_says_nothing_meets_the_deadline() {
    let deadline = Some(Duration::from_millis(30));
    // Silence before the answer, and silence within a feed.
    let silent: Script = Box::new(|connection| {
        connection.receive();
        connection.until_closed();
    });
    let stuck: Script = Box::new(|connection| {
        connection.receive();
        connection.send(FEED_HEAD);
        connection.send(part(&CHANGE[..10]));
        connection.until_closed();
    });
    let (url, _requests) = server(vec![silent, stuck]);
    let transport = HttpTransport::new(url).unwrap();
    let context = RequestContext { deadline, ..context() };
    let error = transport.request(&context, Method::Get, "/sync/status", None).await.unwrap_err();
    assert!(matches!(&error, TransportError::Unreachable(why) if why.contains("no answer within")), "{error}");
    let error = match transport.changes(&context, &feed_request()).await {
        Ok(mut reader) => reader.next().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(&error, TransportError::Unreachable(why) if why.contains("no answer within")), "{error}");
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let transport = HttpTransport::new(format!("http://127.0.0.1:{port}")).unwrap();
    let error = transport.push(&context(), &push_request(1)).await.unwrap_err();
    assert_eq!((error.code(), error.kind(), error.is_ambiguous()), ("unreachable", ErrorKind::Offline, true));
    assert!(!error.to_string().contains("/api/v1"), "{error}");
}

#[tokio::test]
async fn each_class_of_status_becomes_what_the_engine_can_act_on() {
    // status, headers, body → code, ambiguous, seconds to wait
    for (status, headers, body, code, ambiguous, wait) in [
        ("400 Bad Request", "", r#"{"code":"invalid_json","status":400}"#, "invalid_json", false, None),
        ("401 Unauthorized", "", "", "http_401", false, None),
        ("403 Forbidden", "", r#"{"code":"identity_mismatch"}"#, "identity_mismatch", false, None),
        ("404 Not Found", "", "<html>", "http_404", false, None),
        ("408 Request Timeout", "", "", "http_408", true, None),
        (
            "409 Conflict",
            "",
            r#"{"code":"epoch_changed","epoch":"e2","shared_revision":3}"#,
            "epoch_changed",
            false,
            None,
        ),
        ("410 Gone", "", r#"{"code":"cursor_expired"}"#, "cursor_expired", false, None),
        ("413 Payload Too Large", "", r#"{"code":"payload_too_large"}"#, "payload_too_large", false, None),
        ("429 Too Many Requests", "retry-after: 9\r\n", "", "http_429", true, Some(9)),
        ("500 Internal Server Error", "", "oops", "http_500", true, None),
        (
            "503 Service Unavailable",
            "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 08:49:57 GMT\r\n",
            "",
            "http_503",
            true,
            Some(20),
        ),
        ("302 Found", "location: https://portal.example/\r\n", "", "unreachable", true, None),
        ("304 Not Modified", "", "", "unreachable", true, None),
    ] {
        let (transport, _requests) = one(move |connection| connection.answer(status, headers, body));
        let error = transport.push(&context(), &push_request(1)).await.unwrap_err();
        assert_eq!((error.code(), error.is_ambiguous()), (code, ambiguous), "{status}");
        assert_eq!(error.retry_after(), wait.map(Duration::from_secs), "{status}");
    }
}

#[tokio::test]
async fn an_answer_to_a_push_that_cannot_be_read_is_ambiguous() {
    let (transport, _requests) = one(|connection| connection.answer("200 OK", "", "<html>"));
    let error = transport.push(&context(), &push_request(1)).await.unwrap_err();
    assert!(matches!(error, TransportError::Malformed(_)));
    assert!(error.is_ambiguous());
}

#[tokio::test]
async fn b1_a_lost_response_is_reported_and_never_resent_by_the_transport() {
    let (transport, requests) = one(|connection| connection.receive());
    let error = transport.push(&context(), &push_request(1)).await.unwrap_err();
    assert!(matches!(error, TransportError::Unreachable(_)), "{error}");
    assert_eq!(requests.iter().count(), 1);
}

#[tokio::test]
async fn other_requests_pass_method_body_and_etag() {
    let (transport, requests) = one(|connection| connection.answer("201 Created", "etag: W/\"41\"\r\n", "{\"a\":1}"));
    let body = br#"{"username":"alice"}"#.to_vec();
    let response = transport.request(&context(), Method::Put, "/settings/profile", Some(body.clone())).await.unwrap();
    assert_eq!(
        (response.status, response.body.as_slice(), response.etag.as_deref()),
        (201, b"{\"a\":1}".as_slice(), Some("41"))
    );
    let request = requests.recv().unwrap();
    assert!(request.head.starts_with("PUT /api/v1/settings/profile HTTP/1.1\r\n"));
    assert_eq!((request.header("content-type"), &request.body), (Some("application/json"), &body));
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_the_network() {
    let transport = HttpTransport::new("http://127.0.0.1:9").unwrap();
    let error = transport.request(&context(), Method::Get, "/../admin", None).await.unwrap_err();
    assert_eq!((error.code(), error.is_ambiguous()), ("invalid_path", false));
    let context = RequestContext { token: Some(SecretString::from("a\r\nx-evil: 1")), deadline: None };
    let error = transport.push(&context, &push_request(1)).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("auth_required", ErrorKind::Auth));
}

#[test]
fn i15_debug_output_shows_no_token() {
    let transport = HttpTransport::new("https://sync.example.com").unwrap();
    let text = format!("{transport:?} {:?}", context());
    assert!(!text.contains("canary"), "{text}");
}
