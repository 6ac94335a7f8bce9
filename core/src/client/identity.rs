//! Whose replica it is, decided before anything of it is shown.
//!
//! What the app says (`account`), what the token at hand says, and what the replica knows must agree. The token's own word is
//! enough, for who opens a replica may read its file anyway; where a token says nothing by itself and nobody else has said who
//! opens, the server is asked (ADR 24).

use crate::engine::{Engine, known_scopes, subject_of};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::replica::rows::ReplicaRow;
use crate::replica::{Txn, Writer};
use crate::storage::{Scan, Table};

/// What signing out left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
pub struct SignedOut {
    /// Unsent events, which stay in the sealed replica.
    pub pending: u64,
    /// Parked events, which stay too.
    pub parked: u64,
}

/// Who opens a replica.
#[derive(Clone, Debug, Default)]
pub(super) struct Opener {
    /// The account, if it is known.
    pub account: Option<String>,
    /// A token vouches for it.
    pub proven: bool,
    /// It may take over what was written anonymously.
    pub claim: bool,
}

impl Opener {
    /// Finds out who opens the replica of `engine`, which `account` says, or a token.
    ///
    /// A source of tokens is asked where nothing else says it, or where a token is needed; else opening does not wait for it.
    pub async fn of(engine: &Engine, environment: &dyn Environment, account: Option<String>) -> Result<Self> {
        let tokens = engine.tokens();
        let replica = engine.replica_row().await?;
        if let (Some(account), Some(owner)) = (&account, &replica.account) {
            check_same(owner, account)?;
        }
        let token = match tokens.at_hand() {
            None if tokens.has_source() && (account.is_none() || replica.sealed) => {
                match tokens.current(environment).await {
                    Ok(token) => Some(token.value),
                    Err(error) if replica.sealed => return Err(error),
                    // The app may be offline, and has not signed out.
                    Err(_) => None,
                }
            }
            token => token,
        };
        let Some(token) = token else { return Ok(Self { account, ..Self::default() }) };
        if let Some(subject) = subject_of(&token) {
            if let Some(account) = &account {
                check_same(account, &subject)?;
            }
            return Ok(Self { account: Some(subject), proven: true, claim: false });
        }
        let asks = replica.account.is_some() && (account.is_none() || replica.sealed);
        if !asks {
            return Ok(Self { account, ..Self::default() });
        }
        engine.prove().await?;
        Ok(Self { account: replica.account.clone(), proven: true, claim: false })
    }

    /// Lets it in, or not. A fresh replica becomes the account's; one that was written anonymously only with `claim`. A sealed
    /// one opens again for its own account, with a token of it.
    pub async fn enter(self, writer: &Writer) -> Result<()> {
        writer.run(move |txn| self.enter_in(txn)).await
    }

    fn enter_in(&self, txn: &mut Txn<'_>) -> Result<()> {
        let owner = txn.replica().account.clone();
        match (owner, self.account.clone()) {
            (Some(owner), account) => {
                if let Some(account) = account {
                    check_same(&owner, &account)?;
                }
                if txn.replica().sealed {
                    if !self.proven {
                        return Err(Error::Sealed);
                    }
                    txn.replica_mut().sealed = false;
                }
                Ok(())
            }
            (None, None) => Ok(()),
            (None, Some(account)) => {
                if !self.claim && !is_untouched(txn)? {
                    return Err(Error::IdentityMismatch {
                        expected: "nobody yet (it is anonymous)".into(),
                        found: account,
                    });
                }
                check_writers(txn, &account)?;
                txn.replica_mut().account = Some(account);
                Ok(())
            }
        }
    }
}

/// Compares whom the replica belongs to with who asks.
pub(super) fn check_same(expected: &str, found: &str) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::IdentityMismatch { expected: expected.to_owned(), found: found.to_owned() })
}

fn is_untouched(txn: &mut Txn<'_>) -> Result<bool> {
    let row: &ReplicaRow = txn.replica();
    Ok(row.next_position == 1 && txn.scan_stored(&Scan::prefix(Table::Record, b"").limit(1))?.is_empty())
}

/// Nobody takes over what another account has written: the queue of a recovered replica may tell of one although the
/// replica's own row is lost.
fn check_writers(txn: &mut Txn<'_>, account: &str) -> Result<()> {
    for scope in known_scopes(txn)? {
        txn.each_entry(&scope, &mut |_, _, entry| match &entry.account {
            Some(writer) => check_same(writer, account),
            None => Ok(()),
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::query::IndexSet;
    use crate::storage::{MemoryStorage, Storage, StorageError};
    use crate::testing::{FaultyStorage, TestEnvironment};

    #[test]
    fn b36_a_replica_opens_for_its_account_on_a_disk_that_takes_no_write() {
        let environment = TestEnvironment::new(1);
        let faulty = Arc::new(FaultyStorage::new(MemoryStorage::new()));
        environment.block_on(async {
            for _ in 0..2 {
                let storage: Arc<dyn Storage> = faulty.clone();
                let writer =
                    Writer::open(storage, Arc::new(environment.clone()), Arc::new(IndexSet::default())).await.unwrap();
                let anna = Opener { account: Some("anna".into()), ..Opener::default() };
                anna.enter(&writer).await.unwrap();
                faulty.fail_every_apply(StorageError::Full("it is full".into()));
            }
        });
    }
}
