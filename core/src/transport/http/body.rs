//! Bodies: compressed on the way out, judged on the way in.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

use crate::platform::BoxFuture;
use crate::transport::TransportError;
use crate::transport::body::{self, Body};
use crate::transport::pace::Pace;

/// Bodies below this size gain nothing.
const COMPRESS_FROM: usize = 1 << 10;
/// Fast: the level is chosen for phones, not for archives.
const LEVEL: i32 = 1;
/// A body that shrinks more than this is sent as it is: to a server it would look like a decompression bomb.
const MAX_RATIO: usize = 64;

/// The zstd form of `body`, if that is worth it.
pub(super) fn compressed(body: &[u8]) -> Option<Vec<u8>> {
    if body.len() < COMPRESS_FROM {
        return None;
    }
    let small = zstd::bulk::compress(body, LEVEL).ok()?;
    (small.len() < body.len() && small.len().saturating_mul(MAX_RATIO) > body.len()).then_some(small)
}

impl Body for Response {
    type Part = Bytes;

    fn part(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportError>> {
        Box::pin(async { self.chunk().await.map_err(unreachable) })
    }
}

/// Passes a success on and reads everything else as an error answer.
pub(super) async fn successful(response: Response, pace: &mut Pace) -> Result<Response, TransportError> {
    let wait = retry_after(response.headers(), SystemTime::now());
    body::successful(response.status().as_u16(), wait, response, pace).await
}

/// The Retry-After header in seconds. A date is taken relative to the answer's own Date, so that a wrong device clock does
/// not matter.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<u64> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let value = text(RETRY_AFTER)?;
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.parse().unwrap_or(u64::MAX));
    }
    let date = |text| httpdate::parse_http_date(text).ok();
    let now = text(DATE).and_then(date).unwrap_or(now);
    date(value).map(|at| at.duration_since(now).unwrap_or(Duration::ZERO).as_secs())
}

/// No answer, in words: the root of the library's chain of causes, never the URL (its query holds ids).
pub(super) fn unreachable(error: reqwest::Error) -> TransportError {
    let what = if error.is_connect() {
        "no connection"
    } else if error.is_body() || error.is_decode() {
        "the answer broke off"
    } else {
        "the request failed"
    };
    let error = error.without_url();
    let mut root: &dyn std::error::Error = &error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    TransportError::Unreachable(format!("{what}: {root}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn b11_retry_after_is_read_as_seconds_and_as_a_date_of_the_servers_clock() {
        let now = SystemTime::UNIX_EPOCH;
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let read = |pairs: &[_]| retry_after(&headers(pairs), now);
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[(RETRY_AFTER, "120")]), Some(120));
        assert_eq!(read(&[(RETRY_AFTER, "99999999999999999999999")]), Some(u64::MAX));
        assert_eq!(read(&[(RETRY_AFTER, "Sun, 06 Nov 1994 08:50:07 GMT"), (DATE, date)]), Some(30));
        assert_eq!(read(&[(RETRY_AFTER, "Sun, 06 Nov 1994 08:00:00 GMT"), (DATE, date)]), Some(0));
        assert_eq!(read(&[(RETRY_AFTER, "Thu, 01 Jan 1970 00:00:09 GMT")]), Some(9));
        for nonsense in ["", "soon", "-1", "1.5", "1e3"] {
            assert_eq!(read(&[(RETRY_AFTER, nonsense)]), None, "{nonsense}");
        }
    }

    #[test]
    fn bodies_are_compressed_only_where_it_pays_and_never_like_a_bomb() {
        let text: String = (0..200).map(|n| format!("{{\"id\":\"{n}\",\"bpm\":{}}},", n * 7919 % 1000)).collect();
        let small = compressed(text.as_bytes()).unwrap();
        assert!(small.len() < text.len());
        assert_eq!(zstd::bulk::decompress(&small, text.len()).unwrap(), text.as_bytes());
        assert_eq!(compressed(&vec![b'a'; COMPRESS_FROM - 1]), None);
        assert_eq!(compressed(&vec![b'a'; 1 << 20]), None);
        let mut noise = 1u32;
        let noise: Vec<u8> = (0..4096)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (noise >> 24) as u8
            })
            .collect();
        assert_eq!(compressed(&noise), None);
    }
}
