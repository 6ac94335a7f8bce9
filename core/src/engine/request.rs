//! Requests that are no part of a sync: a server answers them, or nobody does.

use std::sync::atomic::Ordering;

use super::runtime::Engine;
use crate::error::{Error, Result};
use crate::platform::BoxFuture;
use crate::transport::{Method, TransportError};

impl Engine {
    /// The body of the answer to a request, made with the account's token. Nothing is tried again, and nothing is queued.
    ///
    /// # Errors
    /// `offline` if no server answers, at once where the app has said that there is no network; those of credentials; the
    /// server's refusals.
    pub(crate) async fn request(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Vec<u8>> {
        self.check_open()?;
        if self.no_network.load(Ordering::Acquire) {
            return Err(Error::Offline("the app has said that there is no network".into()));
        }
        match self.asked(method, path, body).await {
            Err(Error::Transport(TransportError::Unreachable(why))) => Err(Error::Offline(why)),
            answer => answer,
        }
    }

    /// The body of a `GET`.
    pub(super) fn fetch<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Vec<u8>>> {
        self.asked(Method::Get, path, None)
    }

    fn asked<'a>(&'a self, method: Method, path: &'a str, body: Option<Vec<u8>>) -> BoxFuture<'a, Result<Vec<u8>>> {
        Box::pin(async move {
            let ask = |context| {
                let body = body.clone();
                async move { self.transport.request(&context, method, path, body).await }
            };
            Ok(self.call(ask).await?.body)
        })
    }
}
