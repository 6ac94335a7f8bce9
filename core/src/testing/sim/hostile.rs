//! A hostile member of the workspace: made-up evidence that the server was restored, pushes for other accounts, other scopes.
//! Nothing of it may reach anybody else (I14), and none of it is the server's own trouble (I16).

use super::checks::Violation;
use super::config::{ACCOUNTS, WORKSPACE};
use super::world::{Checked, World};
use crate::model::{DeviceId, Scope};
use crate::protocol::{ChangesRequest, Cursor, PushRequest};
use crate::transport::{RequestContext, Transport, TransportError};

/// Who it is.
pub const MALLORY: &str = "mallory";
/// A revision that no run comes to.
const FUTURE: u64 = 1 << 40;

impl World<'_> {
    /// Tries everything.
    ///
    /// # Errors
    /// I14 if something of it worked; I16 if the server did not know what to say.
    pub(super) fn attack(&mut self) -> Checked {
        let Ok(workspace) = Scope::workspace(WORKSPACE) else { return Ok(()) };
        let before = self.epoch_of(&workspace)?;
        let station = self.station.clone();
        let forged = station.host().forged_cursor(MALLORY, &workspace, &before, FUTURE);
        let claims = forged.map(|cursor| self.claim(&workspace, &before, &cursor)).unwrap_or_default();
        if claims.iter().flatten().any(|code| code == "internal") {
            return Err(Violation::new("I16", format!("forged cursors are answered with {claims:?}")));
        }
        let elsewhere = Scope::workspace("elsewhere").unwrap_or_else(|_| workspace.clone());
        for (scope, account, expected) in
            [(&Scope::User, ACCOUNTS[0], "identity_mismatch"), (&elsewhere, MALLORY, "scope_not_found")]
        {
            let code = self.push(scope, account, None, None);
            if code.as_deref() != Some(expected) {
                let what = format!("a push of {MALLORY}'s for {account} to {scope} is answered with {code:?}");
                return Err(Violation::new("I14", what));
            }
        }
        let after = self.epoch_of(&workspace)?;
        if after != before {
            let what = format!("a member's forged cursor has put {after} in the place of the history {before}");
            return Err(Violation::new("I14", what));
        }
        Ok(())
    }

    fn stolen(&self) -> RequestContext {
        RequestContext { token: Some(self.access.issue(MALLORY)), deadline: None }
    }

    /// The history that the workspace has now.
    fn epoch_of(&mut self, scope: &Scope) -> Checked<String> {
        let (transport, context) = (self.direct(), self.stolen());
        let request = ChangesRequest { limit: Some(1), ..ChangesRequest::from_start(scope.clone()) };
        let epoch = self.env.block_on(async {
            let mut feed = transport.changes(&context, &request).await?;
            while let Some(chunk) = feed.next().await? {
                if let Some(trailer) = chunk.trailer {
                    return Ok(trailer.epoch);
                }
            }
            Err(TransportError::Malformed("a feed without a trailer".to_owned()))
        });
        epoch.map_err(|error| Violation::new("run", format!("{scope} has no history: {error}")))
    }

    /// Says in every way that a replica has come further than the server. Returns the code of each refusal.
    fn claim(&mut self, scope: &Scope, epoch: &str, cursor: &Cursor) -> Vec<Option<String>> {
        let (transport, context) = (self.direct(), self.stolen());
        let pull = |cursor: Option<&Cursor>, seen: Option<&Cursor>| ChangesRequest {
            epoch: Some(epoch.to_owned()),
            cursor: cursor.cloned(),
            seen: seen.cloned(),
            ..ChangesRequest::from_start(scope.clone())
        };
        let mut codes = Vec::new();
        for request in [pull(Some(cursor), None), pull(None, Some(cursor))] {
            let answer = self.env.block_on(async {
                let mut feed = transport.changes(&context, &request).await?;
                while feed.next().await?.is_some() {}
                Ok(())
            });
            codes.push(code_of(answer));
        }
        codes.push(self.push(scope, MALLORY, Some(epoch), Some(cursor)));
        codes
    }

    /// Pushes nothing; returns the code of the refusal.
    fn push(&mut self, scope: &Scope, account: &str, epoch: Option<&str>, cursor: Option<&Cursor>) -> Option<String> {
        let (transport, context) = (self.direct(), self.stolen());
        let request = PushRequest {
            scope: scope.clone(),
            account: account.to_owned(),
            epoch: epoch.map(str::to_owned),
            device_id: DeviceId::generate(&self.env),
            push_seq: 1,
            cursor: cursor.cloned(),
            seen: cursor.cloned(),
            device_now: self.server_now(),
            events: Vec::new(),
        };
        code_of(self.env.block_on(transport.push(&context, &request)))
    }
}

fn code_of<T>(answer: Result<T, TransportError>) -> Option<String> {
    match answer {
        Ok(_) => None,
        Err(TransportError::Problem(problem)) => Some(problem.code),
        Err(error) => Some(error.to_string()),
    }
}
