//! The client.

use std::sync::Arc;
use std::time::Duration;

use unisono::client::{Conflict, SignedOut};
use unisono::engine::{Finding, NetworkKind, Status, SyncReport};
use unisono::model::{EventId, Scope, Value};
use unisono::replica::rows::{Outcome, QueuedEvent};

use crate::Result;
use crate::collection::Collection;
use crate::events::{EventListener, EventStream, Subscription};
use crate::executor::{Executor, On};
use crate::options::ClientOptions;
use crate::settings::SettingsClient;

/// A replica with its queue and engine.
#[derive(Debug, uniffi::Object)]
pub struct Client(On<unisono::Client>);

#[uniffi::export]
impl Client {
    /// Opens the replica. Nothing runs in the background before `start`. Close the client when it is done with: what is only
    /// dropped keeps its file until the last of its objects is gone.
    #[uniffi::constructor]
    pub async fn open(options: ClientOptions) -> Result<Arc<Self>> {
        let executor = Arc::new(Executor::of_this_process()?);
        let inner = executor.run(options.open(executor.environment())).await?;
        Ok(Arc::new(Self(On { inner, executor })))
    }

    /// A collection of the account's own scope.
    pub fn collection(&self, name: String) -> Arc<Collection> {
        Arc::new(Collection::new(self.0.with(self.0.inner.collection(name))))
    }

    /// The scope shared by the members of a workspace.
    pub fn workspace(&self, id: String) -> Arc<Workspace> {
        Arc::new(Workspace(self.0.with(self.0.inner.workspace(id))))
    }

    /// The account's settings.
    pub fn settings(&self) -> Arc<SettingsClient> {
        Arc::new(SettingsClient::new(self.0.with(self.0.inner.settings())))
    }

    /// Tells which network the device is on. Over a metered one nothing but settings is synced where the user wants Wi-Fi only.
    pub fn set_network(&self, kind: NetworkKind) {
        let _runtime = self.0.executor.enter();
        self.0.inner.set_network(kind);
    }

    /// Starts background sync. Idempotent.
    pub async fn start(&self) -> Result<()> {
        self.0.call(|client| async move { client.start().await }).await
    }

    /// Syncs every scope now and waits until that is done, or until `deadline` has passed.
    #[uniffi::method(default(deadline = None))]
    pub async fn sync_now(&self, deadline: Option<Duration>) -> Result<SyncReport> {
        self.0
            .call(|client| async move {
                match deadline {
                    Some(deadline) => client.sync_within(deadline).await,
                    None => client.sync_now().await,
                }
            })
            .await
    }

    /// The client's state; touches neither disk nor network.
    pub fn status(&self) -> Status {
        self.0.inner.status()
    }

    /// What happens in the client from now on.
    pub fn events(&self) -> Arc<EventStream> {
        Arc::new(EventStream::new(self.0.with(()), self.0.inner.events()))
    }

    /// Tells `listener` what happens in the client from now on.
    pub fn listen(&self, listener: Arc<dyn EventListener>) -> Result<Arc<Subscription>> {
        self.0.executor.check()?;
        Ok(Arc::new(Subscription::new(&self.0.executor, self.0.inner.events(), listener)))
    }

    /// Events that wait to be sent or answered, in queue order.
    pub async fn pending(&self) -> Result<Vec<QueuedEvent>> {
        self.0.call(|client| async move { client.pending().await }).await
    }

    /// Events that were refused and wait for the app, in queue order.
    pub async fn parked(&self) -> Result<Vec<QueuedEvent>> {
        self.0.call(|client| async move { client.parked().await }).await
    }

    /// Open conflict notes of every scope.
    pub async fn conflicts(&self) -> Result<Vec<Conflict>> {
        self.0.call(|client| async move { client.conflicts().await }).await
    }

    /// Marks a conflict note as resolved, on every device; none if it is. Without `scope` it is looked for in every scope.
    #[uniffi::method(default(scope = None))]
    pub async fn resolve(&self, note: String, scope: Option<Scope>) -> Result<Option<EventId>> {
        self.0
            .call(|client| async move {
                match scope {
                    Some(scope) => client.resolve_in(&scope, &note).await,
                    None => client.resolve(&note).await,
                }
            })
            .await
    }

