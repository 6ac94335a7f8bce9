//! The change feed: records by latest revision, a part at a time, each part read on one snapshot.

use std::sync::Arc;

use unisono::limits::{MAX_CHANGES_LIMIT, MAX_CHANGES_PER_CURSOR};
use unisono::model::{CollectionName, DeviceId, Revision};
use unisono::protocol::{ChangesRequest, Problem, ProblemCode, Trailer};
use unisono::transport::Chunk;

use super::caller::Caller;
use super::history::{Claims, Entry, Standing, enter, epoch_changed, standing};
use super::lost_values::put_in_place;
use super::principal::Principal;
use super::service::Shared;
use super::token::{Evidence, Token, invalid_cursor, trail_before};
use crate::store::{self, ChangesQuery, DeviceRow, ScopeKey, ScopeReads, ScopeRow, StoreError, Verdict};

/// Canonical bytes after which a part ends early: bounds what a feed of large documents holds in memory.
const MAX_CHUNK_BYTES: usize = 1 << 20;

/// A feed on its way to one caller. Reading no further holds nothing but this.
#[derive(Debug)]
pub struct Feed {
    shared: Arc<Shared>,
    place: Place,
    done: bool,
}

/// How far a feed has come, and what was asked of it.
#[derive(Clone, Debug)]
struct Place {
    scope: ScopeKey,
    subject: String,
    device: Option<DeviceId>,
    bucket: Option<u8>,
    collection: Option<CollectionName>,
    epoch: String,
    after: Revision,
    /// The head at the start of a first sync that has not passed it.
    bootstrap: Option<Revision>,
    /// Changes that may still be sent.
    left: usize,
    /// Notes go out with references, as they are stored.
    references: bool,
}

impl Place {
    /// Whether a tombstone that this place still needs was purged.
    fn is_expired(&self, scope: &ScopeRow) -> bool {
        self.bucket.is_none() && self.bootstrap.unwrap_or(0).max(self.after) < scope.horizon
    }

    /// Tombstones up to this revision are of no use here: a replica that begins holds nothing that was deleted before,
    /// unless it pushed already and knows its own records from their receipts.
    fn tombstones_after(&self, device: Option<&DeviceRow>) -> Revision {
        let begun = self.bootstrap.unwrap_or(0);
        device.map_or(begun, |device| begun.min(device.joined)).max(self.after)
    }
}

impl Feed {
    /// Opens a feed: everything that can be refused is refused here.
    pub(super) async fn open(
        shared: Arc<Shared>,
        principal: &Principal,
        request: ChangesRequest,
    ) -> Result<Self, Problem> {
        let scope = principal.scope_key(&request.scope)?;
        let limit = request.limit.map_or(MAX_CHANGES_LIMIT, |limit| limit as usize);
        if limit == 0 {
            return Err(Problem::of(ProblemCode::InvalidRequest, "`limit` is at least 1"));
        }
        let tokens = (request.cursor.as_ref(), request.seen.as_ref());
        let caller = Caller::new(&principal.account(), request.device.as_ref());
        let claims = Claims::read(request.epoch, tokens, &scope, &shared.cursor_key, caller)?;
        let bootstrap = claims.cursor.as_ref().map(|cursor| (cursor.at.revision, cursor.bootstrap));
        let row = shared.admit(&scope, claims).await?;
        let (after, bootstrap) = bootstrap.unwrap_or((0, Some(row.revision)));
        let place = Place {
            scope,
            subject: principal.subject.clone(),
            device: request.device,
            bucket: request.bucket,
            collection: request.collection,
            epoch: row.epoch.clone(),
            after,
            bootstrap,
            left: limit.min(MAX_CHANGES_LIMIT),
            references: request.references,
        };
        if place.is_expired(&row) {
            return Err(expired());
        }
        Ok(Self { shared, place, done: false })
    }

    /// The next part; `None` after the one with the trailer.
    ///
    /// # Errors
    /// `409 epoch_changed` or `410 cursor_expired` if the scope changed so meanwhile, and the store's troubles.
    pub async fn next(&mut self) -> Result<Option<Chunk>, Problem> {
        if self.done {
            return Ok(None);
        }
        let (shared, place) = (Arc::clone(&self.shared), self.place.clone());
        let read = store::read(&*self.shared.store, place.scope.clone(), move |reads| part(reads, &shared, place));
        let (chunk, place) = read.await??;
        self.done = chunk.trailer.is_some();
        self.place = place;
        Ok(Some(chunk))
    }
}

