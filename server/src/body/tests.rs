//! Bodies through all steps.

use std::io::Write;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_ENCODING;
use axum::response::IntoResponse;
use futures_util::stream;
use serde_json::{Value, json};

use super::*;
use crate::testing::environment;

fn limits() -> BodyLimits {
    BodyLimits { encoded_bytes: 2_000, decoded_bytes: 8_000, ratio: 10, free_bytes: 500, ..BodyLimits::default() }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd_of(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 1).unwrap()
}

async fn read(headers: &[(HeaderName, &'static str)], body: impl Into<Body>) -> Result<Value, u16> {
    let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
    let result = read_json(&headers, body.into(), &limits(), &*environment()).await;
    result.map_err(|error: ApiError| error.into_response().status().as_u16())
}

async fn read_as(encoding: &'static str, body: impl Into<Body>) -> Result<Value, u16> {
    read(&[(CONTENT_TYPE, "application/json"), (CONTENT_ENCODING, encoding)], body).await
}

/// JSON that hardly compresses.
fn dense(bytes: usize) -> String {
    let mut state = 7u64;
    let text: String = (0..bytes)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'a' + (state >> 59) as u8 % 26)
        })
        .collect();
    format!("\"{text}\"")
}

#[tokio::test]
async fn plain_gzip_and_zstd_bodies_are_read() {
    let value = json!({"a": [1, "two"]});
    let text = value.to_string();
    for media in ["application/json", "Application/JSON; charset=utf-8"] {
        assert_eq!(read(&[(CONTENT_TYPE, media)], text.clone()).await, Ok(value.clone()));
    }
    assert_eq!(read_as("identity", text.clone()).await, Ok(value.clone()));
    assert_eq!(read_as("gzip", gzip(text.as_bytes())).await, Ok(value.clone()));
    assert_eq!(read_as("ZSTD", zstd_of(text.as_bytes())).await, Ok(value));
}

#[tokio::test]
async fn other_media_and_codings_are_415() {
    assert_eq!(read(&[], "{}").await, Err(415));
    for media in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
        assert_eq!(read(&[(CONTENT_TYPE, media)], "{}").await, Err(415), "{media}");
    }
    for coding in ["br", "deflate", "gzip, gzip", "", "\"gzip\""] {
        assert_eq!(read_as(coding, "{}").await, Err(415), "{coding}");
    }
    let twice = [(CONTENT_TYPE, "application/json"), (CONTENT_ENCODING, "gzip"), (CONTENT_ENCODING, "identity")];
    assert_eq!(read(&twice[..2], gzip(b"{}")).await, Ok(json!({})));
    let mut headers = HeaderMap::new();
    for (name, value) in twice {
        headers.append(name, HeaderValue::from_static(value));
    }
    let result = read_json::<Value>(&headers, Body::from(gzip(b"{}")), &limits(), &*environment()).await;
    assert_eq!(result.unwrap_err().into_response().status(), 415);
}

#[tokio::test]
async fn what_is_not_json_is_400() {
    for text in ["", "{", "nonsense", "{} {}", "\u{feff}{}", "[1,]", "NaN"] {
        assert_eq!(read_as("identity", text).await, Err(400), "{text}");
    }
    assert_eq!(read_as("identity", b"\"\xff\"".to_vec()).await, Err(400));
    assert_eq!(read_as("gzip", "{}").await, Err(400));
    assert_eq!(read_as("zstd", "{}").await, Err(400));
    let mut cut = gzip(b"{\"a\": 1}");
    cut.truncate(cut.len() - 3);
    assert_eq!(read_as("gzip", cut).await, Err(400));
}

#[tokio::test]
async fn i13_sizes_are_bounded_before_and_after_decompression() {
    assert_eq!(read_as("identity", dense(1_998)).await.map(|_| ()), Ok(()));
    assert_eq!(read_as("identity", dense(1_999)).await, Err(413));
    // Without an announced length, in parts, and far beyond what is read to be polite.
    for parts in [5, 100_000] {
        let parts = stream::iter((0..parts).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 500]))));
        assert_eq!(read_as("identity", Body::from_stream(parts)).await, Err(413));
    }
    let text = "[".to_owned() + &"[1,2,3],".repeat(2_000) + "0]";
    for (coding, packed) in [("gzip", gzip(text.as_bytes())), ("zstd", zstd_of(text.as_bytes()))] {
        assert!(packed.len() < 2_000);
        let status = read_as(coding, packed).await;
        assert!(matches!(status, Err(400 | 413)), "{coding}: {status:?}");
    }
}

#[tokio::test]
async fn decompression_bombs_are_stopped_by_size_or_by_ratio() {
    let bomb = vec![b' '; 64 << 20];
    for (coding, packed) in [("gzip", gzip(&bomb)), ("zstd", zstd_of(&bomb))] {
        let mut limits =
            BodyLimits { encoded_bytes: 1 << 20, decoded_bytes: 8 << 20, ratio: 20, ..BodyLimits::default() };
        let headers: HeaderMap = [(CONTENT_TYPE, "application/json"), (CONTENT_ENCODING, coding)]
            .into_iter()
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .collect();
        let status = async |limits: &BodyLimits| {
            let result = read_json::<Value>(&headers, Body::from(packed.clone()), limits, &*environment()).await;
            result.unwrap_err().into_response().status().as_u16()
        };
        assert_eq!(status(&limits).await, 400, "{coding}");
        limits.ratio = 1_000_000;
        assert_eq!(status(&limits).await, 413, "{coding}");
    }
    // A small body may be as regular as it likes.
    let regular = format!("{}0", " ".repeat(400));
    assert_eq!(read_as("zstd", zstd_of(regular.as_bytes())).await, Ok(json!(0)));
}

#[tokio::test]
async fn nesting_is_refused_before_the_parser_recurses() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let depth = limits().depth;
    assert!(read_as("identity", nested(depth)).await.is_ok());
    assert_eq!(read_as("identity", nested(depth + 1)).await, Err(400));
    assert_eq!(read_as("identity", "[".repeat(1_900)).await, Err(400));
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "paused time: nothing really sleeps")]
async fn a_body_that_drips_meets_the_deadline() {
    let dripping = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
    });
    assert_eq!(read_as("identity", Body::from_stream(dripping)).await, Err(408));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_400() {
    let parts = vec![Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("reset"))];
    assert_eq!(read_as("identity", Body::from_stream(stream::iter(parts))).await, Err(400));
}
