//! Who may do what: the identity provider of a simulation. Tokens are numbered, so that they can expire, and carry a mark
//! that must never be seen anywhere else (I15).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret, SecretString};

use crate::engine::subject_of;
use crate::platform::BoxFuture;
use crate::protocol::{Problem, ProblemCode};
use crate::transport::RequestContext;

/// What every token contains. Found anywhere but in a request's credentials, it is a leak.
pub const CANARY: &str = "canary7e3b";

/// Whose a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub account: String,
    /// The workspaces that it is a member of.
    pub workspaces: Vec<String>,
}

/// Issues tokens and judges them. Clones are the same.
#[derive(Clone, Default)]
pub struct Access {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Per account, the number of its newest token, and of the newest that has expired.
    tokens: BTreeMap<String, (u64, u64)>,
    /// The workspaces that each token names: those of its account when it was issued.
    claims: BTreeMap<(String, u64), BTreeSet<String>>,
    members: BTreeMap<String, BTreeSet<String>>,
}

impl Access {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new token for `account`.
    #[must_use]
    pub fn issue(&self, account: &str) -> SecretString {
        let mut state = self.lock();
        let (newest, _) = state.tokens.entry(account.to_owned()).or_default();
        *newest += 1;
        let number = *newest;
        let workspaces = state.members.get(account).cloned().unwrap_or_default();
        state.claims.insert((account.to_owned(), number), workspaces);
        SecretString::from(format!("{CANARY}.{}.{number}", claims(account)))
    }

    /// Every token that `account` was given so far is refused from now on.
    pub fn expire(&self, account: &str) {
        if let Some((newest, expired)) = self.lock().tokens.get_mut(account) {
            *expired = *newest;
        }
    }

    /// Makes `account` a member of a workspace. Tokens that it was given before do not say so.
    pub fn admit(&self, account: &str, workspace: &str) {
        self.lock().members.entry(account.to_owned()).or_default().insert(workspace.to_owned());
    }

    /// Ends a membership, at once.
    pub fn expel(&self, account: &str, workspace: &str) {
        if let Some(workspaces) = self.lock().members.get_mut(account) {
            workspaces.remove(workspace);
        }
    }

    /// All that `account` may see with a token that is issued now.
    #[must_use]
    pub fn caller(&self, account: &str) -> Caller {
        let workspaces = self.lock().members.get(account).map(|all| all.iter().cloned().collect()).unwrap_or_default();
        Caller { account: account.to_owned(), workspaces }
    }

    /// Whose a request is.
    ///
    /// # Errors
    /// `401 auth_required` if its token is missing, unknown or expired.
    pub fn judge(&self, context: &RequestContext) -> Result<Caller, Problem> {
        let refused = || Problem::of(ProblemCode::AuthRequired, "the token is missing, unknown or expired");
        let token = context.token.as_ref().ok_or_else(refused)?;
        let account = subject_of(token).ok_or_else(refused)?;
        let mut parts = token.expose_secret().split('.');
        let (Some(CANARY), Some(_), Some(number)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(refused());
        };
        let number: u64 = number.parse().map_err(|_| refused())?;
        let (newest, expired) = self.lock().tokens.get(&account).copied().unwrap_or_default();
        if number <= expired || number > newest {
            return Err(refused());
        }
        let mut caller = self.caller(&account);
        let state = self.lock();
        let claimed = state.claims.get(&(account, number));
        caller.workspaces.retain(|workspace| claimed.is_some_and(|claimed| claimed.contains(workspace)));
        Ok(caller)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("accounts", &self.lock().tokens.len()).finish_non_exhaustive()
    }
}

/// The middle part of a JWT of `account`: RFC 4648 §5, without padding.
fn claims(account: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let json = serde_json::json!({"sub": account}).to_string();
    let mut text = String::new();
    for bytes in json.as_bytes().chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(*bytes.get(at).unwrap_or(&0)));
        text.extend((0..=bytes.len()).map(|at| char::from(DIGITS[bits >> (18 - 6 * at) & 63])));
    }
    text
}

/// A device's source of tokens, which can be told to fail, as when the user has to sign in again.
#[derive(Clone, Debug)]
pub struct Wallet {
    access: Access,
    account: String,
    closed: Arc<Mutex<bool>>,
}

impl Wallet {
    /// Tokens of `account`.
    #[must_use]
    pub fn new(access: Access, account: &str) -> Self {
        Self { access, account: account.to_owned(), closed: Arc::default() }
    }

    /// From now on there is no token to be had; or there is again.
    pub fn set_closed(&self, closed: bool) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = closed;
    }

    /// Whether there is no token to be had.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl crate::engine::Credentials for Wallet {
    fn token(&self, _: crate::engine::TokenReason) -> BoxFuture<'_, Result<SecretString, String>> {
        let token = if self.is_closed() {
            Err("the user has to sign in".to_owned())
        } else {
            Ok(self.access.issue(&self.account))
        };
        Box::pin(std::future::ready(token))
    }
}
