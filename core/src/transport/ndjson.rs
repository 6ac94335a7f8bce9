//! The streamed change feed: bytes in, chunks out.
//!
//! A decoder knows nothing of sockets, so that every transport that streams lines shares it. It holds one line and one
//! chunk at most, whatever the server sends: what exceeds [`FeedLimits`] is refused. A feed without a trailer was cut.

use crate::limits::{MAX_CHANGES_PER_CURSOR, MAX_DOCUMENT_BYTES};
use crate::model::{Change, value};
use crate::protocol::FeedLine;

use super::{Chunk, TransportError};

/// What a decoder accepts from a server that may be broken or hostile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedLimits {
    /// Longest line, in bytes.
    pub line_bytes: usize,
    /// Most changes between two cursor lines.
    pub chunk_changes: usize,
    /// Most bytes between two cursor lines.
    pub chunk_bytes: usize,
}

impl Default for FeedLimits {
    /// A document of the largest size with its envelope, as many of them as the protocol allows between two cursor lines,
    /// and 128 MiB in all.
    fn default() -> Self {
        Self { line_bytes: 2 * MAX_DOCUMENT_BYTES, chunk_changes: MAX_CHANGES_PER_CURSOR, chunk_bytes: 128 << 20 }
    }
}

/// Turns the bytes of a streamed feed into chunks.
///
/// Give it bytes as they come with [`push`](Self::push), take chunks with [`next_chunk`](Self::next_chunk) until it asks
/// for more, and call [`finish`](Self::finish) when the stream has ended.
#[derive(Debug, Default)]
pub struct FeedDecoder {
    limits: FeedLimits,
    /// Bytes not yet consumed: `[start..]`, of which `[start..searched]` holds no line feed.
    buffer: Vec<u8>,
    start: usize,
    searched: usize,
    changes: Vec<Change>,
    chunk_bytes: usize,
    complete: bool,
}

impl FeedDecoder {
    /// A decoder at the start of a feed.
    #[must_use]
    pub fn new(limits: FeedLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes bytes as they come. What follows the trailer is ignored.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.complete {
            return;
        }
        // Everything before `start` is consumed: make room before growing.
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether the trailer was seen.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The next chunk, `None` if it takes more bytes (or the feed is complete).
    ///
    /// # Errors
    /// `malformed_answer` for a line that is not of the protocol, or that exceeds a limit. The decoder is of no use then.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, TransportError> {
        while let Some(end) = self.line_end()? {
            let line = &self.buffer[self.start..end];
            self.chunk_bytes += line.len();
            let parsed = match line.trim_ascii() {
                b"" => FeedLine::Unknown,
                line => FeedLine::parse(line)
                    .map_err(|error| TransportError::Malformed(format!("a line of the change feed: {error}")))?,
            };
            self.start = end + 1;
            self.searched = self.start;
            if self.chunk_bytes > self.limits.chunk_bytes {
                return Err(self.too_much("bytes", self.limits.chunk_bytes));
            }
            match parsed {
                FeedLine::Unknown => {}
                FeedLine::Change(_) if self.changes.len() >= self.limits.chunk_changes => {
                    return Err(self.too_much("changes", self.limits.chunk_changes));
                }
                FeedLine::Change(mut change) => {
                    if let Some(doc) = &mut change.doc {
                        value::normalize(doc);
                    }
                    self.changes.push(change);
                }
                FeedLine::Cursor(line) => return Ok(Some(self.chunk(line.cursor, line.included, None))),
                FeedLine::Trailer(trailer) => {
                    self.complete = true;
                    self.buffer = Vec::new();
                    (self.start, self.searched) = (0, 0);
                    return Ok(Some(self.chunk(trailer.cursor.clone(), trailer.included, Some(trailer))));
                }
            }
        }
        Ok(None)
    }

    /// To be called when the stream has ended.
    ///
    /// # Errors
    /// `unreachable` if there was no trailer: the feed was cut. Chunks that were handed out are good.
    pub fn finish(&self) -> Result<(), TransportError> {
        if self.complete {
            return Ok(());
        }
        Err(TransportError::Unreachable("the change feed was cut before its end".to_owned()))
    }

