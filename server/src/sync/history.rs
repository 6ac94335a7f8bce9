//! Histories: whether a caller's positions belong to this server's, and what to tell a caller whose positions do not.

use std::sync::atomic::Ordering;

use unisono::environment::Environment;
use unisono::model::Revision;
use unisono::model::value::hex;
use unisono::protocol::{Cursor, Problem, ProblemCode};

use super::caller::Caller;
use super::cursor_key::CursorKey;
use super::effect::SERVER;
use super::service::Counts;
use super::token::{Evidence, Token, invalid_cursor, nonce_at};
use crate::store::{AuditRow, EpochRow, ScopeBatch, ScopeKey, ScopeReads, ScopeRow, ScopeTx, StoreError};

/// What a request says about the history that its replica follows.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    /// The epoch, said outright.
    pub(super) epoch: Option<String>,
    /// Where the pull stands.
    pub(super) cursor: Option<Token>,
    /// The newest commit of which the replica has evidence.
    pub(super) seen: Option<Token>,
    /// There was a token that this server did not make for this scope. It proves nothing, and nothing goes on from it.
    pub(super) unreadable: bool,
    /// Who makes them: the one who has caused a history that begins for them.
    pub(super) caller: Option<Caller>,
}

impl Claims {
    /// The claims of a request about `scope`.
    ///
    /// # Errors
    /// `400 invalid_cursor` if a token cannot be read and the request names no history in which it may have been made.
    pub(super) fn read(
        epoch: Option<String>,
        (cursor, seen): (Option<&Cursor>, Option<&Cursor>),
        scope: &ScopeKey,
        key: &CursorKey,
        caller: Caller,
    ) -> Result<Self, Problem> {
        let mut unreadable = false;
        let mut read = |cursor: Option<&Cursor>| {
            let token = Token::decode(cursor?, scope, key);
            unreadable |= token.is_none();
            token
        };
        let (cursor, seen) = (read(cursor), read(seen));
        if unreadable && epoch.is_none() {
            return Err(invalid_cursor());
        }
        Ok(Self { epoch, cursor, seen, unreadable, caller: Some(caller) })
    }
}

/// How the claims stand against the scope's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// They are part of it.
    Current,
    /// They name a history that has ended, or that this server does not know.
    Replaced { shared_revision: Revision },
    /// They name the present history and prove commits that are not in it: the server was restored from an older copy.
    Restored { shared_revision: Revision },
    /// They name the present history, with a token that was not made in it.
    Unreadable,
}

/// Compares `claims` with the scope's history.
pub(super) fn standing(reads: &mut dyn ScopeReads, scope: &ScopeRow, claims: &Claims) -> Result<Standing, StoreError> {
    let of = |token: &Option<Token>| token.as_ref().map(|token| token.epoch.clone());
    let mut named: Vec<_> = claims.epoch.clone().into_iter().chain(of(&claims.cursor)).collect();
    if named.is_empty() {
        // A replica that lost what it had pulled: what it saw last is all that it can name.
        named.extend(of(&claims.seen));
    }
    if let Some(other) = named.iter().find(|epoch| **epoch != scope.epoch) {
        let bound = shared_since(reads, other)?;
        let proven = proven(reads, scope, claims)?;
        let shared_revision = match (bound, proven) {
            (Some(bound), Some(proven)) => bound.min(proven),
            (bound, proven) => bound.or(proven).unwrap_or(0),
        };
        return Ok(Standing::Replaced { shared_revision });
    }
    if claims.unreadable {
        return Ok(Standing::Unreadable);
    }
    // Beside a newer claim, evidence from an earlier history says nothing: its end was told already.
    for token in claims.cursor.iter().chain(&claims.seen).filter(|token| token.epoch == scope.epoch) {
        let mut known = true;
        for evidence in token.head.iter().chain([&token.at]) {
            known &= is_known(reads, scope, *evidence)?;
        }
        if !known {
            let shared_revision = proven(reads, scope, claims)?.unwrap_or(0);
            return Ok(Standing::Restored { shared_revision });
        }
    }
    Ok(Standing::Current)
}

/// What all histories since `epoch` have kept of it; `None` if it is not known here.
fn shared_since(reads: &mut dyn ScopeReads, epoch: &str) -> Result<Option<Revision>, StoreError> {
    let epochs = reads.epochs()?;
    let Some(place) = epochs.iter().position(|row| row.epoch == epoch) else { return Ok(None) };
    Ok(epochs[place + 1..].iter().map(|row| row.shared_revision).min())
}

