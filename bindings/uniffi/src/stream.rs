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
