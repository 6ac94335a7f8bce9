//! Tokens from the app.
//!
//! The app is told that a token is wanted and answers when it has one, from whatever thread it likes. An `async` method of the
//! other language would read better here, but Python's generated code runs those on one event loop of the whole process, which
//! somebody has to set, and cancels them from the wrong thread; the packages make their own async functions of this.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::SecretString;
use tokio::sync::oneshot;
use unisono::TokioEnvironment;
use unisono::engine::{Credentials, TokenReason};
use unisono::environment::run_blocking;
use unisono::platform::BoxFuture;

use crate::callback::CallbackError;

/// Gives tokens; implemented by the app.
#[uniffi::export(with_foreign)]
pub trait TokenSource: Send + Sync {
    /// A token is wanted: answer `request` now or later. Called on a thread of its own, for one request at a time; after 30
    /// seconds without an answer the sync goes on without a token. What this throws is the answer, too.
    fn token_wanted(&self, request: Arc<TokenRequest>) -> Result<(), CallbackError>;
}

type Answer = std::result::Result<SecretString, String>;

/// A question for a token.
#[derive(uniffi::Object)]
pub struct TokenRequest {
    reason: TokenReason,
    answer: Mutex<Option<oneshot::Sender<Answer>>>,
}

#[uniffi::export]
impl TokenRequest {
    /// Why a token is wanted.
    pub fn reason(&self) -> TokenReason {
        self.reason
    }

    /// Here is one. Only the first answer counts.
    pub fn give(&self, token: String) {
        self.answer(Ok(SecretString::from(token)));
    }

    /// There is none. The message is shown to the user; it must hold no secret.
    pub fn refuse(&self, message: String) {
        self.answer(Err(message));
    }
}

impl TokenRequest {
    fn answer(&self, answer: Answer) {
        let asker = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(asker) = asker {
            // Nobody waits any more after a timeout or a cancelled call.
            drop(asker.send(answer));
        }
    }
}

/// A [`TokenSource`] as the core's credentials.
pub struct Asked(Arc<dyn TokenSource>);

impl Asked {
    pub fn new(source: Arc<dyn TokenSource>) -> Self {
        Self(source)
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asked(..)")
    }
}

impl Credentials for Asked {
    fn token(&self, reason: TokenReason) -> BoxFuture<'_, Answer> {
        let source = self.0.clone();
        Box::pin(async move {
            let (sender, receiver) = oneshot::channel();
            let request = Arc::new(TokenRequest { reason, answer: Mutex::new(Some(sender)) });
            let asked = run_blocking(&TokioEnvironment, move || source.token_wanted(request)).await;
            match asked {
                Some(Ok(())) => {}
                Some(Err(CallbackError::Failed { reason })) => return Err(reason),
                None => return Err("it panicked".into()),
            }
            receiver.await.unwrap_or_else(|_| Err("it ended without an answer".into()))
        })
    }
}