/// The newest commit that the tokens prove to be common; `None` without tokens. Both belong to one replica, hence to one
/// history: the better one counts.
fn proven(reads: &mut dyn ScopeReads, scope: &ScopeRow, claims: &Claims) -> Result<Option<Revision>, StoreError> {
    let mut best = None;
    for token in claims.cursor.iter().chain(&claims.seen) {
        for evidence in std::iter::once(&token.at).chain(&token.trail) {
            if is_known(reads, scope, *evidence)? {
                best = best.max(Some(evidence.revision));
                break;
            }
        }
        best = best.max(Some(0));
    }
    Ok(best)
}

fn is_known(reads: &mut dyn ScopeReads, scope: &ScopeRow, evidence: Evidence) -> Result<bool, StoreError> {
    if evidence.revision > scope.revision {
        return Ok(false);
    }
    Ok(evidence.revision == 0 || nonce_at(reads, evidence.revision)? == evidence.nonce)
}

/// Where a request may go on: in the present history, or not at all.
pub(super) enum Entry {
    /// In this scope.
    Open(ScopeRow),
    /// `409 epoch_changed` or `400 invalid_cursor`; what was written about it is to be kept.
    Refused(Problem),
}

/// The scope's row, made if there is none: for requests that claim nothing about its history.
pub(super) fn present(
    tx: &mut dyn ScopeTx,
    environment: &dyn Environment,
    counts: &Counts,
) -> Result<ScopeRow, StoreError> {
    match enter(tx, environment, &Claims::default(), counts)? {
        Entry::Open(scope) => Ok(scope),
        Entry::Refused(problem) => Err(StoreError::Internal(format!("no claims were refused: {}", problem.code))),
    }
}

/// Finds the scope, makes it if it does not exist, and begins a new history if the claims prove a restore.
pub(super) fn enter(
    tx: &mut dyn ScopeTx,
    environment: &dyn Environment,
    claims: &Claims,
    counts: &Counts,
) -> Result<Entry, StoreError> {
    let scope = match tx.scope()? {
        Some(scope) => scope,
        None => {
            let scope = ScopeRow::new(fresh_epoch(environment));
            begin(tx, environment, scope.clone(), 0, claims.caller.as_ref())?;
            scope
        }
    };
    match standing(tx, &scope, claims)? {
        Standing::Current => Ok(Entry::Open(scope)),
        Standing::Replaced { shared_revision } => Ok(Entry::Refused(epoch_changed(&scope.epoch, shared_revision))),
        Standing::Unreadable => Ok(Entry::Refused(invalid_cursor())),
        Standing::Restored { shared_revision } => {
            counts.epochs.fetch_add(1, Ordering::Relaxed);
            let revision = scope.revision;
            tracing::warn!(
                shared_revision,
                revision,
                "a client proves that the server was restored: a new history begins"
            );
            let scope = ScopeRow { epoch: fresh_epoch(environment), ..scope };
            let problem = epoch_changed(&scope.epoch, shared_revision);
            begin(tx, environment, scope, shared_revision, claims.caller.as_ref())?;
            Ok(Entry::Refused(problem))
        }
    }
}

pub(super) fn begin(
    tx: &mut dyn ScopeTx,
    environment: &dyn Environment,
    scope: ScopeRow,
    shared_revision: Revision,
    caller: Option<&Caller>,
) -> Result<(), StoreError> {
    let at_ms = environment.now_ms();
    let number = tx.epochs()?.last().map_or(0, |last| last.number + 1);
    let epoch = EpochRow { number, epoch: scope.epoch.clone(), shared_revision, revision: scope.revision, at_ms };
    let detail = serde_json::json!({
        "epoch": epoch.epoch, "shared_revision": shared_revision, "revision": scope.revision,
    });
    let audit = match caller {
        Some(caller) => caller.audit(at_ms, "epoch", detail),
        None => AuditRow::new(at_ms, SERVER, "epoch", detail),
    };
    tx.save(ScopeBatch { epoch: Some(epoch), audit: vec![audit], ..ScopeBatch::new(scope) })
}

pub(super) fn fresh_epoch(environment: &dyn Environment) -> String {
    let mut bytes = [0; 8];
    environment.random(&mut bytes);
    hex(&bytes)
}

pub(super) fn epoch_changed(epoch: &str, shared_revision: Revision) -> Problem {
    Problem {
        epoch: Some(epoch.to_owned()),
        shared_revision: Some(shared_revision),
        ..Problem::of(ProblemCode::EpochChanged, "the server's history is another one than the replica's")
    }
}
