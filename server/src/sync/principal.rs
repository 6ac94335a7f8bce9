//! Who asks, and which scopes are theirs.

use unisono::model::Scope;
use unisono::protocol::{Problem, ProblemCode};

use crate::store::ScopeKey;

/// Stands in an account's name between its issuer and its subject.
const DIVIDER: char = '#';

/// A caller, as the credential says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Whose names `subject` and `workspaces` are, where the same name of another issuer means another account; without `#`.
    pub issuer: Option<String>,
    /// The account, as its devices name it.
    pub subject: String,
    /// The workspaces that the account is a member of.
    pub workspaces: Vec<String>,
}

impl Principal {
    /// The account that is named by `subject` alone, a member of no workspace.
    #[must_use]
    pub fn new(subject: &str) -> Self {
        Self { issuer: None, subject: subject.to_owned(), workspaces: Vec::new() }
    }

    /// The name of the account on this server: the subject, or `<issuer>#<subject>`.
    #[must_use]
    pub fn account(&self) -> String {
        self.name(&self.subject)
    }

    /// The caller whose account has this name.
    pub(crate) fn of_account(account: &str) -> Self {
        match account.split_once(DIVIDER) {
            None => Self::new(account),
            Some(("", subject)) => Self::new(subject),
            Some((issuer, subject)) => Self { issuer: Some(issuer.to_owned()), ..Self::new(subject) },
        }
    }

    /// A name of the issuer's as the server tells it from the same one of others. One without an issuer that looks as if it had
    /// one begins with the divider.
    fn name(&self, name: &str) -> String {
        match &self.issuer {
            None if !name.contains(DIVIDER) => name.to_owned(),
            issuer => format!("{}{DIVIDER}{name}", issuer.as_deref().unwrap_or_default()),
        }
    }

    /// The key of `scope` for this caller: the only way from a request to a scope.
    ///
    /// # Errors
    /// `404 scope_not_found` for a workspace of others, which looks like one that does not exist.
    pub(crate) fn scope_key(&self, scope: &Scope) -> Result<ScopeKey, Problem> {
        match scope {
            Scope::User => Ok(self.user_scope()),
            Scope::Workspace(id) if self.workspaces.iter().any(|own| **own == **id) => {
                Ok(ScopeKey::workspace(&self.name(id)))
            }
            Scope::Workspace(_) => Err(Problem::of(ProblemCode::ScopeNotFound, "there is no such scope")),
        }
    }

    /// All scopes of this caller, under their keys.
    pub(super) fn scopes(&self) -> impl Iterator<Item = (ScopeKey, Scope)> {
        let key = |id: &String| ScopeKey::workspace(&self.name(id));
        let workspaces = self.workspaces.iter().filter_map(move |id| Some((key(id), Scope::workspace(id).ok()?)));
        std::iter::once((self.user_scope(), Scope::User)).chain(workspaces)
    }

    /// The key of the caller's private scope.
    pub(super) fn user_scope(&self) -> ScopeKey {
        ScopeKey::account(&self.account())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accounts_name_tells_its_issuer_and_its_subject() {
        let mut names = Vec::new();
        for (issuer, subject, name) in [
            (None, "anna", "anna"),
            (None, "auth0|7", "auth0|7"),
            (None, "a#b", "#a#b"),
            (None, "#b", "##b"),
            (Some("a"), "b", "a#b"),
            (Some("a"), "#b", "a##b"),
            (Some("https://id.example.com"), "anna", "https://id.example.com#anna"),
        ] {
            let principal = Principal { issuer: issuer.map(str::to_owned), ..Principal::new(subject) };
            assert_eq!(principal.account(), name);
            assert_eq!(Principal::of_account(name), principal);
            names.push(name);
        }
        names.dedup();
        assert_eq!(names.len(), 7, "no two have one name");
    }
}
