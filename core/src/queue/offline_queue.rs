//! The queue's face.

use std::sync::{Arc, Mutex, PoisonError};

use super::accept::{Together, accept};
use super::draft::Draft;
use super::freeze::{Push, Selection, has_sendable, next_push};
use super::park as parked;
use super::policies::PolicyTable;
use super::settle::{Judges, Settlement, recut, settle};
use crate::error::{Error, Result};
use crate::limits::{DEFAULT_QUEUE_BYTES, DEFAULT_QUEUE_EVENTS};
use crate::model::{EventId, Policy, Scope, SyncEvent};
use crate::protocol::PushResponse;
use crate::replica::rows::{Outcome, Parking, QueueEntry, QueuedEvent};
use crate::replica::{Replica, Writer};

/// How much the queue holds before it refuses writes with `queue_full`. Nothing is ever dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Unsettled events.
    pub events: u64,
    /// Bytes of unsettled events, as JSON.
    pub bytes: u64,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { events: DEFAULT_QUEUE_EVENTS, bytes: DEFAULT_QUEUE_BYTES }
    }
}

/// What the queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Unsettled events, parked ones included.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The durable queue of local writes.
#[derive(Clone, Debug)]
pub struct OfflineQueue {
    writer: Writer,
    limits: QueueLimits,
    policies: Arc<Mutex<Arc<PolicyTable>>>,
}

/// Entries that are read at a time when listing.
const PAGE: usize = 512;

impl OfflineQueue {
    /// The queue of the replica that `writer` writes.
    #[must_use]
    pub fn new(writer: Writer, limits: QueueLimits, policies: PolicyTable) -> Self {
        Self { writer, limits, policies: Arc::new(Mutex::new(Arc::new(policies))) }
    }

    /// Who wins conflicts where no rule says otherwise: the last write, until this is called.
    pub(crate) fn set_default_policy(&self, policy: Policy) {
        let mut table = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        if table.default_policy() != policy {
            Arc::make_mut(&mut table).set_default(policy);
        }
    }

    /// The writer beneath.
    #[must_use]
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    fn reader(&self) -> Replica {
        self.writer.reader()
    }

    /// Accepts writes: all or none, durable with their views when this returns. Several are one group. Returns an id per write;
    /// `None` for one that says what is there already: that is no edit, makes no event, and writes nothing.
    ///
    /// # Errors
    /// `invalid_*` and its kin for content, `not_found`, `already_exists`, `queue_full`, `scope_lost`, and the storage's.
    pub async fn accept(&self, scope: &Scope, drafts: Vec<Draft>) -> Result<Vec<Option<EventId>>> {
        self.take(scope, drafts, Together::AsGroup).await
    }

    /// Accepts writes in one commit, all or none, as [`accept`](Self::accept) does; but each is an event of its own, which the
    /// server judges by itself.
    ///
    /// # Errors
    /// Those of [`accept`](Self::accept).
    pub async fn accept_apart(&self, scope: &Scope, drafts: Vec<Draft>) -> Result<Vec<Option<EventId>>> {
        self.take(scope, drafts, Together::Apart).await
    }

    async fn take(&self, scope: &Scope, drafts: Vec<Draft>, together: Together) -> Result<Vec<Option<EventId>>> {
        let (scope, limits) = (scope.clone(), self.limits);
        let drafts = Arc::new(drafts);
        let policies = Arc::clone(&self.policies.lock().unwrap_or_else(PoisonError::into_inner));
        self.writer.run(move |txn| accept(txn, &scope, &drafts, &policies, limits, together)).await
    }

    /// The push in flight, or a new one of at most `max_events` events (a group counts as one unit and goes alone if it is
    /// larger), of what is selected. It is fixed durably when this returns, and returned again until its receipts are settled.
    ///
    /// # Errors
    /// The storage's.
    pub async fn next_push(&self, scope: &Scope, max_events: usize, selection: &Selection) -> Result<Option<Push>> {
        let (scope, selection) = (scope.clone(), selection.clone());
        self.writer.run(move |txn| next_push(txn, &scope, max_events, selection.clone())).await
    }

    /// Whether [`next_push`](Self::next_push) would find something, without fixing it.
    ///
    /// # Errors
    /// The storage's.
    pub async fn has_sendable(&self, scope: &Scope, selection: &Selection) -> Result<bool> {
        if self.reader().scope(scope).await?.in_flight.is_some() {
            return Ok(true);
        }
        if self.reader().entries(scope, 0, 1).await?.is_empty() {
            return Ok(false);
        }
        let (scope, selection) = (scope.clone(), selection.clone());
        self.writer.run(move |txn| has_sendable(txn, &scope, selection.clone())).await
    }

    /// Takes the receipts of the push in flight.
    ///
    /// # Errors
    /// The storage's.
    pub async fn settle(&self, scope: &Scope, response: PushResponse) -> Result<Settlement> {
        let scope = scope.clone();
        let response = std::sync::Arc::new(response);
        self.writer.run(move |txn| settle(txn, &scope, &response)).await
    }

