//! Whose replica it is.

use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, Result};
use crate::replica::rows::ReplicaRow;
use crate::replica::{Txn, Writer};
use crate::storage::{Scan, Table};

/// What opening found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// The replica is the account's.
    Known,
    /// It is nobody's yet.
    Anonymous,
}

/// What signing out left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
pub struct SignedOut {
    /// Unsent events, which stay in the sealed replica.
    pub pending: u64,
    /// Parked events, which stay too.
    pub parked: u64,
}

impl Identity {
    /// Compares the account with the replica's owner before anything is shown. A fresh replica becomes the account's; one
    /// that was written anonymously only with `claim`. A sealed one opens again for its own account.
    pub async fn open(writer: &Writer, account: Option<String>, claim: bool) -> Result<Self> {
        writer
            .run(move |txn| {
                let account = account.clone();
                Box::pin(async move { open(txn, account, claim).await })
            })
            .await
    }
}

async fn open(txn: &mut Txn, account: Option<String>, claim: bool) -> Result<Identity> {
    let owner = txn.replica().account.clone();
    match (owner, account) {
        (Some(owner), Some(account)) if owner == account => {
            // A replica that is open needs no write, which a full disk would refuse.
            if txn.replica().sealed {
                txn.replica_mut().sealed = false;
            }
            Ok(Identity::Known)
        }
        (Some(_), None) if txn.replica().sealed => Err(Error::Sealed),
        // A token will say who it is; the server compares it with the owner.
        (Some(_), None) => Ok(Identity::Known),
        (Some(owner), Some(account)) => Err(Error::IdentityMismatch { expected: owner, found: account }),
        (None, None) => Ok(Identity::Anonymous),
        (None, Some(account)) => {
            let row: &ReplicaRow = txn.replica();
            let untouched =
                row.next_position == 1 && txn.scan_stored(Scan::prefix(Table::Record, b"").limit(1)).await?.is_empty();
            if !untouched && !claim {
                return Err(Error::IdentityMismatch {
                    expected: "nobody yet (it is anonymous)".into(),
                    found: account,
                });
            }
            txn.replica_mut().account = Some(account);
            Ok(Identity::Known)
        }
    }
}

/// The `sub` claim of a JWT, unverified: a hint of whose replica to open, which the server verifies with every request.
pub(super) fn subject_of(token: &SecretString) -> Option<String> {
    let payload = token.expose_secret().split('.').nth(1)?;
    let claims: crate::model::Value = serde_json::from_slice(&base64url(payload)?).ok()?;
    claims.get("sub")?.as_str().filter(|subject| !subject.is_empty()).map(str::to_owned)
}

/// RFC 4648 §5, without padding.
fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut bits = 0u32;
    let mut count = 0;
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for digit in text.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(((bits >> count) & 0xff) as u8);
        }
    }
    Some(bytes)
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
                assert_eq!(Identity::open(&writer, Some("anna".into()), false).await.unwrap(), Identity::Known);
                faulty.fail_every_apply(StorageError::Full("it is full".into()));
            }
        });
    }

    #[test]
    fn the_subject_is_read_from_a_token_and_from_nothing_else() {
        // {"alg":"HS256"} . {"sub":"alice"} . signature
        let token = SecretString::from("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln");
        assert_eq!(subject_of(&token).as_deref(), Some("alice"));
        for other in ["", "a.b", "a.!!.c", "osk_live_1_abc", "a.e30.c"] {
            assert_eq!(subject_of(&SecretString::from(other)), None, "{other}");
        }
    }
}
