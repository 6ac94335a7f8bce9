//! Cursor tokens: positions that prove which history they belong to.
//!
//! A token names an epoch, a revision, the nonce of the commit that made it, and a trail of earlier commits at exponentially
//! growing distances. A server restored from an older copy does not know the newest of them, and the trail tells how far back
//! the two histories are the same. It is signed: evidence that anybody could make up would be none.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use unisono::model::Revision;
use unisono::protocol::{Cursor, Problem, ProblemCode};

use super::cursor_key::{CursorKey, SIGNATURE_BYTES};
use crate::store::{ScopeKey, ScopeReads, StoreError};

/// The form's version; another one is unreadable.
const VERSION: u8 = 3;
/// Most entries of a trail; the last one is 4^11 revisions back.
const MAX_TRAIL: usize = 12;
/// Longest token that is looked at.
const MAX_TOKEN_BYTES: usize = 1024;

/// A commit that a token has evidence of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Evidence {
    pub(super) revision: Revision,
    /// Of the commit that made it.
    pub(super) nonce: u64,
}

impl Evidence {
    /// Of the commit that made `revision`.
    pub(super) fn of(reads: &mut dyn ScopeReads, revision: Revision) -> Result<Self, StoreError> {
        Ok(Self { revision, nonce: nonce_at(reads, revision)? })
    }
}

/// A readable cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) epoch: String,
    pub(super) at: Evidence,
    /// During a first sync, the head at its start: tombstones up to there are omitted, and not needed.
    pub(super) bootstrap: Option<Revision>,
    /// Between two pages, the newest commit when the last one was read: what was left out of the pages because it was newer is
    /// still to come, and a history without this commit may not tell it.
    pub(super) head: Option<Evidence>,
    /// Earlier commits, newest first.
    pub(super) trail: Vec<Evidence>,
}

impl Token {
    /// The text form, signed for `scope` alone.
    pub(super) fn encode(&self, scope: &ScopeKey, key: &CursorKey) -> Cursor {
        let mut bytes = vec![VERSION];
        put_bytes(&mut bytes, self.epoch.as_bytes());
        put_evidence(&mut bytes, self.at.revision, self.at.nonce);
        put_number(&mut bytes, self.bootstrap.map_or(0, |head| head.saturating_add(1)));
        let head = self.head.filter(|head| head.revision > self.at.revision);
        put_number(&mut bytes, head.map_or(0, |head| head.revision - self.at.revision));
        bytes.extend(head.iter().flat_map(|head| head.nonce.to_be_bytes()));
        put_number(&mut bytes, self.trail.len() as u64);
        for entry in &self.trail {
            put_evidence(&mut bytes, self.at.revision.saturating_sub(entry.revision), entry.nonce);
        }
        let signature = key.sign(&[scope.as_str().as_bytes(), &bytes]);
        bytes.extend(signature);
        Cursor(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a text form; `None` if this server did not make it for `scope`.
    pub(super) fn decode(cursor: &Cursor, scope: &ScopeKey, key: &CursorKey) -> Option<Self> {
        if cursor.0.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(&cursor.0).ok()?;
        let (body, signature) = bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE_BYTES)?)?;
        if !key.has_signed(&[scope.as_str().as_bytes(), body], signature) {
            return None;
        }
        read(body)
    }
}

/// What a member can make up who knows the form, and all but the key: evidence of a commit that there never was.
#[cfg(feature = "testing")]
pub(crate) fn forged(epoch: String, revision: Revision, scope: &ScopeKey) -> Cursor {
    let token = Token { epoch, at: Evidence { revision, nonce: 1 }, bootstrap: None, head: None, trail: Vec::new() };
    token.encode(scope, &CursorKey::new([0; super::cursor_key::KEY_BYTES]))
}

/// What a request with an unreadable token is told.
pub(super) fn invalid_cursor() -> Problem {
    Problem::of(ProblemCode::InvalidCursor, "the cursor was not made by this server for this scope")
}

/// The nonce of the commit that made `revision`; 0 for the empty scope.
pub(super) fn nonce_at(reads: &mut dyn ScopeReads, revision: Revision) -> Result<u64, StoreError> {
    if revision == 0 {
        return Ok(0);
    }
    let commit = reads.commit_at(revision)?;
    commit.map(|commit| commit.nonce).ok_or_else(|| StoreError::Corrupt(format!("no commit made revision {revision}")))
}

