//! Answers as they come: bounded, judged by their status, and the streamed feed over a body.

use std::ops::Deref;
use std::time::Duration;

use super::ndjson::{FeedDecoder, FeedLimits};
use super::pace::Pace;
use super::wire::{MAX_ERROR_BYTES, problem_of};
use super::{ChangeReader, Chunk, TransportError};
use crate::environment::{Environment, timeout};
use crate::platform::{BoxFuture, MaybeSend};

/// How long the end of a feed's body is awaited after the trailer, so that the connection can serve again.
const LINGER: Duration = Duration::from_secs(1);

/// A body that is read only as far as it is asked for. Dropping it abandons its request.
pub(super) trait Body: MaybeSend + 'static {
    /// Some bytes.
    type Part: Deref<Target = [u8]> + MaybeSend;

    /// The next bytes as they come, `None` at the end.
    fn part(&mut self) -> BoxFuture<'_, Result<Option<Self::Part>, TransportError>>;
}

/// Reads a whole body of at most `limit` bytes; a longer one is [`TransportError::TooLong`].
pub(super) async fn read(body: &mut impl Body, limit: usize, pace: &mut Pace) -> Result<Vec<u8>, TransportError> {
    let mut whole = Vec::new();
    while let Some(part) = pace.within(body.part()).await? {
        if whole.len() + part.len() > limit {
            return Err(TransportError::TooLong { limit });
        }
        pace.moved(part.len());
        whole.extend_from_slice(&part);
    }
    Ok(whole)
}

/// Passes the body of a success on and reads every other as an error answer; `wait` is what its Retry-After asked.
pub(super) async fn successful<B: Body>(
    status: u16,
    wait: Option<u64>,
    mut body: B,
    pace: &mut Pace,
) -> Result<B, TransportError> {
    match status {
        200..=299 => Ok(body),
        // Not a verdict of the server: a portal or a proxy stands in between, or the address is wrong.
        0..=199 | 300..=399 => Err(TransportError::Unreachable(format!(
            "status {status}: redirects are not followed; check the server's address"
        ))),
        _ => {
            // The status alone is a verdict; what goes wrong while its explanation is read changes nothing.
            let words = read(&mut body, MAX_ERROR_BYTES, pace).await.unwrap_or_default();
            Err(TransportError::problem(problem_of(status, &words, wait)))
        }
    }
}

/// An ETag without what HTTP puts around it.
pub(super) fn bare_etag(etag: &str) -> String {
    etag.trim().trim_start_matches("W/").trim_matches('"').to_owned()
}

/// Whether a Content-Type header says `media`, whatever its parameters.
pub(super) fn is_media(header: &str, media: &str) -> bool {
    header.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media)
}

/// Reads a feed only as far as chunks are asked for: an unread body holds the server back.
pub(super) struct FeedReader<B> {
    /// Absent after the end, or after an error.
    body: Option<B>,
    decoder: FeedDecoder,
    environment: &'static dyn Environment,
    deadline: Duration,
}

impl<B: Body> FeedReader<B> {
    /// Each chunk may take as long as `deadline` says.
    pub(super) fn new(body: B, limits: FeedLimits, environment: &'static dyn Environment, deadline: Duration) -> Self {
        Self { body: Some(body), decoder: FeedDecoder::new(limits), environment, deadline }
    }

    async fn next_chunk(&mut self) -> Result<Option<Chunk>, TransportError> {
        // Taken out, so that a dropped future or an error leaves a reader that ends instead of one that skips bytes.
        let Some(mut body) = self.body.take() else {
            return self.decoder.finish().map(|()| None);
        };
        let mut pace = Pace::start(self.environment, self.deadline);
        loop {
            if let Some(chunk) = self.decoder.next_chunk()? {
                if self.decoder.is_complete() {
                    finish(self.environment, body).await;
                } else {
                    self.body = Some(body);
                }
                return Ok(Some(chunk));
            }
            match pace.within(body.part()).await? {
                Some(part) => {
                    pace.moved(part.len());
                    self.decoder.push(&part);
                }
                None => return self.decoder.finish().map(|()| None),
            }
        }
    }
}

/// Reads to the end of the body; without it the connection could not be used again. Nothing depends on it.
async fn finish(environment: &dyn Environment, mut body: impl Body) {
    let to_the_end = async { while let Ok(Some(_)) = body.part().await {} };
    let _ = timeout(environment, LINGER, to_the_end).await;
}

impl<B: Body> ChangeReader for FeedReader<B> {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Chunk>, TransportError>> {
        Box::pin(self.next_chunk())
    }
}
