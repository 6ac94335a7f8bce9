//! One call for all who need its result.

use crate::platform::sync::{Mutex, TurnLock, lock};

/// A value that is fetched by one call at a time, and renewed when it is refused.
///
/// Whoever comes while a call is under way takes its result, the error too: n callers make one call. If the caller that
/// makes it goes away, the next one makes it anew.
#[derive(Debug)]
pub struct SingleFlight<T, E> {
    state: Mutex<State<T, E>>,
    turn: TurnLock,
}

#[derive(Debug)]
struct State<T, E> {
    value: Option<T>,
    /// Counts the values, so that a refusal says which one was refused.
    number: u64,
    /// Counts the calls that came to an end, so that who has waited for one knows.
    ended: u64,
    /// How the last call failed; nothing if it did not.
    failure: Option<E>,
    /// Counts the sources: a call to one that was replaced meanwhile has no result.
    source: u64,
}

/// A value and which one it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered<T> {
    /// The value.
    pub value: T,
    /// Which one it is, from 1.
    pub number: u64,
}

impl<T, E> Default for SingleFlight<T, E> {
    fn default() -> Self {
        let state = State { value: None, number: 0, ended: 0, failure: None, source: 0 };
        Self { state: Mutex::new(state), turn: TurnLock::default() }
    }
}

impl<T: Clone, E: Clone> SingleFlight<T, E> {
    /// The value, if there is one.
    #[must_use]
    pub fn present(&self) -> Option<Numbered<T>> {
        lock(&self.state).present()
    }

    /// Forgets the value, because its source was replaced. To be called after the replacement: a call that is under way,
    /// perhaps to the old source, is made anew.
    pub fn forget(&self) {
        let mut state = lock(&self.state);
        state.value = None;
        state.failure = None;
        state.source += 1;
    }

    /// A value newer than the one numbered `refused`, from `call` if need be.
    ///
    /// # Errors
    /// Those of `call`.
    pub async fn renew<F>(&self, refused: Option<u64>, call: impl Fn() -> F) -> Result<Numbered<T>, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let came_after = lock(&self.state).ended;
        let _turn = self.turn.lock().await;
        loop {
            let source = {
                let state = lock(&self.state);
                if let Some(value) = state.present().filter(|value| refused != Some(value.number)) {
                    return Ok(value);
                }
                if let Some(failure) = state.failure.as_ref().filter(|_| state.ended != came_after) {
                    return Err(failure.clone());
                }
                state.source
            };
            let result = call().await;
            let mut state = lock(&self.state);
            if state.source != source {
                continue;
            }
            state.ended += 1;
            return match result {
                Ok(value) => {
                    state.number += 1;
                    state.failure = None;
                    state.value = Some(value.clone());
                    Ok(Numbered { value, number: state.number })
                }
                Err(failure) => {
                    state.failure = Some(failure.clone());
                    Err(failure)
                }
            };
        }
    }
}

impl<T: Clone, E> State<T, E> {
    fn present(&self) -> Option<Numbered<T>> {
        Some(Numbered { value: self.value.clone()?, number: self.number })
    }
}
