//! What a token says, once its signature has proved good.

use serde::{Deserialize, Deserializer};
use unisono::limits::MAX_ID_BYTES;
use unisono::model::Scope;

use super::super::AuthError;
use crate::sync::Principal;

/// Latest instant that a token may name, in seconds (the year 9999): sums with it cannot overflow.
pub(super) const MAX_INSTANT: u64 = 253_402_300_799;
/// Most workspaces in one token.
const MAX_WORKSPACES: usize = 1_000;

/// The claims that count; others are ignored. `present` keeps `null` from passing for absent.
#[derive(Deserialize)]
pub(super) struct Claims {
    sub: String,
    exp: u64,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<u64>,
    #[serde(default, deserialize_with = "present")]
    iss: Option<String>,
    #[serde(default, deserialize_with = "present")]
    aud: Option<Audience>,
    /// The login session that it belongs to.
    #[serde(default, deserialize_with = "present")]
    pub(super) sid: Option<String>,
    /// Its own id.
    #[serde(default, deserialize_with = "present")]
    pub(super) jti: Option<String>,
    #[serde(default)]
    workspaces: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn names(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }
}

fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// What an issuer's tokens have to say.
#[derive(Clone, Debug, Default)]
pub(super) struct Demands {
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<String>,
    /// In seconds.
    pub(super) leeway: u64,
}

impl Claims {
    /// The principal, if the token is good at `now` (seconds).
    pub(super) fn admit(self, demands: &Demands, now: u64) -> Result<Principal, AuthError> {
        let invalid = AuthError::Invalid;
        if self.exp > MAX_INSTANT || self.nbf.is_some_and(|nbf| nbf > MAX_INSTANT) {
            return Err(invalid("its `exp` or `nbf` is beyond the year 9999"));
        }
        if self.exp + demands.leeway <= now {
            return Err(AuthError::Expired);
        }
        if self.nbf.is_some_and(|nbf| nbf > now + demands.leeway) {
            return Err(invalid("it is not valid yet"));
        }
        if demands.issuer.is_some() && self.iss != demands.issuer {
            return Err(invalid("its `iss` is not this server's issuer"));
        }
        match (&demands.audience, &self.aud) {
            (None, None) => {}
            (Some(ours), Some(named)) if named.names(ours) => {}
            (Some(_), _) => return Err(invalid("its `aud` is not this server's audience")),
            (None, Some(_)) => return Err(invalid("it names an audience, and this server has none configured")),
        }
        if self.sub.is_empty() || self.sub.len() > MAX_ID_BYTES || self.sub.chars().any(char::is_control) {
            return Err(invalid("its `sub` is empty, longer than 256 bytes, or has control characters"));
        }
        let is_id = |workspace: &String| Scope::workspace(workspace).is_ok();
        if self.workspaces.len() > MAX_WORKSPACES || !self.workspaces.iter().all(is_id) {
            return Err(invalid("its `workspaces` are more than 1000, or one is no workspace id"));
        }
        Ok(Principal { issuer: None, subject: self.sub, workspaces: self.workspaces })
    }
}
