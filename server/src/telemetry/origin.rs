//! Whose request is being answered, for what is written far below the routes, and far above them.

use std::sync::{Arc, OnceLock};

tokio::task_local! {
    static ORIGIN: Arc<Origin>;
}

/// Where a request comes from, as far as it is known by now.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    /// The caller's address; none without a network.
    pub(crate) peer: Option<String>,
    account: OnceLock<String>,
    device: OnceLock<String>,
}

impl Origin {
    pub(crate) fn new(peer: Option<String>) -> Arc<Self> {
        Arc::new(Self { peer, ..Self::default() })
    }

    /// The account, once its credential was found to be good.
    pub(crate) fn account(&self) -> Option<&str> {
        self.account.get().map(String::as_str)
    }

    /// The device, as it calls itself.
    pub(crate) fn device(&self) -> Option<&str> {
        self.device.get().map(String::as_str)
    }

    /// Runs `answer` as the answer to a request from here.
    pub(crate) async fn answer<T>(self: Arc<Self>, answer: impl Future<Output = T>) -> T {
        ORIGIN.scope(self, answer).await
    }
}

/// The address of the caller whom this task answers.
pub(crate) fn peer() -> Option<String> {
    ORIGIN.try_with(|origin| origin.peer.clone()).ok().flatten()
}

/// The request that this task answers is this account's.
pub(crate) fn is_of_account(account: &str) {
    tracing::Span::current().record("account", account);
    let _ = ORIGIN.try_with(|origin| drop(origin.account.set(account.to_owned())));
}

/// The request that this task answers is this device's.
pub(crate) fn is_of_device(device: &str) {
    tracing::Span::current().record("device", device);
    let _ = ORIGIN.try_with(|origin| drop(origin.device.set(device.to_owned())));
}
