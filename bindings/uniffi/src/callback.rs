//! What the app's own code throws at the library.

/// A callback of the app failed. Its own type: Kotlin's generated code cannot throw another crate's error into a callback.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum CallbackError {
    /// It said so, or it raised something else, or its language could not run it.
    #[error("{reason}")]
    Failed {
        /// Why, in words that may be shown to the user: they must hold no secret.
        reason: String,
    },
}

impl From<uniffi::UnexpectedUniFFICallbackError> for CallbackError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed { reason: error.reason }
    }
}
