//! Credentials: tokens from a value or a callback, refreshed once however many calls were refused.

use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::SecretString;

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
    source: Mutex<Option<Arc<dyn Credentials>>>,
    current: SingleFlight<SecretString, String>,
}

impl Tokens {
    /// Tokens from `source`.
    #[must_use]
    pub fn new(source: Option<Arc<dyn Credentials>>) -> Self {
        Self { source: Mutex::new(source), ..Self::default() }
    }

    /// A fixed token as a source.
    #[must_use]
    pub fn fixed(token: SecretString) -> Arc<dyn Credentials> {
        Arc::new(Fixed(token))
    }

    /// Replaces the source: the app has signed in again. What the old one still says is not listened to.
    pub fn replace(&self, source: Arc<dyn Credentials>) {
        *lock(&self.source) = Some(source);
        self.current.forget();
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
        self.current.renew(refused, || self.ask(reason, environment)).await.map_err(Error::Auth)
    }

    async fn ask(&self, reason: TokenReason, environment: &dyn Environment) -> Result<SecretString, String> {
        let source = lock(&self.source).clone().ok_or("no token was given")?;
        timeout(environment, CALLBACK_LIMIT, source.token(reason))
            .await
            .ok_or("the token callback did not answer within 30 s")?
            .map_err(|message| format!("the token callback failed: {message}"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
