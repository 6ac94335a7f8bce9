//! [`SyncService`]: the requests of the protocol, without HTTP.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use serde_json::value::RawValue;
use unisono::environment::{Environment, SharedEnvironment, run_blocking};
use unisono::limits::DIGEST_BUCKETS;
use unisono::model::{Author, DigestSum, Scope};
use unisono::protocol::{
    ChangesRequest, DigestResponse, PROTOCOL, Problem, ProblemCode, PushRequest, PushResponse, StatsResponse,
    StatusResponse, SyncSwitch, ValueRequest, ValueResponse,
};
use unisono::settings::Document;

use super::age::AgeClock;
use super::caller::Caller;
use super::cursor_key::CursorKey;
use super::feed::Feed;
use super::garbage::{self, GarbageReport};
use super::hints::{HintReader, Hints};
use super::history::{Claims, Entry, enter};
use super::intake::take_in;
use super::lost_values::lost_value;
use super::principal::Principal;
use super::push::{Push, Pushed, check_device};
use super::refusals::Refusals;
use super::settings::{SettingsEdit, SettingsWrite};
use super::token::{Evidence, Token, trail_before};
use super::verify::verify;
use crate::store::{self, Damage, Identity, ScopeRow, Store, StoreError, StoreFigures, Verdict};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes of events from which on parsing them is work for a thread of its own.
const LARGE_PUSH_BYTES: usize = 64 << 10;
/// push_seq is kept as a signed integer.
const MAX_PUSH_SEQ: u64 = i64::MAX as u64;

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct ServiceOptions {
    /// How long tombstones are kept, in time for which the server runs; a replica that stays away longer starts afresh. 90 days
    /// by default.
    pub tombstone_horizon: Duration,
    /// The age from which on the operator's backups are sure to hold everything, in time for which the server runs. 7 days by
    /// default.
    pub backup_age: Duration,
    /// How long audit rows are kept; for ever by default. (The log of events is always kept.)
    pub audit_retention: Option<Duration>,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self { tombstone_horizon: 90 * DAY, backup_age: 7 * DAY, audit_retention: None }
    }
}

