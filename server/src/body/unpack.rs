//! Compressed bodies. A bomb is stopped while it unfolds: by size, and by how much it grows.

use std::borrow::Cow;
use std::io::{self, Read};

use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;

use super::{text, too_large};
use unisono::protocol::ProblemCode;

use crate::limits::BodyLimits;
use crate::problem::ApiError;

/// Largest window of a zstd frame, as a power of two (8 MiB): the decoder's memory.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Gzip,
    Zstd,
}

impl Encoding {
    /// What the headers say; one coding at most.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let refused = || {
            ApiError::new(ProblemCode::UnsupportedEncoding, "The body's coding is not supported")
                .detail("send it plain, with gzip or with zstd")
        };
        if headers.get_all(CONTENT_ENCODING).iter().count() == 0 {
            return Ok(Self::Plain);
        }
        if headers.get_all(CONTENT_ENCODING).iter().count() > 1 {
            return Err(refused());
        }
        match text(headers, CONTENT_ENCODING).unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "identity" => Ok(Self::Plain),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err(refused()),
        }
    }
}

/// Unpacks `packed`, to `decoded_bytes` at most.
pub(super) fn unpack<'a>(encoding: Encoding, packed: &'a [u8], limits: &BodyLimits) -> Result<Cow<'a, [u8]>, ApiError> {
    let bytes = match encoding {
        Encoding::Plain if packed.len() > limits.decoded_bytes => return Err(too_large(limits.decoded_bytes)),
        Encoding::Plain => return Ok(Cow::Borrowed(packed)),
        Encoding::Gzip => drain(flate2::read::MultiGzDecoder::new(packed), packed.len(), limits)?,
        Encoding::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(packed).and_then(|mut decoder| {
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Ok(decoder)
            });
            drain(decoder.map_err(|error| broken(&error))?, packed.len(), limits)?
        }
    };
    Ok(Cow::Owned(bytes))
}

fn drain(reader: impl Read, packed: usize, limits: &BodyLimits) -> Result<Vec<u8>, ApiError> {
    let by_ratio = packed.saturating_mul(limits.ratio).max(limits.free_bytes);
    let limit = by_ratio.min(limits.decoded_bytes);
    let mut bytes = Vec::new();
    reader.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|error| broken(&error))?;
    if bytes.len() <= limit {
        Ok(bytes)
    } else if limit == limits.decoded_bytes {
        Err(too_large(limit))
    } else {
        Err(ApiError::new(ProblemCode::CompressionRatio, "The body unfolds like a decompression bomb")
            .detail(format!("more than {}:1; send it without compression", limits.ratio)))
    }
}

fn broken(_: &io::Error) -> ApiError {
    ApiError::new(ProblemCode::InvalidEncoding, "The body does not unpack by its Content-Encoding")
}
