//! What routes ask of their callers.

use unisono::protocol::ProblemCode;

use super::caller::Right;
use crate::problem::ApiError;

/// What a route asks of its caller. Every route of the table says it; the layer around the route demands it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing: it tells nothing of any account.
    Nothing,
    /// The right to read.
    Read,
    /// The right to write.
    Write,
    /// To be the account itself, by a token of its login: a key makes no keys.
    Account,
}

impl Needs {
    /// Refuses a caller who may not.
    pub(super) fn check(self, right: &Right) -> Result<(), ApiError> {
        let Right::Key { rights, .. } = right else { return Ok(()) };
        let missing = match self {
            Self::Nothing => return Ok(()),
            // Answers to writes tell records.
            Self::Read if rights.reads || rights.writes => return Ok(()),
            Self::Write if rights.writes => return Ok(()),
            Self::Read => "the API key may not read",
            Self::Write => "the API key may not write",
            Self::Account => "an API key manages no API keys; sign in",
        };
        let refused = ApiError::new(ProblemCode::Forbidden, "The credential does not permit this");
        Err(refused.detail(missing))
    }

    /// The need in the words of the OpenAPI document.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Read => "read",
            Self::Write => "write",
            Self::Account => "account",
        }
    }
}