    /// The value behind a reference of a conflict note (`value_ref` of a side, or `base_ref`): read here where it is kept, else
    /// fetched once.
    pub async fn conflict_value(&self, note: String, sha256: String) -> Result<Value> {
        self.0.call(|client| async move { client.conflict_value(note, sha256).await }).await
    }

    /// What became of an event; none if this replica never accepted it, or settled it more than about a week ago. Survives
    /// restarts.
    pub async fn outcome(&self, event: EventId) -> Result<Option<Outcome>> {
        self.0.call(|client| async move { client.outcome(&event).await }).await
    }

    /// Waits until an event's content has left the queue or is parked; follows foldings and replacements.
    pub async fn settled(&self, event: EventId) -> Result<Outcome> {
        self.0.call(|client| async move { client.settled(&event).await }).await
    }

    /// Puts a parked event, with its group, back into the queue.
    pub async fn retry(&self, event: EventId) -> Result<()> {
        self.0.call(|client| async move { client.retry(&event).await }).await
    }

    /// Drops a parked event, with its group; the view is computed without it.
    pub async fn discard(&self, event: EventId) -> Result<()> {
        self.0.call(|client| async move { client.discard(&event).await }).await
    }

    /// Replaces a parked event's content and puts it back into the queue, under the id that is returned: a create gets
    /// `content` as its document, an update as its RFC 7396 merge patch.
    pub async fn replace(&self, event: EventId, content: Value) -> Result<EventId> {
        self.0.call(|client| async move { client.replace_content(&event, content).await }).await
    }

    /// Examines the replica and the engine and says what is wrong and what to do, the worst first.
    pub async fn doctor(&self) -> Result<Vec<Finding>> {
        self.0.call(|client| async move { client.doctor().await }).await
    }

    /// Holds background sync until `resume`. Not persisted.
    pub fn pause(&self) {
        self.0.inner.pause();
    }

    /// For an app that is about to be suspended: ends sync, flushes everything and releases every file lock.
    pub async fn suspend(&self) -> Result<()> {
        self.0.call(|client| async move { client.suspend().await }).await
    }

    /// Takes up background sync, or a suspended replica; `already_open` if another process took the replica meanwhile.
    pub async fn resume(&self) -> Result<()> {
        self.0.call(|client| async move { client.resume().await }).await
    }

    /// Switches sync on, durably.
    pub async fn enable(&self) -> Result<()> {
        self.0.call(|client| async move { client.enable().await }).await
    }

    /// Switches sync off on this device, durably. The app goes on working on its replica.
    pub async fn disable(&self) -> Result<()> {
        self.0.call(|client| async move { client.disable().await }).await
    }

    /// Gives an anonymous replica, with all that was written in it, to an account. Possible once.
    pub async fn claim(&self, account: String) -> Result<()> {
        self.0.call(|client| async move { client.claim(account).await }).await
    }

    /// Tells whether there is a network; `true` syncs at once.
    pub fn set_online(&self, online: bool) {
        let _runtime = self.0.executor.enter();
        self.0.inner.set_online(online);
    }

    /// Replaces the token, or the source of tokens, after the user has signed in again.
    pub fn set_token(&self, token: String) {
        let _runtime = self.0.executor.enter();
        self.0.inner.set_token(token);
    }

    /// Seals the replica, unsent work included, and closes the client. It opens again for the same account only.
    pub async fn sign_out(&self) -> Result<SignedOut> {
        self.0.call(|client| async move { client.sign_out().await }).await
    }

    /// Ends sync, flushes and closes the replica. Idempotent; later calls fail with `closed`.
    pub async fn close(&self) -> Result<()> {
        self.0.call(|client| async move { client.close().await }).await
    }
}

/// A workspace's collections.
#[derive(Debug, uniffi::Object)]
pub struct Workspace(On<unisono::client::Workspace>);

#[uniffi::export]
impl Workspace {
    /// Makes the workspace one of those that are synced. A write to it does the same.
    pub async fn subscribe(&self) -> Result<()> {
        self.0.call(|workspace| async move { workspace.subscribe().await }).await
    }

    /// A collection of the workspace.
    pub fn collection(&self, name: String) -> Arc<Collection> {
        Arc::new(Collection::new(self.0.with(self.0.inner.collection(name))))
    }
}
