//! The streamed change feed.

use unisono::protocol::{CursorLine, FeedLine};
use unisono::transport::ndjson::{FeedDecoder, FeedLimits};
use unisono::transport::{Chunk, TransportError};

use crate::bytes::Bytes;

/// Where to split and how much to accept, then the feed: however it is split, the same comes out; what came out, written
/// as a feed, reads the same; under tighter limits nothing else comes out, at most less.
///
/// # Panics
/// If not.
pub fn feed(data: &[u8]) {
    let mut choices = Bytes::new(data);
    let splits: Vec<usize> = (0..choices.below(8)).map(|_| usize::from(choices.u16())).collect();
    let tight = FeedLimits {
        line_bytes: usize::from(choices.u16()),
        chunk_changes: choices.below(4),
        chunk_bytes: usize::from(choices.u16()),
    };
    let bytes = choices.rest();

    let (whole, end) = decode(FeedLimits::default(), [bytes]);
    assert_eq!(decode(FeedLimits::default(), parts(bytes, splits.clone())), (whole.clone(), end.clone()));
    if bytes.len() < 4096 {
        assert_eq!(decode(FeedLimits::default(), bytes.chunks(1)), (whole.clone(), end.clone()));
    }
    let (fewer, tight_end) = decode(tight, [bytes]);
    assert!(whole.starts_with(&fewer));
    assert!(fewer.len() == whole.len() || tight_end == Err("malformed_answer".to_owned()), "{tight_end:?}");
    assert!(fewer.iter().all(|chunk| chunk.changes.len() <= tight.chunk_changes));
    assert_eq!(decode(tight, parts(bytes, splits)), (fewer, tight_end), "limits do not depend on the splitting");

    let last = whole.len().saturating_sub(1);
    for (at, chunk) in whole.iter().enumerate() {
        assert!(chunk.trailer.is_none() || at == last, "the trailer ends the feed");
    }
    assert_eq!(end.is_ok(), whole.last().is_some_and(|chunk| chunk.trailer.is_some()));
    assert_eq!(decode(FeedLimits::default(), [written(&whole).as_slice()]).0, whole);
}

/// `bytes`, cut at those of `places` that are inside.
fn parts(bytes: &[u8], mut places: Vec<usize>) -> Vec<&[u8]> {
    places.retain(|place| *place <= bytes.len());
    places.sort_unstable();
    let ends = places.iter().copied().chain([bytes.len()]);
    let starts = std::iter::once(0).chain(places.iter().copied());
    starts.zip(ends).map(|(start, end)| &bytes[start..end]).collect()
}

fn decode<'a>(limits: FeedLimits, parts: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Chunk>, Result<(), String>) {
    let mut decoder = FeedDecoder::new(limits);
    let mut chunks = Vec::new();
    // The words of an error tell how far it was read; its code does not.
    let code = |error: &TransportError| error.code().to_owned();
    for part in parts {
        decoder.push(part);
        loop {
            match decoder.next_chunk() {
                Ok(Some(chunk)) => chunks.push(chunk),
                Ok(None) => break,
                Err(error) => return (chunks, Err(code(&error))),
            }
        }
    }
    let end = decoder.finish();
    assert_eq!(end.is_ok(), decoder.is_complete());
    (chunks, end.map_err(|error| code(&error)))
}

/// The feed that tells `chunks`.
fn written(chunks: &[Chunk]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in chunks {
        chunk.changes.iter().for_each(|change| FeedLine::Change(change.clone()).write(&mut bytes));
        let position = match &chunk.trailer {
            Some(trailer) => FeedLine::Trailer(trailer.clone()),
            None => FeedLine::Cursor(CursorLine { cursor: chunk.cursor.clone(), included: chunk.included }),
        };
        position.write(&mut bytes);
    }
    bytes
}
