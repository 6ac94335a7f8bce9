//! What happens in a client, told to the app: as a stream that it reads, or to a listener.

use std::sync::Arc;

use tokio::task::JoinHandle;
use unisono::TokioEnvironment;
use unisono::client::Events;
use unisono::environment::run_blocking;
use unisono::events::ClientEvent;

use crate::Result;
use crate::callback::CallbackError;
use crate::executor::{Executor, On};
use crate::stream::{Reader, Source};

impl Source for Events {
    type Item = ClientEvent;

    async fn next(&mut self) -> unisono::Result<Option<ClientEvent>> {
        Ok(self.next().await)
    }
}

/// Yields what happens in the client. Whoever reads too slowly is told so by a `lagged` event. Dropping it ends it.
#[derive(Debug, uniffi::Object)]
pub struct EventStream(Reader<Events>);

impl EventStream {
    pub(crate) fn new(place: On<()>, events: Events) -> Self {
        Self(Reader::new(place, events))
    }
}

#[uniffi::export]
impl EventStream {
    /// The next event; none once the client is closed.
    pub async fn next(&self) -> Result<Option<ClientEvent>> {
        self.0.next().await
    }
}

/// Hears what happens in the client; implemented by the app.
#[uniffi::export(with_foreign)]
pub trait EventListener: Send + Sync {
    /// Something happened. Called on a thread of its own, one event at a time: it may call the client, and it may take its
    /// time, though if it falls far behind it hears `lagged` instead of what it missed. What it throws is logged; the next
    /// event comes all the same.
    fn on_event(&self, event: ClientEvent) -> Result<(), CallbackError>;
}

/// A listener's place in a client. It lasts until it is cancelled or the client is closed, held or not.
#[derive(Debug, uniffi::Object)]
pub struct Subscription(JoinHandle<()>);

impl Subscription {
    pub(crate) fn new(executor: &Executor, mut events: Events, listener: Arc<dyn EventListener>) -> Self {
        Self(executor.spawn(async move {
            while let Some(event) = events.next().await {
                let listener = listener.clone();
                let told = run_blocking(&TokioEnvironment, move || listener.on_event(event)).await;
                match told {
                    Some(Ok(())) => {}
                    Some(Err(CallbackError::Failed { reason })) => tracing::warn!(reason, "an event listener failed"),
                    None => tracing::warn!("an event listener panicked"),
                }
            }
        }))
    }
}

#[uniffi::export]
impl Subscription {
    /// Ends it. An event that the listener is hearing is its last.
    pub fn cancel(&self) {
        self.0.abort();
    }
}