/// The trail of a token at `revision`: the last commits at least 1, 4, 16, … revisions before it, and the very first where there
/// is none so long before.
pub(super) fn trail_before(reads: &mut dyn ScopeReads, revision: Revision) -> Result<Vec<Evidence>, StoreError> {
    let mut trail: Vec<Evidence> = Vec::new();
    for distance in (0..MAX_TRAIL).map(|exponent| 1 << (2 * exponent)) {
        let goal = revision.checked_sub(distance);
        // A long commit spans several distances.
        if goal.is_some_and(|goal| trail.last().is_some_and(|last| last.revision <= goal)) {
            continue;
        }
        let before = goal.map(|goal| reads.commit_before(goal)).transpose()?.flatten();
        let Some(commit) = before else {
            let known = trail.last().map_or(revision, |last| last.revision);
            let first = reads.commit_at(1)?.filter(|first| first.revision < known);
            trail.extend(first.map(|first| Evidence { revision: first.revision, nonce: first.nonce }));
            break;
        };
        trail.push(Evidence { revision: commit.revision, nonce: commit.nonce });
    }
    Ok(trail)
}

fn read(body: &[u8]) -> Option<Token> {
    let mut rest = body.strip_prefix(&[VERSION])?;
    let epoch = String::from_utf8(take_bytes(&mut rest)?.to_vec()).ok()?;
    let at = take_evidence(&mut rest)?;
    let bootstrap = take_number(&mut rest)?.checked_sub(1);
    let head = match take_number(&mut rest)? {
        0 => None,
        beyond => Some(Evidence { revision: at.revision.checked_add(beyond)?, nonce: take_nonce(&mut rest)? }),
    };
    let count = usize::try_from(take_number(&mut rest)?).ok().filter(|count| *count <= MAX_TRAIL)?;
    let mut trail = Vec::with_capacity(count);
    for _ in 0..count {
        let Evidence { revision: distance, nonce } = take_evidence(&mut rest)?;
        trail.push(Evidence { revision: at.revision.checked_sub(distance)?, nonce });
    }
    rest.is_empty().then_some(Token { epoch, at, bootstrap, head, trail })
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend(bytes);
}

fn put_evidence(out: &mut Vec<u8>, revision: u64, nonce: u64) {
    put_number(out, revision);
    out.extend(nonce.to_be_bytes());
}

/// LEB128: seven bits a byte, the lowest first.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push((number & 0x7f) as u8);
}

fn take<'b>(rest: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn take_bytes<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let count = usize::try_from(take_number(rest)?).ok()?;
    take(rest, count)
}

fn take_evidence(rest: &mut &[u8]) -> Option<Evidence> {
    let revision = take_number(rest)?;
    Some(Evidence { revision, nonce: take_nonce(rest)? })
}

