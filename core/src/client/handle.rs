//! The client's face.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::builder::ClientBuilder;
use super::collection::{BadName, Collection, bad_name};
use super::identity::{Opener, SignedOut, check_same};
use super::observe::Events;
use super::transaction::Transaction;
use crate::concurrency::Closing;
use crate::engine::{Cause, Credentials, Engine, Finding, NetworkKind, Status, SyncReport, Tokens};
use crate::error::{Error, Result};
use crate::model::{CollectionName, EventId, Scope, SyncAction, SyncEvent, Value};
use crate::queue::{Draft, OfflineQueue};
use crate::replica::Replica;
use crate::replica::rows::{Outcome, QueuedEvent};
use crate::transport::Method;

/// Writes that share a commit where many are made in one call.
const AT_A_TIME: usize = 500;

/// A replica with its queue and engine. Clones are handles to the same client.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub engine: Arc<Engine>,
    pub queue: OfflineQueue,
    pub schema: u32,
    closing: Closing,
}

impl Client {
    /// Collects what a client needs.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    pub(super) fn new(engine: Arc<Engine>, queue: OfflineQueue, schema: u32) -> Self {
        Self { inner: Arc::new(Inner { engine, queue, schema, closing: Closing::default() }) }
    }

    /// A collection of the account's own scope.
    #[must_use]
    pub fn collection(&self, name: impl Into<String>) -> Collection {
        Collection::new(self.clone(), Ok(Scope::User), name.into())
    }

    /// The scope shared by the members of a workspace.
    #[must_use]
    pub fn workspace(&self, id: impl AsRef<str>) -> Workspace {
        Workspace { client: self.clone(), scope: Scope::workspace(id.as_ref()).map_err(bad_name) }
    }

    /// Begins a transaction: its writes are applied entirely or not at all, here and on the server.
    pub fn transaction(&self) -> Transaction {
        Transaction::new(self.clone())
    }

    /// Starts background sync. Idempotent.
    ///
    /// # Errors
    /// `closed`; the storage's.
    pub async fn start(&self) -> Result<()> {
        self.check_open()?;
        self.inner.engine.start().await
    }

    /// Syncs every scope now and waits until that is done.
    ///
    /// # Errors
    /// What stopped the sync; what was done before is kept.
    pub async fn sync_now(&self) -> Result<SyncReport> {
        self.check_shown()?;
        self.inner.engine.sync_now(None).await
    }

    /// [`sync_now`](Self::sync_now), waiting for `deadline` at most.
    ///
    /// # Errors
    /// `deadline`, and as above.
    pub async fn sync_within(&self, deadline: Duration) -> Result<SyncReport> {
        self.check_shown()?;
        self.inner.engine.sync_now(Some(deadline)).await
    }

    /// The client's state; touches neither disk nor network.
    #[must_use]
    pub fn status(&self) -> Status {
        self.inner.engine.status()
    }

    /// Examines the replica and the engine and says what is wrong and what to do.
    ///
    /// # Errors
    /// The storage's.
    pub async fn doctor(&self) -> Result<Vec<Finding>> {
        self.check_open()?;
        self.inner.engine.doctor().await
    }

    /// What happens in the client from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        let events = Events::new(self.inner.engine.subscribe(), self.commits());
        // Asked after the subscription: whoever subscribed before the end is told of it.
        if self.inner.closing.has_begun() { events.ended() } else { events }
    }

    /// Unsettled events of the account's own scope, in queue order.
    ///
    /// # Errors
    /// The storage's.
    pub async fn pending(&self) -> Result<Vec<QueuedEvent>> {
        self.listed(false).await
    }

    /// Events that were refused and wait for the app, in all scopes, in queue order.
    ///
    /// # Errors
    /// The storage's.
    pub async fn parked(&self) -> Result<Vec<QueuedEvent>> {
        self.listed(true).await
    }

    async fn listed(&self, parked: bool) -> Result<Vec<QueuedEvent>> {
        self.check_shown()?;
        let mut found = Vec::new();
        for scope in self.reader().scopes().await? {
            found.extend(match parked {
                true => self.inner.queue.parked(&scope, usize::MAX).await?,
                false => self.inner.queue.pending(&scope, usize::MAX).await?,
            });
        }
        Ok(found)
    }

    /// What became of an event; `None` if this replica never accepted it, or accepted it so long ago that the server's backups
    /// hold all that came of it (by default a week). Survives restarts.
    ///
    /// # Errors
    /// The storage's.
    pub async fn outcome(&self, id: &EventId) -> Result<Option<Outcome>> {
        self.check_open()?;
        self.inner.queue.outcome(id).await
    }

    /// Waits until an event's content has left the queue or is parked; follows foldings and replacements.
    ///
    /// # Errors
    /// `event_state` if the event is unknown; the storage's.
    pub async fn settled(&self, id: &EventId) -> Result<Outcome> {
        self.check_open()?;
        self.inner.queue.settled(id).await
    }

    /// Puts a parked event, with its group, back into the queue.
    ///
    /// # Errors
    /// `event_state` if it is not parked.
    pub async fn retry(&self, id: &EventId) -> Result<()> {
        self.check_writable()?;
        let scope = self.inner.queue.retry(id).await?;
        self.inner.engine.wake(&scope, Cause::Request);
        Ok(())
    }

    /// Drops a parked event, with its group; the view is computed without it.
    ///
    /// # Errors
    /// `event_state` if it is not parked.
    pub async fn discard(&self, id: &EventId) -> Result<()> {
        self.check_writable()?;
        let scope = self.inner.queue.discard(id).await?;
        self.inner.engine.wake(&scope, Cause::Request);
        Ok(())
    }

    /// Replaces a parked event's content; it goes back into the queue under the id that is returned. Its record and action stay.
    ///
    /// # Errors
    /// `event_state` if it is not parked; those of content; `type_mismatch` and its kin if it does not fit what the app sees
    /// before it; `queue_full`.
    pub async fn replace(
        &self,
        id: &EventId,
        edit: impl Fn(SyncEvent) -> SyncEvent + Send + Sync + 'static,
    ) -> Result<EventId> {
        self.check_writable()?;
        let new = self.inner.queue.replace(id, edit).await?;
        for scope in self.reader().scopes().await? {
            self.inner.engine.wake(&scope, Cause::Request);
        }
        Ok(new)
    }

    /// Replaces a parked event's content, as [`replace`](Self::replace) does: a create gets `content` as its document, an
    /// update as its RFC 7396 merge patch of what the server is known to hold. Its mode, policy and dependencies stay.
    ///
    /// # Errors
    /// `event_state` if it is not parked, or a delete, which has no content, or if the patch changes nothing; those of content.
    pub async fn replace_content(&self, id: &EventId, mut content: Value) -> Result<EventId> {
        self.check_open()?;
        crate::model::value::admit(&mut content)?;
        let refuse = |why| Err(Error::Event { id: id.clone(), why });
        let Some(row) = self.reader().outcome(id).await? else { return refuse("there is no such event") };
        let Outcome::Parked { position } = row.state else { return refuse("it is not parked") };
        let Some(entry) = self.reader().entry(&row.scope, position).await? else {
            return refuse("it is not in the queue");
        };
        match entry.event.action {
            SyncAction::Create => {
                self.replace(id, move |event| SyncEvent { doc: Some(content.clone()), ops: Vec::new(), ..event }).await
            }
            SyncAction::Update => {
                let confirmed = self.reader().record(&row.scope, &entry.event.key()).await?.and_then(|row| row.doc);
                let ops = crate::model::ops_of_patch(content, &confirmed.unwrap_or_default())?;
                if ops.is_empty() {
                    return refuse("the record has this content already: discard it");
                }
                self.replace(id, move |event| SyncEvent { ops: ops.clone(), ..event }).await
            }
            SyncAction::Delete => refuse("a delete has no content: retry it, or discard it"),
        }
    }

    /// Holds background sync until [`resume`](Self::resume). Not persisted.
    pub fn pause(&self) {
        self.inner.engine.pause();
    }

    /// Takes up background sync, or a suspended replica.
    ///
    /// # Errors
    /// `already_open` if another process took the replica while it was suspended.
    pub async fn resume(&self) -> Result<()> {
        self.check_open()?;
        self.reader().storage().resume().await?;
        self.inner.engine.resume();
        Ok(())
    }

    /// For an app that is about to be suspended: ends sync, flushes everything and releases every file lock.
    ///
    /// # Errors
    /// The storage's.
    pub async fn suspend(&self) -> Result<()> {
        self.check_open()?;
        self.inner.engine.pause();
        let _turns = self.inner.engine.quiesce().await;
        Ok(self.reader().storage().suspend().await?)
    }

    /// Switches sync on, durably.
    ///
    /// # Errors
    /// The storage's.
    pub async fn enable(&self) -> Result<()> {
        self.check_open()?;
        self.inner.engine.set_enabled(true).await
    }

    /// Switches sync off on this device, durably. The app goes on working on its replica.
    ///
    /// # Errors
    /// The storage's.
    pub async fn disable(&self) -> Result<()> {
        self.check_open()?;
        self.inner.engine.set_enabled(false).await
    }

    /// Tells whether there is a network; `true` syncs at once.
    pub fn set_online(&self, online: bool) {
        self.inner.engine.set_online(online);
    }

    /// Tells which network the device is on. Over a metered one nothing but settings is synced where the user wants Wi-Fi only.
    pub fn set_network(&self, kind: NetworkKind) {
        self.inner.engine.set_network(kind);
    }

    /// Replaces the token, after the user has signed in again; sync goes on.
    pub fn set_token(&self, token: impl Into<String>) {
        self.set_credentials(Tokens::fixed(SecretString::from(token.into())));
    }

    /// Replaces the source of tokens.
    pub fn set_credentials(&self, credentials: Arc<dyn Credentials>) {
        self.inner.engine.tokens().replace(credentials);
        self.inner.engine.wake_all(Cause::Request);
    }

    /// Gives an anonymous replica, with all that was written in it, to an account. Possible once.
    ///
    /// # Errors
    /// `identity_mismatch` if it is another account's.
    pub async fn claim(&self, account: impl Into<String>) -> Result<()> {
        self.check_open()?;
        let account = account.into();
        if let Some(subject) = self.inner.engine.tokens().subject() {
            check_same(&subject, &account)?;
        }
        let opener = Opener { account: Some(account), proven: false, claim: true };
        opener.enter(self.inner.queue.writer()).await?;
        self.inner.engine.wake_all(Cause::Request);
        Ok(())
    }

    /// Seals the replica, unsent work included, and closes the client, without waiting for the server. It opens again for the
    /// same account only, with a token of it. If this fails or is cancelled before the replica is sealed, the client goes on.
    ///
    /// # Errors
    /// `auth_required` if the replica is anonymous, and so nobody's to seal; the storage's.
    pub async fn sign_out(&self) -> Result<SignedOut> {
        self.check_open()?;
        let quiet = self.inner.engine.quiesce().await;
        let report = self
            .inner
            .queue
            .writer()
            .run(|txn| {
                let replica = txn.replica_mut();
                if replica.account.is_none() {
                    return Err(Error::Auth("the replica is anonymous: nobody is signed in. Close it instead".into()));
                }
                replica.sealed = true;
                let pending = replica.queued_events.saturating_sub(replica.parked_events);
                Ok(SignedOut { pending, parked: replica.parked_events })
            })
            .await?;
        self.inner.engine.refuse();
        drop(quiet);
        // It is sealed, durably: that is what was asked. A close that fails counts as one all the same.
        drop(self.close().await);
        Ok(report)
    }

    /// Ends sync, flushes and closes the replica. Idempotent; later calls fail with `closed`. Requests under way are abandoned:
    /// it does not wait for the server. Once it returns, all is closed; if it is cancelled, the next call does the rest.
    ///
    /// # Errors
    /// The storage's.
    pub async fn close(&self) -> Result<()> {
        self.inner
            .closing
            .run(|| async {
                self.inner.engine.stop().await;
                // A sync that was given up leaves its commit behind.
                self.inner.queue.writer().rest().await;
                let closed = self.reader().storage().close().await;
                self.inner.queue.writer().notices().close();
                Ok(closed?)
            })
            .await
    }

    /// The replica beneath: raw rows, for tools and tests.
    #[must_use]
    pub fn replica(&self) -> Replica {
        self.reader()
    }

    pub(crate) fn reader(&self) -> Replica {
        self.inner.queue.writer().reader()
    }

    pub(super) fn commits(&self) -> tokio::sync::broadcast::Receiver<Arc<Vec<crate::replica::Notice>>> {
        self.inner.queue.writer().notices().subscribe()
    }

    pub(super) fn check_open(&self) -> Result<()> {
        if self.inner.closing.has_begun() { Err(Error::Closed) } else { Ok(()) }
    }

    /// Refuses to show anything, or to take it, while the token at hand is another account's.
    pub(crate) fn check_shown(&self) -> Result<()> {
        self.check_open()?;
        match (&self.reader().snapshot().account, self.inner.engine.tokens().subject()) {
            (Some(owner), Some(subject)) => check_same(owner, &subject),
            _ => Ok(()),
        }
    }

    pub(super) fn check_writable(&self) -> Result<()> {
        self.check_shown()?;
        if self.reader().snapshot().sealed { Err(Error::Sealed) } else { Ok(()) }
    }

    /// The answer of the account's server to a request that is no part of a sync.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Vec<u8>> {
        self.check_writable()?;
        self.inner.engine.request(method, path, body).await
    }

    /// Accepts drafts and wakes the engine. An id per draft; `None` for one that changes nothing.
    pub(super) async fn write(&self, scope: &Scope, drafts: Vec<Draft>) -> Result<Vec<Option<EventId>>> {
        self.check_writable()?;
        self.inner.engine.heed_new_token().await?;
        let ids = self.inner.queue.accept(scope, drafts).await?;
        self.wake_for(scope, &ids);
        Ok(ids)
    }

    /// [`write`](Self::write) for drafts that have nothing to do with each other, some at a time.
    pub(super) async fn write_apart(&self, scope: &Scope, drafts: Vec<Draft>) -> Result<Vec<Option<EventId>>> {
        let mut written = Vec::with_capacity(drafts.len());
        let mut rest = drafts.into_iter();
        loop {
            let part: Vec<_> = rest.by_ref().take(AT_A_TIME).collect();
            if part.is_empty() {
                return Ok(written);
            }
            self.check_writable()?;
            let ids = self.inner.queue.accept_apart(scope, part).await?;
            self.wake_for(scope, &ids);
            written.extend(ids);
        }
    }

    fn wake_for(&self, scope: &Scope, written: &[Option<EventId>]) {
        if written.iter().any(Option::is_some) {
            self.inner.engine.wake(scope, Cause::Write);
        }
    }
}

