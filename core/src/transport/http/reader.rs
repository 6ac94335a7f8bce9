//! The streamed feed over a response body.

use std::time::Duration;

use reqwest::Response;

use super::body::next_part;
use super::pace::Pace;
use crate::platform::BoxFuture;
use crate::transport::ndjson::{FeedDecoder, FeedLimits};
use crate::transport::{ChangeReader, Chunk, TransportError};

/// How long the end of the body is awaited after the trailer, so that the connection can serve again.
const LINGER: Duration = Duration::from_secs(1);

/// Reads the body only as far as chunks are asked for: an unread socket holds the server back.
#[derive(Debug)]
pub(super) struct HttpChangeReader {
    /// Absent after the end, or after an error.
    response: Option<Response>,
    decoder: FeedDecoder,
    deadline: Duration,
}

impl HttpChangeReader {
    pub(super) fn new(response: Response, limits: FeedLimits, deadline: Duration) -> Self {
        Self { response: Some(response), decoder: FeedDecoder::new(limits), deadline }
    }

    async fn next_chunk(&mut self) -> Result<Option<Chunk>, TransportError> {
        // Taken out, so that a dropped future or an error leaves a reader that ends instead of one that skips bytes.
        let Some(mut response) = self.response.take() else {
            return self.decoder.finish().map(|()| None);
        };
        let mut pace = Pace::start(self.deadline);
        loop {
            if let Some(chunk) = self.decoder.next_chunk()? {
                if self.decoder.is_complete() {
                    finish(response).await;
                } else {
                    self.response = Some(response);
                }
                return Ok(Some(chunk));
            }
            match pace.within(next_part(&mut response)).await? {
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
async fn finish(mut response: Response) {
    let to_the_end = async { while let Ok(Some(_)) = next_part(&mut response).await {} };
    drop(tokio::time::timeout(LINGER, to_the_end).await);
}

impl ChangeReader for HttpChangeReader {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Chunk>, TransportError>> {
        Box::pin(self.next_chunk())
    }
}