impl ServiceOptions {
    pub(super) fn backup_age_ms(&self) -> u64 {
        millis(self.backup_age)
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What the service's parts share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Box<dyn Store>,
    pub(super) environment: SharedEnvironment,
    pub(super) options: ServiceOptions,
    pub(super) server_id: String,
    pub(super) cursor_key: CursorKey,
    pub(super) ages: AgeClock,
    pub(super) refusals: Refusals,
    pub(super) counts: Arc<Counts>,
    pub(super) hints: Arc<Hints>,
}

/// What has happened since the service was opened.
#[derive(Debug, Default)]
pub struct Counts {
    /// Histories that began because a client proved that the server was restored.
    pub epochs: AtomicU64,
    /// Tombstones that were dropped.
    pub purged_tombstones: AtomicU64,
    /// Audit rows that were dropped.
    pub purged_audit_rows: AtomicU64,
}

/// The sync service. Clones are handles of the same one.
#[derive(Clone, Debug)]
pub struct SyncService {
    pub(super) shared: Arc<Shared>,
}

impl SyncService {
    /// Opens the service on `store`.
    ///
    /// # Errors
    /// The store's.
    pub async fn open(
        store: impl Store,
        environment: SharedEnvironment,
        options: ServiceOptions,
    ) -> Result<Self, StoreError> {
        let Identity { server_id, cursor_key, clock_ms } = store.attach(Arc::clone(&environment)).await?;
        let ages = AgeClock::new(&environment, clock_ms);
        if clock_ms.is_none() {
            store.keep_clock(ages.now_ms()).await?;
        }
        let (store, cursor_key): (Box<dyn Store>, _) = (Box::new(store), CursorKey::new(cursor_key));
        let shared = Shared {
            store,
            environment,
            options,
            server_id,
            cursor_key,
            ages,
            refusals: Refusals::default(),
            counts: Arc::default(),
            hints: Arc::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// `POST /sync/events`: every event gets a receipt; effects, receipts, notes and audit row are one transaction.
    ///
    /// # Errors
    /// `400 malformed_event | invalid_cursor | invalid_request`, `403 identity_mismatch`,
    /// `404 scope_not_found`, `409 epoch_changed | device_forked`, `413 push_too_large`, and the store's troubles. Nothing
    /// of the push was applied then.
    pub async fn push(
        &self,
        principal: &Principal,
        request: PushRequest<Box<RawValue>>,
    ) -> Result<PushResponse, Problem> {
        let PushRequest { scope, account, epoch, device_id, push_seq, cursor, seen, device_now: _, events } = request;
        let events = self.take_in(events).await?;
        if account != principal.subject {
            return Err(Problem::of(ProblemCode::IdentityMismatch, "the replica belongs to another account"));
        }
        let scope = principal.scope_key(&scope)?;
        check_device(&device_id)?;
        if push_seq == 0 || push_seq > MAX_PUSH_SEQ {
            return Err(Problem::of(ProblemCode::InvalidRequest, "`push_seq` counts from 1"));
        }
        let caller = Caller::new(&principal.account(), Some(&device_id));
        let claims = Claims::read(epoch, (cursor.as_ref(), seen.as_ref()), &scope, &self.shared.cursor_key, caller)?;
        let author = Author { user: account, device: device_id };
        let push = self.push_of(scope.clone(), author, push_seq, claims, events);
        let environment = Arc::clone(&self.shared.environment);
        let key = scope.clone();
        let Pushed { answer, news } =
            store::write(&*self.shared.store, scope, move |tx| push.run(tx, &*environment)).await?;
        if news {
            self.shared.hints.tell(&key);
        }
        answer
    }

    /// A push whose form is checked.
    pub(super) fn push_of(
        &self,
        scope: store::ScopeKey,
        author: Author,
        push_seq: u64,
        claims: Claims,
        events: Vec<super::intake::Intake>,
    ) -> Push {
        Push {
            scope,
            author,
            push_seq,
            claims,
            events,
            server_id: self.shared.server_id.clone(),
            cursor_key: self.shared.cursor_key.clone(),
            ages: self.shared.ages.clone(),
            counts: Arc::clone(&self.shared.counts),
            horizon_ms: millis(self.shared.options.tombstone_horizon),
        }
    }

    async fn take_in(&self, events: Vec<Box<RawValue>>) -> Result<Vec<super::intake::Intake>, Problem> {
        if events.iter().map(|event| event.get().len()).sum::<usize>() < LARGE_PUSH_BYTES {
            return take_in(&events);
        }
        run_blocking(&*self.shared.environment, move || take_in(&events))
            .await
            .unwrap_or_else(|| Err(StoreError::Internal("reading a push panicked".to_owned()).into()))
    }

    /// `GET /sync/changes`: validated before the first part is read.
    ///
    /// # Errors
    /// `400 invalid_cursor | invalid_request`, `404 scope_not_found`, `409 epoch_changed`, `410 cursor_expired`, and the
    /// store's troubles.
    pub async fn changes(&self, principal: &Principal, request: ChangesRequest) -> Result<Feed, Problem> {
        Feed::open(Arc::clone(&self.shared), principal, request).await
    }

    /// `GET /sync/status`; without a scope, about the private one.
    ///
    /// # Errors
    /// `404 scope_not_found`, and the store's troubles.
    pub async fn status(&self, principal: &Principal, scope: Option<Scope>) -> Result<StatusResponse, Problem> {
        let key = principal.scope_key(&scope.unwrap_or(Scope::User))?;
        let row = self.row(key).await?;
        let user = self.row(principal.user_scope()).await?;
        Ok(StatusResponse {
            server_now: self.shared.environment.now_ms(),
            server_id: self.shared.server_id.clone(),
            account: principal.subject.clone(),
            protocol: PROTOCOL,
            revision: row.as_ref().map_or(0, |row| row.revision),
            epoch: row.map(|row| row.epoch),
            enabled: user.is_none_or(|user| user.sync_enabled),
        })
    }

    async fn row(&self, key: store::ScopeKey) -> Result<Option<ScopeRow>, StoreError> {
        store::read(&*self.shared.store, key, |reads| reads.scope()).await
    }

    /// `GET /sync/digest`.
    ///
    /// # Errors
    /// `404 scope_not_found`, and the store's troubles.
    pub async fn digest(&self, principal: &Principal, scope: Scope) -> Result<DigestResponse, Problem> {
        let key = principal.scope_key(&scope)?;
        let (environment, counts) = (Arc::clone(&self.shared.environment), Arc::clone(&self.shared.counts));
        // An empty scope has a digest too, and with it a history.
        if self.row(key.clone()).await?.is_none() {
            store::write(&*self.shared.store, key.clone(), move |tx| {
                enter(tx, &*environment, &Claims::default(), &counts).map(|_: Entry| (Verdict::Commit, ()))
            })
            .await?;
        }
        let (name, cursor_key) = (key.clone(), self.shared.cursor_key.clone());
        let digest = store::read(&*self.shared.store, key, move |reads| {
            let scope = reads.scope()?.ok_or_else(|| StoreError::Corrupt("a scope is gone".to_owned()))?;
            let sums = reads.buckets(&(0..=u8::MAX).collect::<BTreeSet<_>>())?;
            let token = Token {
                epoch: scope.epoch.clone(),
                at: Evidence::of(reads, scope.revision)?,
                bootstrap: None,
                head: None,
                trail: trail_before(reads, scope.revision)?,
            };
            Ok(DigestResponse {
                epoch: scope.epoch,
                cursor: token.encode(&name, &cursor_key),
                revision: scope.revision,
                total: scope.digest.to_string(),
                buckets: (0..=u8::MAX)
                    .take(DIGEST_BUCKETS)
                    .map(|bucket| sums.get(&bucket).copied().unwrap_or_else(DigestSum::default).to_string())
                    .collect(),
            })
        });
        Ok(digest.await?)
    }

    /// `GET /sync/values`: a value to which a conflict note refers.
    ///
    /// # Errors
    /// `404 scope_not_found`; `404 value_not_found` if the note does not refer to it, or not any more; the store's troubles.
    pub async fn value(&self, principal: &Principal, request: ValueRequest) -> Result<ValueResponse, Problem> {
        let ValueRequest { scope, note, sha256 } = request;
        let key = principal.scope_key(&scope)?;
        let found = store::read(&*self.shared.store, key, move |reads| lost_value(reads, &note, &sha256)).await?;
        let unknown = || Problem::of(ProblemCode::ValueNotFound, "the note does not refer to such a value");
        found.map(|value| ValueResponse { value }).ok_or_else(unknown)
    }

    /// `GET /sync/stats`.
    ///
    /// # Errors
    /// `404 scope_not_found`, and the store's troubles.
    pub async fn stats(&self, principal: &Principal, scope: Scope) -> Result<StatsResponse, Problem> {
        let key = principal.scope_key(&scope)?;
        let stats = store::read(&*self.shared.store, key, |reads| {
            let devices = reads.devices()?;
            let scope = reads.scope()?.unwrap_or_else(|| ScopeRow::new(String::new()));
            Ok(StatsResponse {
                records: scope.records,
                tombstones: scope.tombstones,
                bytes: scope.bytes,
                // Every revision is one event of the log.
                events: scope.revision,
                conflicts: scope.conflicts,
                devices,
                revision: scope.revision,
            })
        });
        Ok(stats.await?)
    }

    /// Replays a scope's log and compares the outcome with what is stored, totals and digests included. Returns what differs,
    /// in words; nothing, if all is well. For tests, and for an operator who doubts the database: needs memory for the whole
    /// scope.
    ///
    /// # Errors
    /// `404 scope_not_found`, and the store's troubles.
    pub async fn verify(&self, principal: &Principal, scope: Scope) -> Result<Vec<String>, Problem> {
        let key = principal.scope_key(&scope)?;
        Ok(store::read(&*self.shared.store, key, |reads| verify(reads)).await?)
    }

    /// `POST /sync/enable` and `/sync/disable`: the account's preference `cloud_sync.enabled`, which its devices read. The server
    /// refuses no push over it.
    ///
    /// # Errors
    /// The store's troubles.
    pub async fn set_enabled(&self, principal: &Principal, enabled: bool) -> Result<SyncSwitch, Problem> {
        let write = SettingsWrite {
            document: Document::Preferences,
            edit: SettingsEdit::Patch(json!({"cloud_sync": {"enabled": enabled}})),
            only_at: None,
            event: None,
        };
        self.write_settings(principal, write).await?;
        Ok(SyncSwitch { enabled, notified: self.shared.hints.tell_all(&principal.user_scope()) })
    }

    /// `POST /sync/now`: asks the account's connected devices to sync.
    ///
    /// # Errors
    /// The store's troubles.
    pub async fn sync_now(&self, principal: &Principal) -> Result<SyncSwitch, Problem> {
        let row = self.row(principal.user_scope()).await?;
        let notified = self.shared.hints.tell_all(&principal.user_scope());
        Ok(SyncSwitch { enabled: row.is_none_or(|row| row.sync_enabled), notified })
    }

    /// Listens for hints that a scope of `principal` moved.
    #[must_use]
    pub fn listen(&self, principal: &Principal) -> HintReader {
        self.shared.hints.listen(principal)
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What has happened since the service was opened.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// The environment that the service runs in.
    pub(crate) fn environment(&self) -> &dyn Environment {
        &*self.shared.environment
    }

    /// Whether requests can be served: the store can be written, and holds no damage that is known.
    ///
    /// # Errors
    /// `503` with the store's code and the reason.
    pub async fn ready(&self) -> Result<(), Problem> {
        self.shared.store.ready().await.map_err(|error| error.unready())
    }

    /// Drops what is older than its horizon: tombstones, and audit rows where the operator limits them. Ages are counted in
    /// time for which the server has run; the clock that counts it is kept with each call, and when the service is closed.
    ///
    /// # Errors
    /// The store's troubles; what was dropped until then stays dropped.
    pub async fn collect_garbage(&self) -> Result<GarbageReport, Problem> {
        self.shared.store.keep_clock(self.shared.ages.now_ms()).await?;
        let report = garbage::collect(&self.shared).await?;
        self.shared.counts.purged_tombstones.fetch_add(report.tombstones, Ordering::Relaxed);
        self.shared.counts.purged_audit_rows.fetch_add(report.audit_rows, Ordering::Relaxed);
        Ok(report)
    }

    /// Looks for damage in everything that is stored. What is found turns [`ready`](Self::ready) to an error; damage of the
    /// store's structure ends all service.
    ///
    /// # Errors
    /// The store's troubles; damage is none.
    pub async fn check(&self) -> Result<Damage, Problem> {
        Ok(self.shared.store.check().await?)
    }

    /// What there is to count about the store.
    #[must_use]
    pub fn store_figures(&self) -> StoreFigures {
        self.shared.store.figures()
    }

    /// Finishes what is under way and closes the store. Idempotent; later calls fail with `503 shutting_down`.
    pub async fn close(&self) {
        self.shared.hints.close();
        self.write_refusals().await;
        // Later than kept, things only look younger; and a store that is closed already has kept it.
        drop(self.shared.store.keep_clock(self.shared.ages.now_ms()).await);
        if let Err(error) = self.shared.store.close().await {
            tracing::warn!(code = error.code(), %error, "closing the database");
        }
    }
}
