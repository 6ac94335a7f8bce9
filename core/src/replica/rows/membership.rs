//! The account's place in a scope, as far as the replica knows it: its states, and all ways between them.
//!
//! | state | the server answers for the scope | it denies the scope, to a fresh token too | the app asks for the scope, or gives a new token |
//! |---|---|---|---|
//! | `Unknown` | `Member` | `Unknown` | `Unknown` |
//! | `Member` | `Member` | `Lost` | `Member` |
//! | `Lost` | `Member` | `Lost` | `Member` |
//!
//! A denial before the first answer proves nothing: a token may be from before an invitation. A loss is no end either: a lost
//! scope takes no local writes and keeps its queue, and is asked for again, at a slow pace.

use serde::Serialize;

use crate::reading;

/// What a scope is to the account, as far as this replica knows; the head of this file tells its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// The server has never answered for the scope.
    #[default]
    Unknown,
    /// It has.
    Member,
    /// It did once, and has since denied that there is such a scope for this account.
    Lost,
}

reading::names!(Membership { Unknown "unknown", Member "member", Lost "lost" });

impl Membership {
    /// The server has answered for the scope.
    pub fn answered(&mut self) {
        *self = Self::Member;
    }

    /// The server denies that there is such a scope for this account, and has done so to a fresh token.
    pub fn denied(&mut self) {
        if *self != Self::Unknown {
            *self = Self::Lost;
        }
    }

    /// The app asks for the scope, or has given a new token: the next answer decides.
    pub fn asked_for(&mut self) {
        if *self == Self::Lost {
            *self = Self::Member;
        }
    }

    /// Whether the scope takes no writes.
    #[must_use]
    pub fn is_lost(self) -> bool {
        self == Self::Lost
    }

    pub(super) fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::Membership::{Lost, Member, Unknown};
    use super::*;

    #[test]
    fn the_table() {
        let ways: [fn(&mut Membership); 3] = [Membership::answered, Membership::denied, Membership::asked_for];
        for (from, to) in
            [(Unknown, [Member, Unknown, Unknown]), (Member, [Member, Lost, Member]), (Lost, [Member, Lost, Member])]
        {
            for (way, expected) in ways.iter().zip(to) {
                let mut membership = from;
                way(&mut membership);
                assert_eq!(membership, expected, "from {from:?}");
            }
        }
    }
}