    /// Gives up the push in flight after it was refused as a whole: its events stay frozen and go into later pushes under
    /// new numbers. With `parking`, they are parked instead; returns how many.
    ///
    /// # Errors
    /// The storage's.
    pub async fn recut(&self, scope: &Scope, parking: Option<Parking>, judges: Judges) -> Result<u64> {
        let scope = scope.clone();
        self.writer.run(move |txn| recut(txn, &scope, parking.as_ref(), judges)).await
    }

    /// What became of an event. Follows foldings and replacements to the event that carries its content.
    ///
    /// # Errors
    /// The storage's.
    pub async fn outcome(&self, id: &EventId) -> Result<Option<Outcome>> {
        Ok(self.reader().outcome(id).await?.map(|row| row.state))
    }

    /// What became of the content of an event: like [`outcome`](Self::outcome), but follows `replaced_by`.
    ///
    /// # Errors
    /// The storage's.
    pub async fn final_outcome(&self, id: &EventId) -> Result<Option<(EventId, Outcome)>> {
        let mut id = id.clone();
        loop {
            match self.outcome(&id).await? {
                Some(Outcome::ReplacedBy { id: next }) => id = next,
                outcome => return Ok(outcome.map(|outcome| (id, outcome))),
            }
        }
    }

    /// Unsettled events that are not parked, in queue order, at most `limit`.
    ///
    /// # Errors
    /// The storage's.
    pub async fn pending(&self, scope: &Scope, limit: usize) -> Result<Vec<QueuedEvent>> {
        self.list(scope, limit, |entry| entry.parked.is_none()).await
    }

    /// Parked events, in queue order, at most `limit`.
    ///
    /// # Errors
    /// The storage's.
    pub async fn parked(&self, scope: &Scope, limit: usize) -> Result<Vec<QueuedEvent>> {
        self.list(scope, limit, |entry| entry.parked.is_some()).await
    }

    async fn list(
        &self,
        scope: &Scope,
        limit: usize,
        wanted: impl Fn(&QueueEntry) -> bool,
    ) -> Result<Vec<QueuedEvent>> {
        let reader = self.reader();
        let mut found = Vec::new();
        let mut after = 0;
        loop {
            let page = reader.entries(scope, after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(found) };
            after = *last;
            for (_, entry) in page.into_iter().filter(|(_, entry)| wanted(entry)) {
                if found.len() == limit {
                    return Ok(found);
                }
                found.push(QueuedEvent::new(scope, entry));
            }
        }
    }

    /// Puts a parked event, with its group, back into the queue as it was.
    ///
    /// # Errors
    /// `event_state` if it is not parked.
    pub async fn retry(&self, id: &EventId) -> Result<Scope> {
        let id = id.clone();
        self.writer.run(move |txn| parked::retry(txn, &id)).await
    }

    /// Drops a parked event, with its group.
    ///
    /// # Errors
    /// `event_state` if it is not parked.
    pub async fn discard(&self, id: &EventId) -> Result<Scope> {
        let id = id.clone();
        self.writer.run(move |txn| parked::discard(txn, &id)).await
    }

    /// Replaces a parked event's content; it goes back into the queue, at its place, under the id that is returned. `edit`
    /// may run several times.
    ///
    /// # Errors
    /// `event_state` if it is not parked; those of content; `type_mismatch` and its kin if it does not fit what the app sees
    /// before it; `queue_full`.
    pub async fn replace(
        &self,
        id: &EventId,
        edit: impl Fn(SyncEvent) -> SyncEvent + Send + Sync + 'static,
    ) -> Result<EventId> {
        let (id, limits) = (id.clone(), self.limits);
        let edit = std::sync::Arc::new(edit);
        self.writer.run(move |txn| parked::replace(txn, &id, &*edit, limits)).await
    }

    /// What the queue holds.
    ///
    /// # Errors
    /// The storage's.
    pub async fn stats(&self) -> Result<QueueStats> {
        let replica = self.reader().replica().await?;
        Ok(QueueStats { events: replica.queued_events, bytes: replica.queued_bytes })
    }

    /// Waits until no unsettled event is left or `id` has left the queue; for tests and for apps that must know.
    ///
    /// # Errors
    /// The storage's; `event_state` if the event is unknown.
    pub async fn settled(&self, id: &EventId) -> Result<Outcome> {
        let mut commits = self.writer.notices().subscribe();
        loop {
            match self.final_outcome(id).await? {
                None => return Err(Error::Event { id: id.clone(), why: "there is no such event" }),
                Some((_, Outcome::Pending { .. })) => {}
                Some((_, outcome)) => return Ok(outcome),
            }
            use tokio::sync::broadcast::error::RecvError;
            if let Err(RecvError::Closed) = commits.recv().await {
                return Err(Error::Closed);
            }
        }
    }
}
