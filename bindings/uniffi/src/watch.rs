//! Watches.

use unisono::client::WatchUpdate;

use crate::Result;
use crate::executor::On;
use crate::stream::{Reader, Source};

impl Source for unisono::client::Watch {
    type Item = WatchUpdate;

    async fn next(&mut self) -> unisono::Result<Option<WatchUpdate>> {
        self.next().await
    }
}

/// Follows a query: first the answer as it is, then whenever it changes. Changes that come faster than the app asks are told
/// together. Dropping it ends it.
#[derive(Debug, uniffi::Object)]
pub struct Watch(Reader<unisono::client::Watch>);

impl Watch {
    pub(crate) fn new(place: On<()>, watch: unisono::client::Watch) -> Self {
        Self(Reader::new(place, watch))
    }
}

#[uniffi::export]
impl Watch {
    /// The next update; none once the client is closed.
    pub async fn next(&self) -> Result<Option<WatchUpdate>> {
        self.0.next().await
    }
}