fn take_nonce(rest: &mut &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(take(rest, 8)?.try_into().ok()?))
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        let bits = u64::from(byte & 0x7f);
        number |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unisono::testing::TestEnvironment;

    use super::*;
    use crate::store::{self, CommitRow, ScopeBatch, ScopeRow, SqliteStore, Store, Verdict};

    fn scope(key: &str) -> ScopeKey {
        ScopeKey::new(key.to_owned())
    }

    fn key() -> CursorKey {
        CursorKey::new([7; 32])
    }

    fn tokens() -> impl Strategy<Value = Token> {
        let trail = proptest::collection::vec((any::<u64>(), any::<u64>()), 0..=MAX_TRAIL);
        let head = proptest::option::of((1..=u64::MAX, any::<u64>()));
        ("[0-9a-f]{0,32}", any::<u64>(), any::<u64>(), proptest::option::of(0..u64::MAX), head, trail).prop_map(
            |(epoch, revision, nonce, bootstrap, head, trail)| Token {
                epoch,
                at: Evidence { revision, nonce },
                bootstrap,
                head: head
                    .and_then(|(beyond, nonce)| Some(Evidence { revision: revision.checked_add(beyond)?, nonce })),
                trail: trail
                    .into_iter()
                    .map(|(back, nonce)| Evidence { revision: revision.saturating_sub(back), nonce })
                    .collect(),
            },
        )
    }

    proptest! {
        #[test]
        fn a_token_round_trips(token in tokens()) {
            let cursor = token.encode(&scope("user:a"), &key());
            prop_assert_eq!(Token::decode(&cursor, &scope("user:a"), &key()), Some(token));
        }

        #[test]
        fn b14_a_token_of_another_scope_or_another_server_is_refused(token in tokens()) {
            let cursor = token.encode(&scope("user:a"), &key());
            prop_assert_eq!(Token::decode(&cursor, &scope("user:b"), &key()), None);
            prop_assert_eq!(Token::decode(&cursor, &scope("user:a"), &CursorKey::new([8; 32])), None);
        }

        #[test]
        fn no_text_makes_the_decoder_panic(text in ".{0,80}", bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Token::decode(&Cursor(text), &scope("user:a"), &key());
            let mut body = vec![VERSION];
            body.extend(bytes);
            let _ = read(&body);
        }
    }

    /// What `read` finds in a scope whose commits ended at `commits`, each with ten times its revision as its nonce.
    fn among<T: Send + 'static>(
        commits: impl IntoIterator<Item = Revision> + Send + 'static,
        read: impl Fn(&mut dyn ScopeReads) -> T + Send + 'static,
    ) -> T {
        let env = TestEnvironment::new(1);
        let store = SqliteStore::in_memory().unwrap();
        env.block_on(async {
            store.attach(env.shared()).await.unwrap();
            let save = store::write(&store, scope("user:a"), move |tx| {
                for revision in commits {
                    let commit = CommitRow { revision, nonce: revision * 10, at_ms: revision };
                    let scope = ScopeRow { revision, ..ScopeRow::new("e1".to_owned()) };
                    tx.save(ScopeBatch { commit: Some(commit), ..ScopeBatch::new(scope) })?;
                }
                Ok((Verdict::Commit, ()))
            });
            save.await.unwrap();
            store::read(&store, scope("user:a"), move |reads| Ok(read(reads))).await.unwrap()
        })
    }

    #[test]
    fn a_revision_is_known_by_the_nonce_of_the_commit_that_made_it() {
        let nonces = among([3, 7], |reads| [0, 1, 3, 4, 7].map(|revision| nonce_at(reads, revision).unwrap()));
        assert_eq!(nonces, [0, 30, 30, 70, 70]);
        assert!(matches!(among([3, 7], |reads| nonce_at(reads, 8)), Err(StoreError::Corrupt(_))));
    }

    #[test]
    fn a_trail_names_earlier_commits_at_growing_distances_down_to_the_first() {
        let trail = |commits: Vec<Revision>, revision| {
            let trail = among(commits, move |reads| trail_before(reads, revision).unwrap());
            assert!(trail.iter().all(|entry| entry.nonce == entry.revision * 10), "{trail:?}");
            trail.into_iter().map(|entry| entry.revision).collect::<Vec<_>>()
        };
        let every = || (1..=100).collect();
        assert_eq!(trail(every(), 100), [99, 96, 84, 36, 1]);
        assert_eq!(trail(every(), 5), [4, 1]);
        assert_eq!(trail(every(), 4), [3, 1]);
        assert!(trail(every(), 1).is_empty());
        // A commit that spans several distances is named once.
        assert_eq!(trail(vec![10, 56, 60], 60), [56, 10]);
        assert!(trail(vec![60], 60).is_empty());
        // So is a long first one, which may be all that a restored server has left.
        assert_eq!(trail(vec![200, 210, 220, 230, 240, 250], 250), [240, 230, 200]);
    }

    #[test]
    fn no_longer_text_than_the_longest_is_looked_at() {
        let of_length = |epoch: usize| {
            let at = Evidence { revision: 1, nonce: 2 };
            Token { epoch: "e".repeat(epoch), at, bootstrap: None, head: None, trail: Vec::new() }
                .encode(&scope("user:a"), &key())
        };
        let longest = (0..).map(of_length).find(|cursor| cursor.0.len() >= MAX_TOKEN_BYTES).unwrap();
        assert_eq!(longest.0.len(), MAX_TOKEN_BYTES);
        assert!(Token::decode(&longest, &scope("user:a"), &key()).is_some());
        for beyond in [MAX_TOKEN_BYTES, 2 * MAX_TOKEN_BYTES] {
            assert_eq!(Token::decode(&of_length(beyond), &scope("user:a"), &key()), None);
        }
    }
}
