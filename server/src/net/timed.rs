//! A connection's deadlines. Without them, a client that says nothing, stops in the middle of a head, or takes no bytes would hold
//! its place for ever. (A body's deadline is its reader's.)

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::traffic::Traffic;

/// How long a connection may keep the server waiting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    /// For the first byte.
    pub(super) first_byte: Duration,
    /// For a request's head, from its first byte.
    pub(super) head: Duration,
    /// For the next request.
    pub(super) idle: Duration,
    /// For taking bytes of an answer.
    pub(super) stall: Duration,
}

/// What a read waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    FirstByte,
    RestOfHead,
    NextRequest,
}

/// A stream that fails with `TimedOut` when a deadline passes.
#[derive(Debug)]
pub(super) struct Timed<S> {
    stream: S,
    deadlines: Deadlines,
    traffic: Arc<Traffic>,
    /// The requests that had begun when bytes of another one came.
    head_after: Option<u64>,
    /// Runs while a read waits outside of a request.
    waiting: Option<(Awaited, u64, Pin<Box<Sleep>>)>,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S: Unpin> Timed<S> {
    pub(super) fn new(stream: S, deadlines: Deadlines, traffic: Arc<Traffic>) -> Self {
        Self { stream, deadlines, traffic, head_after: None, waiting: None, stalled: None }
    }

    /// Times a read that waits.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.traffic.is_busy() {
            self.waiting = None;
            return Poll::Pending;
        }
        let begun = self.traffic.begun();
        let (awaited, limit) = match self.head_after {
            Some(after) if after == begun => (Awaited::RestOfHead, self.deadlines.head),
            _ if begun == 0 => (Awaited::FirstByte, self.deadlines.first_byte),
            _ => (Awaited::NextRequest, self.deadlines.idle),
        };
        if self.waiting.as_ref().is_none_or(|(was, at, _)| (*was, *at) != (awaited, begun)) {
            self.waiting = Some((awaited, begun, Box::pin(tokio::time::sleep(limit))));
        }
        if let Some((.., timer)) = &mut self.waiting {
            ready!(timer.as_mut().poll(cx));
        }
        let what = match awaited {
            Awaited::FirstByte => "the client says nothing",
            Awaited::RestOfHead => "a request's head does not end",
            Awaited::NextRequest => "the connection is idle",
        };
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, what)))
    }

    /// Passes on what a write came to; one that waits is timed.
    fn time<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.traffic.set_writing(outcome.is_pending());
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let limit = self.deadlines.stall;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes no bytes")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(outcome) => {
                if buffer.filled().len() > before && !self.traffic.is_busy() {
                    self.head_after = Some(self.traffic.begun());
                }
                Poll::Ready(outcome)
            }
            Poll::Pending => self.wait(cx),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.time(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.time(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::Instant;

    const DEADLINES: Deadlines = Deadlines {
        first_byte: Duration::from_secs(10),
        head: Duration::from_secs(20),
        idle: Duration::from_secs(75),
        stall: Duration::from_secs(60),
    };

    fn pair() -> (DuplexStream, Timed<DuplexStream>, Arc<Traffic>) {
        let (client, server) = duplex(8);
        let traffic = Arc::<Traffic>::default();
        (client, Timed::new(server, DEADLINES, Arc::clone(&traffic)), traffic)
    }

    #[tokio::test(start_paused = true)]
    async fn i13_a_client_that_takes_nothing_loses_its_connection() {
        let (_client, mut server, traffic) = pair();
        let error = server.write_all(&[0; 9]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(!traffic.is_quiet(), "bytes are left");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_keeps_it() {
        let (mut client, mut server, _) = pair();
        let reader = tokio::spawn(async move {
            let mut taken = 0;
            while taken < 80 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                taken += client.read(&mut [0; 8]).await.unwrap();
            }
        });
        server.write_all(&[0; 80]).await.unwrap();
        reader.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn each_kind_of_silence_has_its_deadline() {
        let (_client, mut server, _) = pair();
        let begin = Instant::now();
        assert_eq!(server.read(&mut [0; 8]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(begin.elapsed(), DEADLINES.first_byte);

        // A byte every 15 seconds does not move the deadline of the head.
        let (mut slow, mut trickled, _) = pair();
        let begin = Instant::now();
        tokio::spawn(async move {
            while slow.write_all(b"G").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(15)).await;
            }
        });
        let error = loop {
            if let Err(error) = trickled.read(&mut [0; 8]).await {
                break error;
            }
        };
        assert_eq!((error.kind(), begin.elapsed()), (io::ErrorKind::TimedOut, DEADLINES.head));

        // While a request is answered, no deadline of the connection's runs; after it, the one of idleness.
        let (mut client, mut server, traffic) = pair();
        client.write_all(b"G").await.unwrap();
        let busy = traffic.begin();
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 1);
        let waited = tokio::time::timeout(Duration::from_secs(1000), server.read(&mut [0; 8])).await;
        assert!(waited.is_err(), "a long answer is no silence");
        drop(busy);
        let begin = Instant::now();
        assert_eq!(server.read(&mut [0; 8]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(begin.elapsed(), DEADLINES.idle);
    }
}
