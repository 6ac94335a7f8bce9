//! Closing once.

use crate::platform::sync::{AtomicBool, Ordering, TurnLock};

/// Sees to it that something is closed exactly once, whoever asks and whoever gives up waiting.
///
/// From the first call of [`run`](Self::run), [`has_begun`](Self::has_begun). When any call returns, all is closed. A caller
/// that goes away in the middle leaves the work to the next one; after the end a call returns at once.
#[derive(Debug, Default)]
pub struct Closing {
    begun: AtomicBool,
    done: AtomicBool,
    turn: TurnLock,
}

impl Closing {
    /// Whether closing has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Closes with `close`, unless that was done. `close` may have been begun and dropped before.
    ///
    /// # Errors
    /// Those of `close`, for the caller that ran it. It counts as closed all the same.
    pub async fn run<E, F: Future<Output = Result<(), E>>>(&self, close: impl FnOnce() -> F) -> Result<(), E> {
        self.begun.store(true, Ordering::Release);
        let _turn = self.turn.lock().await;
        if self.done.load(Ordering::Acquire) {
            return Ok(());
        }
        let result = close().await;
        self.done.store(true, Ordering::Release);
        result
    }
}
