//! The checkers: one file for each family of invariants (I1–I16 of the design).

mod growth;
mod reads;
mod replica;
mod server;
mod unison;
mod view;

pub use reads::Reads;
pub use server::LogWatch;
pub use unison::check_promises;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::ledger::{Entry, Ledger};
use crate::merge::LoggedWrite;
use crate::model::{RecordKey, Scope, Value};

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which one: `I1` to `I16`, or `run` if the simulation itself could not go on.
    pub invariant: String,
    /// What was found.
    pub what: String,
}

impl Violation {
    /// A violation of `invariant`.
    #[must_use]
    pub fn new(invariant: &str, what: impl Into<String>) -> Self {
        Self { invariant: invariant.to_owned(), what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// What a run ended in, once everybody was in unison.
#[derive(Debug)]
pub struct Ending<'a> {
    /// What was written.
    pub ledger: &'a Ledger,
    /// What the server holds, scope by scope.
    pub scopes: &'a [FinalScope],
    /// Accounts that are no members of the workspace any more: what a restored server lost of them stays lost.
    pub expelled: &'a BTreeSet<String>,
}

/// A scope as the server holds it at the end.
#[derive(Clone, Debug)]
pub struct FinalScope {
    /// Whose it is; for a workspace, one of its members.
    pub account: String,
    /// Its name.
    pub scope: Scope,
    /// Its live records, as a new replica gets them.
    pub state: BTreeMap<RecordKey, Value>,
    /// Its log.
    pub log: Vec<LoggedWrite>,
}

impl Ending<'_> {
    /// The entries of one feature in one scope.
    pub fn entries<'a>(&'a self, feature: &'a str, scope: &'a FinalScope) -> impl Iterator<Item = &'a Entry> + 'a {
        self.ledger.entries().iter().filter(move |entry| entry.feature == feature && scope.owns(entry))
    }
}

impl FinalScope {
    /// Whether an entry was written in this scope.
    #[must_use]
    pub fn owns(&self, entry: &Entry) -> bool {
        let mine = self.scope != Scope::User || entry.replica.account == self.account;
        entry.planned.scope == self.scope && mine
    }
}
