//! Scopes that the server denies, and how they are found again; the states are [`Membership`]'s.

use super::runtime::Engine;
use crate::error::{Error, Result};
use crate::model::Scope;
use crate::replica::rows::Membership;

impl Engine {
    /// Takes note that the server denies the scope, and has done so to a fresh token. Returns what that comes to.
    pub(super) async fn denied(&self, scope: &Scope, denial: Error) -> Error {
        match self.change_membership(scope.clone(), Membership::denied).await {
            Ok(Membership::Lost) => Error::ScopeLost(scope.to_string()),
            // Never reached yet; or, if it cannot be noted, the next sync finds out again.
            _ => denial,
        }
    }

    async fn change_membership(&self, scope: Scope, change: fn(&mut Membership)) -> Result<Membership> {
        self.writer()
            .run(move |txn| {
                let membership = &mut txn.scope_mut(&scope)?.membership;
                change(membership);
                Ok(*membership)
            })
            .await
    }

    /// Makes the scope one of those that are synced; one that was lost is taken for found until the server denies it again.
    ///
    /// # Errors
    /// The storage's.
    pub(crate) async fn ask_for(&self, scope: &Scope) -> Result<()> {
        self.change_membership(scope.clone(), Membership::asked_for).await.map(drop)
    }

    /// After the app has given a new token: scopes that were lost are taken for found until the server denies them again.
    ///
    /// # Errors
    /// The storage's.
    pub(crate) async fn heed_new_token(&self) -> Result<()> {
        if !self.tokens.take_news() {
            return Ok(());
        }
        for scope in self.reader().scopes().await? {
            if self.reader().scope(&scope).await?.membership.is_lost() {
                self.ask_for(&scope).await?;
            }
        }
        Ok(())
    }
}