impl Shared {
    /// The scope's row, once the claims are found to belong to its history; the scope is made if it does not exist.
    async fn admit(self: &Arc<Self>, key: &ScopeKey, claims: Claims) -> Result<ScopeRow, Problem> {
        let asked = claims.clone();
        let found = store::read(&*self.store, key.clone(), move |reads| {
            let Some(scope) = reads.scope()? else { return Ok(None) };
            Ok(match standing(reads, &scope, &asked)? {
                Standing::Current => Some(Ok(scope)),
                Standing::Replaced { shared_revision } => Some(Err(epoch_changed(&scope.epoch, shared_revision))),
                Standing::Unreadable => Some(Err(invalid_cursor())),
                Standing::Restored { .. } => None,
            })
        });
        if let Some(answer) = found.await? {
            return answer;
        }
        // Something is to be written; it is found out anew, since another request may have come first.
        let shared = Arc::clone(self);
        let entered = store::write(&*self.store, key.clone(), move |tx| {
            Ok((
                Verdict::Commit,
                match enter(tx, &*shared.environment, &claims, &shared.counts)? {
                    Entry::Open(scope) => Ok(scope),
                    Entry::Refused(problem) => Err(problem),
                },
            ))
        });
        entered.await?
    }
}

type Part = Result<(Chunk, Place), Problem>;

/// Reads one part on one snapshot.
fn part(reads: &mut dyn ScopeReads, shared: &Shared, mut place: Place) -> Result<Part, StoreError> {
    let Some(scope) = reads.scope()?.filter(|scope| scope.epoch == place.epoch) else {
        let epoch = reads.epochs()?.pop();
        return Ok(Err(epoch.map_or_else(expired, |row| epoch_changed(&row.epoch, row.shared_revision))));
    };
    if place.is_expired(&scope) {
        return Ok(Err(expired()));
    }
    let device = device(reads, &place)?;
    let included = device.as_ref().map_or(0, |device| device.push_seq);
    let query = ChangesQuery {
        after: place.after,
        tombstones_after: place.tombstones_after(device.as_ref()),
        bucket: place.bucket,
        collection: place.collection.clone(),
        limit: place.left.min(MAX_CHANGES_PER_CURSOR),
        max_bytes: MAX_CHUNK_BYTES,
    };
    let (mut changes, mut more) = reads.changes(query)?;
    // Then the notes are not what the digest is made of.
    let altered = !place.references && reads.has_note_values()?;
    if altered {
        let complete = put_in_place(reads, &mut changes, MAX_CHUNK_BYTES)?;
        more |= complete < changes.len();
        changes.truncate(complete);
    }
    place.left = place.left.saturating_sub(changes.len());
    place.after = if more { changes.last().map_or(place.after, |last| last.revision) } else { scope.revision };
    place.bootstrap = place.bootstrap.filter(|head| place.after < *head);
    let last = !more || place.left == 0;
    let token = Token {
        epoch: scope.epoch.clone(),
        at: Evidence::of(reads, place.after)?,
        bootstrap: place.bootstrap,
        head: more.then(|| Evidence::of(reads, scope.revision)).transpose()?,
        trail: if last { trail_before(reads, place.after)? } else { Vec::new() },
    };
    let cursor = token.encode(&place.scope, &shared.cursor_key);
    let trailer = if last {
        let now = shared.environment.now_ms();
        let age = shared.ages.now_of(reads, &scope)?;
        let backed_up = reads.commit_by(age.saturating_sub(shared.options.backup_age_ms()))?;
        Some(Trailer {
            cursor: cursor.clone(),
            more,
            epoch: scope.epoch,
            revision: place.after,
            included,
            hlc: scope.highest,
            backup_revision: backed_up.map_or(0, |commit| commit.revision),
            server_now: now,
            server_id: shared.server_id.clone(),
            total: Some(scope.records),
            digest: (!more && !altered && place.collection.is_none()).then(|| scope.digest.to_string()),
        })
    } else {
        None
    };
    Ok(Ok((Chunk { changes, cursor, included, trailer }, place)))
}

/// The asking device, as far as this snapshot knows it as the caller's.
fn device(reads: &mut dyn ScopeReads, place: &Place) -> Result<Option<DeviceRow>, StoreError> {
    let Some(device) = &place.device else { return Ok(None) };
    Ok(reads.device(device)?.filter(|row| row.user == place.subject))
}

fn expired() -> Problem {
    Problem::of(
        ProblemCode::CursorExpired,
        "deletes that the replica has not heard of were dropped: it has to start afresh",
    )
}
