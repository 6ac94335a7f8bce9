//! Credentials: tokens from a value or a callback, refreshed once however many calls were refused.

use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::SecretString;

use super::subject::subject_of;
use crate::concurrency::{Numbered, SingleFlight};
use crate::environment::{Environment, timeout};
use crate::error::{Error, Result};
use crate::platform::{BoxFuture, MaybeSend, MaybeSync};

/// Why a token is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
pub enum TokenReason {
    /// None has been given yet.
    First,
    /// The server refused the last one.
    Refused,
}

/// Gives tokens.
pub trait Credentials: Debug + MaybeSend + MaybeSync + 'static {
    /// A token. Called for one request at a time. The app's own error text is shown to its user; it must hold no secret.
    fn token(&self, reason: TokenReason) -> BoxFuture<'_, Result<SecretString, String>>;

    /// The token, where nobody has to be asked for it: opening a replica compares whose it is, whatever else is known.
    fn at_hand(&self) -> Option<SecretString> {
        None
    }
}

/// A fixed token.
struct Fixed(SecretString);

impl Debug for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fixed([REDACTED])")
    }
}

impl Credentials for Fixed {
    fn token(&self, _: TokenReason) -> BoxFuture<'_, Result<SecretString, String>> {
        Box::pin(async { Ok(self.0.clone()) })
    }

    fn at_hand(&self) -> Option<SecretString> {
        Some(self.0.clone())
    }
}

/// A function as [`Credentials`].
pub struct TokenFn<F>(pub F);

impl<F> Debug for TokenFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenFn(..)")
    }
}

impl<F> Credentials for TokenFn<F>
where
    F: Fn(TokenReason) -> BoxFuture<'static, Result<SecretString, String>> + MaybeSend + MaybeSync + 'static,
{
    fn token(&self, reason: TokenReason) -> BoxFuture<'_, Result<SecretString, String>> {
        (self.0)(reason)
    }
}

/// How long the app's callback may take.
const CALLBACK_LIMIT: Duration = Duration::from_secs(30);

/// The token in use. One refresh at a time: whoever waited for it takes its result, its failure too.
#[derive(Debug, Default)]
pub struct Tokens {
    source: Mutex<Source>,
    current: SingleFlight<SecretString, String>,
}

#[derive(Debug, Default)]
struct Source {
    credentials: Option<Arc<dyn Credentials>>,
    /// Whose its newest token is, where the token says so itself.
    subject: Option<Arc<str>>,
    /// The app gave it after the client was opened, and nobody has taken note yet.
    is_news: bool,
}

impl Source {
    fn new(credentials: Option<Arc<dyn Credentials>>) -> Self {
        let token = credentials.as_ref().and_then(|credentials| credentials.at_hand());
        Self { credentials, subject: token.and_then(|token| subject_of(&token)).map(Arc::from), is_news: false }
    }
}

impl Tokens {
    /// Tokens from `source`.
    #[must_use]
    pub fn new(source: Option<Arc<dyn Credentials>>) -> Self {
        Self { source: Mutex::new(Source::new(source)), ..Self::default() }
    }

    /// A fixed token as a source.
    #[must_use]
    pub fn fixed(token: SecretString) -> Arc<dyn Credentials> {
        Arc::new(Fixed(token))
    }

    /// Replaces the source: the app has signed in again. What the old one still says is not listened to.
    pub fn replace(&self, source: Arc<dyn Credentials>) {
        *lock(&self.source) = Source { is_news: true, ..Source::new(Some(source)) };
        self.current.forget();
    }

    /// Whether the source was replaced since this was last asked.
    pub(super) fn take_news(&self) -> bool {
        std::mem::take(&mut lock(&self.source).is_news)
    }

    /// Whether there is a source.
    pub(crate) fn has_source(&self) -> bool {
        lock(&self.source).credentials.is_some()
    }

    /// The token that nobody has to be asked for.
    pub(crate) fn at_hand(&self) -> Option<SecretString> {
        lock(&self.source).credentials.as_ref().and_then(|credentials| credentials.at_hand())
    }

    /// Whose the newest token is, where it says so itself.
    pub(crate) fn subject(&self) -> Option<Arc<str>> {
        lock(&self.source).subject.clone()
    }

    /// The current token, asking the source for the first.
    pub(crate) async fn current(&self, environment: &dyn Environment) -> Result<Numbered<SecretString>> {
        match self.current.present() {
            Some(token) => Ok(token),
            None => self.refresh(None, environment).await,
        }
    }

    /// A token newer than the one numbered `refused`.
    pub(super) async fn refresh(
        &self,
        refused: Option<u64>,
        environment: &dyn Environment,
    ) -> Result<Numbered<SecretString>> {
        let reason = if refused.is_some() { TokenReason::Refused } else { TokenReason::First };
        self.current.renew(refused, || self.ask(reason, environment)).await.map_err(Error::NoToken)
    }

    async fn ask(&self, reason: TokenReason, environment: &dyn Environment) -> Result<SecretString, String> {
        let asked = lock(&self.source)
            .credentials
            .clone()
            .ok_or("no token was given: a client that syncs is opened with its server's URL and a token")?;
        let token = timeout(environment, CALLBACK_LIMIT, asked.token(reason))
            .await
            .ok_or("the token callback did not answer within 30 s")?
            .map_err(|message| format!("the token callback failed: {message}"))?;
        let mut source = lock(&self.source);
        if source.credentials.as_ref().is_some_and(|present| Arc::ptr_eq(present, &asked)) {
            source.subject = subject_of(&token).map(Arc::from);
        }
        Ok(token)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
