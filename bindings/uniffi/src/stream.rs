//! Streams that the other language reads at its own pace.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::Result;
use crate::executor::On;

/// A stream of the core.
pub trait Source: Send + 'static {
    /// What it yields.
    type Item: std::fmt::Debug + Send + 'static;

    /// The next item; `None` at its end. Cancelling loses nothing.
    fn next(&mut self) -> impl Future<Output = unisono::Result<Option<Self::Item>>> + Send;
}

/// Reads a [`Source`] on the executor. A call that is cancelled while its item is on the way leaves it for the next call.
#[derive(Debug)]
pub struct Reader<S: Source>(On<Arc<Mutex<Reading<S>>>>);

#[derive(Debug)]
struct Reading<S: Source> {
    source: S,
    /// Read, and not handed over yet.
    ready: Option<S::Item>,
}

impl<S: Source> Reader<S> {
    pub fn new(source: On<()>, stream: S) -> Self {
        Self(source.with(Arc::new(Mutex::new(Reading { source: stream, ready: None }))))
    }

    /// The next item; `None` at the end. Calls at one time are answered one after the other.
    pub async fn next(&self) -> Result<Option<S::Item>> {
        self.0
            .call(|reading| async move {
                let mut reading = reading.lock_owned().await;
                if reading.ready.is_none() {
                    reading.ready = reading.source.next().await?;
                }
                Ok(reading)
            })
            .await
            .map(|mut reading| reading.ready.take())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use tokio::sync::{mpsc, oneshot};

    use super::*;
    use crate::executor::Executor;

    /// Counts, once it may.
    #[derive(Debug)]
    struct Numbers {
        may: Option<oneshot::Receiver<()>>,
        read: mpsc::UnboundedSender<u64>,
        last: u64,
    }

    impl Source for Numbers {
        type Item = u64;

        async fn next(&mut self) -> unisono::Result<Option<u64>> {
            if let Some(may) = self.may.take() {
                may.await.expect("the test says when");
            }
            self.last += 1;
            self.read.send(self.last).expect("the test listens");
            Ok(Some(self.last))
        }
    }

    #[tokio::test]
    async fn an_item_that_was_read_for_a_cancelled_call_is_the_next_one_s() {
        let executor = Arc::new(Executor::of_this_process().unwrap());
        let (go, may) = oneshot::channel();
        let (read, mut reads) = mpsc::unbounded_channel();
        let reader = Reader::new(On { inner: (), executor }, Numbers { may: Some(may), read, last: 0 });
        let mut call = Box::pin(reader.next());
        poll_fn(|context| {
            assert!(call.as_mut().poll(context).is_pending(), "the source waits");
            Poll::Ready(())
        })
        .await;
        go.send(()).unwrap();
        assert_eq!(reads.recv().await, Some(1));
        drop(call);
        assert_eq!(reader.next().await.unwrap(), Some(1));
        assert_eq!(reader.next().await.unwrap(), Some(2));
    }
}
