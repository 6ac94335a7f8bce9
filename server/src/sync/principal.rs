//! Who asks, and which scopes are theirs.

use unisono::model::Scope;
use unisono::protocol::{Problem, ProblemCode};

use crate::store::ScopeKey;

/// A caller, as the credential says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The account.
    pub subject: String,
    /// The workspaces that the account is a member of.
    pub workspaces: Vec<String>,
}

impl Principal {
    /// The key of `scope` for this caller: the only way from a request to a scope.
    ///
    /// # Errors
    /// `404 scope_not_found` for a workspace of others, which looks like one that does not exist.
    pub(crate) fn scope_key(&self, scope: &Scope) -> Result<ScopeKey, Problem> {
        match scope {
            Scope::User => Ok(self.user_scope()),
            Scope::Workspace(id) if self.workspaces.iter().any(|own| **own == **id) => Ok(ScopeKey::workspace(id)),
            Scope::Workspace(_) => Err(Problem::of(ProblemCode::ScopeNotFound, "there is no such scope")),
        }
    }

    /// All scopes of this caller, under their keys.
    pub(super) fn scopes(&self) -> impl Iterator<Item = (ScopeKey, Scope)> {
        let workspaces =
            self.workspaces.iter().filter_map(|id| Some((ScopeKey::workspace(id), Scope::workspace(id).ok()?)));
        std::iter::once((self.user_scope(), Scope::User)).chain(workspaces)
    }

    /// The key of the caller's private scope.
    pub(super) fn user_scope(&self) -> ScopeKey {
        ScopeKey::account(&self.subject)
    }
}