    /// Where the present line's line feed is, if it has come.
    fn line_end(&mut self) -> Result<Option<usize>, TransportError> {
        let end = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n').map(|at| self.searched + at);
        if end.unwrap_or(self.buffer.len()) - self.start > self.limits.line_bytes {
            return Err(TransportError::Malformed(format!(
                "a line of the change feed has more than {} bytes",
                self.limits.line_bytes
            )));
        }
        self.searched = self.buffer.len();
        Ok(end)
    }

    fn chunk(
        &mut self,
        cursor: crate::protocol::Cursor,
        included: u64,
        trailer: Option<crate::protocol::Trailer>,
    ) -> Chunk {
        self.chunk_bytes = 0;
        Chunk { changes: std::mem::take(&mut self.changes), cursor, included, trailer }
    }

    fn too_much(&self, what: &str, limit: usize) -> TransportError {
        TransportError::Malformed(format!("the change feed has more than {limit} {what} between two cursor lines"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Author, ChangeKind};
    use crate::protocol::{Cursor, CursorLine, Trailer};
    use proptest::prelude::*;
    use serde_json::json;

    fn change(revision: u64) -> Change {
        Change {
            kind: ChangeKind::Put,
            collection: "samples".parse().unwrap(),
            record: format!("bd_{revision} é\n").parse().unwrap(),
            revision,
            doc: Some(json!({"bpm": revision, "note": "line\nfeed"})),
            stamp: "019a3f2c11d0-0003-d1".parse().unwrap(),
            by: Author { user: "alice".into(), device: "d1".parse().unwrap() },
            schema: 1,
            group: None,
        }
    }

    fn trailer() -> Trailer {
        Trailer {
            cursor: Cursor("end".into()),
            revision: 0,
            more: false,
            epoch: "e1".into(),
            included: 7,
            hlc: None,
            backup_revision: 0,
            server_now: 1,
            server_id: "s".into(),
            total: Some(3),
            digest: None,
        }
    }

    fn feed() -> (Vec<u8>, Vec<Chunk>) {
        let mut bytes = Vec::new();
        for line in [
            FeedLine::Change(change(1)),
            FeedLine::Change(change(2)),
            FeedLine::Cursor(CursorLine { cursor: Cursor("two".into()), included: 5 }),
            FeedLine::Change(change(3)),
            FeedLine::Trailer(trailer()),
        ] {
            line.write(&mut bytes);
        }
        let chunks = vec![
            Chunk { changes: vec![change(1), change(2)], cursor: Cursor("two".into()), included: 5, trailer: None },
            Chunk { changes: vec![change(3)], cursor: Cursor("end".into()), included: 7, trailer: Some(trailer()) },
        ];
        (bytes, chunks)
    }

    fn decode<'a>(
        limits: FeedLimits,
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<Chunk>, Result<(), TransportError>) {
        let mut decoder = FeedDecoder::new(limits);
        let mut chunks = Vec::new();
        for part in parts {
            decoder.push(part);
            loop {
                match decoder.next_chunk() {
                    Ok(Some(chunk)) => chunks.push(chunk),
                    Ok(None) => break,
                    Err(error) => return (chunks, Err(error)),
                }
            }
        }
        (chunks, decoder.finish())
    }

    #[test]
    fn a_split_at_any_byte_changes_nothing() {
        let (bytes, chunks) = feed();
        for at in 0..=bytes.len() {
            let (before, after) = bytes.split_at(at);
            assert_eq!(decode(FeedLimits::default(), [before, after]), (chunks.clone(), Ok(())), "split at {at}");
        }
        assert_eq!(decode(FeedLimits::default(), bytes.chunks(1)), (chunks, Ok(())));
    }

    #[test]
    fn a_cut_at_any_byte_is_noticed_and_keeps_only_whole_chunks() {
        let (bytes, chunks) = feed();
        for at in 0..bytes.len() {
            let (got, end) = decode(FeedLimits::default(), [&bytes[..at]]);
            assert!(matches!(end, Err(TransportError::Unreachable(_))), "cut at {at}: {end:?}");
            assert_eq!(got, chunks[..got.len()], "cut at {at}");
        }
    }

    #[test]
    fn b15_changes_after_the_last_cursor_line_are_never_handed_out_without_a_position() {
        let (bytes, _) = feed();
        let cut = bytes.len() - 2;
        let (got, _) = decode(FeedLimits::default(), [&bytes[..cut]]);
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].changes.len(), 2);
    }

    #[test]
    fn blank_lines_carriage_returns_and_unknown_kinds_are_ignored() {
        let text = "\n\r\n{\"kind\":\"heartbeat\",\"at\":[1,{\"x\":2}]}\r\n";
        let (bytes, chunks) = feed();
        assert_eq!(decode(FeedLimits::default(), [text.as_bytes(), &bytes, b"trailing nonsense"]), (chunks, Ok(())));
    }

    #[test]
    fn what_is_not_of_the_protocol_is_malformed() {
        for text in
            ["nonsense\n", "{\"kind\":\"put\"}\n", "[]\n", "{\"kind\":\"cursor\"}\n", "\u{0}\n", "{\"kind\":1}\n"]
        {
            let (_, end) = decode(FeedLimits::default(), [text.as_bytes()]);
            assert!(matches!(end, Err(TransportError::Malformed(_))), "{text:?}: {end:?}");
        }
        let (_, end) = decode(FeedLimits::default(), [b"\xff\xfe\n".as_slice()]);
        assert!(matches!(end, Err(TransportError::Malformed(_))));
    }

    #[test]
    fn i13_an_endless_line_is_refused_before_it_fills_the_memory() {
        let limits = FeedLimits { line_bytes: 100, ..FeedLimits::default() };
        let mut decoder = FeedDecoder::new(limits);
        let mut taken = 0;
        let end = loop {
            decoder.push(&[b' '; 30]);
            taken += 30;
            match decoder.next_chunk() {
                Ok(None) => {}
                other => break other,
            }
        };
        assert!(matches!(end, Err(TransportError::Malformed(_))));
        assert!(taken <= 130);
        // The same with the line feed in the same read.
        let long = [vec![b' '; 101], b"\n".to_vec()].concat();
        assert!(matches!(decode(limits, [long.as_slice()]).1, Err(TransportError::Malformed(_))));
    }

    #[test]
    fn i13_a_chunk_without_end_is_refused() {
        let mut bytes = Vec::new();
        (1..=3).for_each(|revision| FeedLine::Change(change(revision)).write(&mut bytes));
        let two = FeedLimits { chunk_changes: 2, ..FeedLimits::default() };
        assert!(matches!(decode(two, [bytes.as_slice()]).1, Err(TransportError::Malformed(_))));
        let small = FeedLimits { chunk_bytes: bytes.len() / 2, ..FeedLimits::default() };
        assert!(matches!(decode(small, [bytes.as_slice()]).1, Err(TransportError::Malformed(_))));
        // The bounds hold per chunk, not per feed.
        let (bytes, chunks) = feed();
        assert_eq!(decode(two, [bytes.as_slice()]), (chunks, Ok(())));
    }

    #[test]
    fn documents_arrive_normalized() {
        let mut bytes = Vec::new();
        FeedLine::Change(change(1)).write(&mut bytes);
        let text = String::from_utf8(bytes).unwrap().replace("\"bpm\":1,", "\"bpm\":-0.0,\"gain\":2.0,");
        let mut bytes = text.into_bytes();
        FeedLine::Trailer(trailer()).write(&mut bytes);
        let (chunks, end) = decode(FeedLimits::default(), [bytes.as_slice()]);
        assert_eq!(end, Ok(()));
        assert_eq!(chunks[0].changes[0].doc, Some(json!({"bpm": 0, "gain": 2, "note": "line\nfeed"})));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let (_, end) = decode(FeedLimits::default(), parts.iter().map(Vec::as_slice));
            prop_assert!(end.is_err());
        }
    }
}
