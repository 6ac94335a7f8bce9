//! The keys that an issuer publishes (JWKS): fetched when they are needed, kept, and never given up for a set that cannot be read.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use unisono::environment::SharedEnvironment;
use unisono::platform::BoxFuture;

use super::key::Key;

/// Largest key set, in bytes.
const MAX_SET_BYTES: usize = 256 << 10;
/// Age at which a set is fetched again.
const MAX_AGE: Duration = Duration::from_secs(600);
/// Least time between two tries: tokens that name unknown keys cost no more than this.
const PAUSE: Duration = Duration::from_secs(60);
/// How long an issuer may take to answer.
const FETCH_TIME: Duration = Duration::from_secs(5);

/// Where a key set comes from.
pub trait FetchKeys: fmt::Debug + Send + Sync + 'static {
    /// The set's text (RFC 7517), or in words why it cannot be had.
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, String>>;
}

/// A key set in a file, which may be replaced while the server runs.
#[derive(Clone, Debug)]
pub struct KeyFile(pub PathBuf);

impl FetchKeys for KeyFile {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, String>> {
        Box::pin(async { std::fs::read(&self.0).map_err(|error| error.to_string()) })
    }
}

/// A key set that an issuer serves.
#[derive(Clone, Debug)]
pub struct KeyUrl {
    url: reqwest::Url,
    client: reqwest::Client,
}

impl KeyUrl {
    /// A key set at an `https` address; `http` only on this machine. Redirects are not followed.
    ///
    /// # Errors
    /// In words, if the address is no such one.
    pub fn new(url: &str) -> Result<Self, String> {
        let url: reqwest::Url = url.parse().map_err(|error| format!("{url} is no address: {error}"))?;
        let local = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        if url.scheme() != "https" && !(url.scheme() == "http" && local) {
            return Err(format!("{url} is not https: whoever is on the way could put own keys in"));
        }
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(FETCH_TIME)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { url, client })
    }
}

impl FetchKeys for KeyUrl {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, String>> {
        Box::pin(async {
            let answer = self.client.get(self.url.clone()).send().await.map_err(|error| error.to_string())?;
            if answer.status() != reqwest::StatusCode::OK {
                return Err(format!("the answer has status {}", answer.status()));
            }
            let mut answer = answer;
            let mut text = Vec::new();
            while let Some(part) = answer.chunk().await.map_err(|error| error.to_string())? {
                if text.len() + part.len() > MAX_SET_BYTES {
                    return Err(format!("the answer has more than {MAX_SET_BYTES} bytes"));
                }
                text.extend_from_slice(&part);
            }
            Ok(text)
        })
    }
}

/// An issuer's published keys.
#[derive(Debug)]
pub(super) struct Published {
    source: Arc<dyn FetchKeys>,
    environment: SharedEnvironment,
    held: Mutex<Held>,
    /// Who holds it fetches.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Held {
    /// The last good set; `None` before the first.
    keys: Option<Arc<[Key]>>,
    /// When it was fetched.
    fetched: Option<Duration>,
    /// When a fetch was last begun.
    tried: Option<Duration>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("fetched", &self.fetched).field("tried", &self.tried).finish_non_exhaustive()
    }
}

impl Published {
    pub(super) fn new(source: Arc<dyn FetchKeys>, environment: SharedEnvironment) -> Self {
        Self { source, environment, held: Mutex::default(), fetching: tokio::sync::Mutex::default() }
    }

    /// The keys, fetched before if none is there that `wanted` names, or if they are old; `None` if there has never been a set.
    pub(super) async fn keys(&self, kid: Option<&str>) -> Option<Arc<[Key]>> {
        let held = self.held();
        let found = held.keys.as_ref().is_some_and(|keys| keys.iter().any(|key| key.answers_to(kid)));
        let now = self.environment.monotonic();
        let is_old = held.fetched.is_none_or(|fetched| now.saturating_sub(fetched) >= MAX_AGE);
        if !found || is_old {
            // Whoever has a key does not wait for a fresher set that another request fetches.
            let turn = if found { self.fetching.try_lock().ok() } else { Some(self.fetching.lock().await) };
            if let Some(_turn) = turn {
                self.fetch().await;
            }
        }
        self.held().keys
    }

    /// Fetches the set, unless that was tried just before.
    async fn fetch(&self) {
        let now = self.environment.monotonic();
        if self.held().tried.is_some_and(|tried| now.saturating_sub(tried) < PAUSE) {
            return;
        }
        self.change(|held| held.tried = Some(now));
        let keys = self.source.fetch().await.and_then(|text| {
            Key::read_set(&text).ok_or_else(|| "it is no key set with a key for RS256, ES256 or EdDSA".to_owned())
        });
        match keys {
            Ok(keys) => self.change(|held| (held.keys, held.fetched) = (Some(keys.into()), Some(now))),
            Err(cause) => {
                let kept = self.held().keys.is_some();
                tracing::warn!(cause, kept, source = ?self.source, "an issuer's keys cannot be fetched");
            }
        }
    }

    fn held(&self) -> Held {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Held)) {
        change(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
