//! The keys that an issuer publishes (JWKS): fetched when they are needed, kept, and never given up for a set that cannot be read.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use unisono::environment::{SharedEnvironment, timeout};
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
    /// The set's text (RFC 7517), or in words, without credentials, why it cannot be had. It is given up after five seconds.
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

/// A key set that an issuer serves. Its `Debug` form has neither the address's user and password nor its query, which may hold
/// credentials.
#[derive(Clone)]
pub struct KeyUrl {
    url: reqwest::Url,
    client: reqwest::Client,
}

impl fmt::Debug for KeyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyUrl").field(&format_args!("{}", without_credentials(&self.url))).finish()
    }
}

impl KeyUrl {
    /// A key set at an `https` address; `http` only on this machine. Redirects are not followed.
    ///
    /// # Errors
    /// In words, without credentials, if the address is no such one.
    pub fn new(url: &str) -> Result<Self, String> {
        let url: reqwest::Url = url.parse().map_err(|error| format!("the address of a key set is no URL: {error}"))?;
        let local = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        if url.scheme() != "https" && !(url.scheme() == "http" && local) {
            let url = without_credentials(&url);
            return Err(format!("{url} is not https: whoever is on the way could put own keys in"));
        }
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let client = client.build().map_err(|error| error.to_string())?;
        Ok(Self { url, client })
    }
}

/// An address as it may be logged.
fn without_credentials(url: &reqwest::Url) -> String {
    format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

/// An error in words, without the address that it is about.
fn words(error: reqwest::Error) -> String {
    error.without_url().to_string()
}

impl FetchKeys for KeyUrl {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, String>> {
        Box::pin(async {
            let mut answer = self.client.get(self.url.clone()).send().await.map_err(words)?;
            if answer.status() != reqwest::StatusCode::OK {
                return Err(format!("the answer has status {}", answer.status()));
            }
            let mut text = Vec::new();
            while let Some(part) = answer.chunk().await.map_err(words)? {
                if text.len() + part.len() > MAX_SET_BYTES {
                    return Err(format!("the answer has more than {MAX_SET_BYTES} bytes"));
                }
                text.extend_from_slice(&part);
            }
            Ok(text)
        })
    }
}

/// An issuer's published keys. A fetch is a task of its own, which all share who wait for it: a request that is given up takes
/// nothing from the others.
#[derive(Debug)]
pub(super) struct Published {
    source: Arc<dyn FetchKeys>,
    environment: SharedEnvironment,
    held: Mutex<Held>,
}

#[derive(Clone, Default)]
struct Held {
    /// The last good set; `None` before the first.
    keys: Option<Arc<[Key]>>,
    /// When it was fetched.
    fetched: Option<Duration>,
    /// When a fetch was last begun.
    tried: Option<Duration>,
    /// The last fetch; its other end is dropped when it is over.
    fetch: Option<watch::Receiver<()>>,
}

impl Held {
    /// The fetch that is under way.
    fn under_way(&self) -> Option<watch::Receiver<()>> {
        self.fetch.clone().filter(|fetch| fetch.has_changed().is_ok())
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("fetched", &self.fetched).field("tried", &self.tried).finish_non_exhaustive()
    }
}

impl Published {
    pub(super) fn new(source: Arc<dyn FetchKeys>, environment: SharedEnvironment) -> Self {
        Self { source, environment, held: Mutex::default() }
    }

    /// The keys, fetched before if none is there that `wanted` names, or if they are old; `None` if there has never been a set.
    pub(super) async fn keys(self: &Arc<Self>, wanted: Option<&str>) -> Option<Arc<[Key]>> {
        let fetch = {
            let mut held = self.held();
            let found = held.keys.as_ref().is_some_and(|keys| keys.iter().any(|key| key.answers_to(wanted)));
            let now = self.environment.monotonic();
            let is_old = held.fetched.is_none_or(|fetched| now.saturating_sub(fetched) >= MAX_AGE);
            match held.under_way() {
                // Whoever has a key does not wait for a fresher set that another request has asked for.
                under_way @ Some(_) => under_way.filter(|_| !found),
                None if found && !is_old => None,
                None => self.begin(&mut held, now),
            }
        };
        if let Some(mut fetch) = fetch {
            // Nothing is ever sent: it ends when the other end is dropped.
            drop(fetch.changed().await);
        }
        self.held().keys.clone()
    }

    /// Begins to fetch the set, unless that was tried just before.
    fn begin(self: &Arc<Self>, held: &mut Held, now: Duration) -> Option<watch::Receiver<()>> {
        if held.tried.is_some_and(|tried| now.saturating_sub(tried) < PAUSE) {
            return None;
        }
        let (over, fetch) = watch::channel(());
        (held.tried, held.fetch) = (Some(now), Some(fetch.clone()));
        let published = Arc::clone(self);
        self.environment.spawn(Box::pin(async move {
            published.fetch(now).await;
            drop(over);
        }));
        Some(fetch)
    }

    async fn fetch(&self, begun: Duration) {
        let fetched = timeout(&*self.environment, FETCH_TIME, self.source.fetch()).await;
        let fetched = fetched.unwrap_or_else(|| Err(format!("there is no answer within {} s", FETCH_TIME.as_secs())));
        let keys = fetched.and_then(|text| {
            Key::read_set(&text).ok_or_else(|| "it is no key set with a key for RS256, ES256 or EdDSA".to_owned())
        });
        let mut held = self.held();
        match keys {
            Ok(keys) => (held.keys, held.fetched) = (Some(keys.into()), Some(begun)),
            Err(cause) => {
                let kept = held.keys.is_some();
                tracing::warn!(cause, kept, source = ?self.source, "an issuer's keys cannot be fetched");
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