/// A workspace's collections.
#[derive(Clone, Debug)]
pub struct Workspace {
    client: Client,
    scope: Result<Scope, BadName>,
}

impl Workspace {
    /// Makes the workspace one of those that are synced. A write to it does the same; an app that only reads asks for it
    /// once. One that was lost is asked for again at once, and takes writes until the server denies it anew.
    ///
    /// # Errors
    /// `invalid_id`; the storage's.
    pub async fn subscribe(&self) -> Result<()> {
        self.client.check_writable()?;
        let scope = self.scope.clone().map_err(|(code, message)| Error::invalid(code, message))?;
        self.client.inner.engine.ask_for(&scope).await?;
        self.client.inner.engine.wake(&scope, Cause::Request);
        Ok(())
    }

    /// A collection of the workspace.
    #[must_use]
    pub fn collection(&self, name: impl Into<String>) -> Collection {
        Collection::new(self.client.clone(), self.scope.clone(), name.into())
    }
}

/// Checks a collection name that an app uses.
pub(super) fn app_collection(name: &str) -> Result<CollectionName> {
    let name = CollectionName::new(name)?;
    if name.is_reserved() {
        return Err(Error::invalid(
            crate::error::InvalidCode::ReservedName,
            "collections that begin with `$` are reserved",
        ));
    }
    Ok(name)
}
