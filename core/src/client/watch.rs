//! Watches: a query's answer, told anew whenever it changes.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};

use super::reading::Reading;
use crate::error::Result;
use crate::merge::CONFLICTS;
use crate::model::{Scope, Value};
use crate::query::{Change, Query, Record, Watched, diff};
use crate::replica::Notice;

/// Follows a query. The subscription began before the first answer was read, and a commit that was under way then is told as
/// well, so no change falls between the two; changes that come faster than the app asks are told together. Dropping it ends
/// it.
#[derive(Debug)]
pub struct Watch {
    reading: Reading,
    scope: Scope,
    query: Query,
    commits: broadcast::Receiver<Arc<Vec<Notice>>>,
    present: Option<(Watched, Vec<Record>)>,
    /// Something happened since the answer was read.
    stale: bool,
    closed: bool,
}

/// An answer, and how it differs from the one before.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
pub struct WatchUpdate {
    /// The records now.
    pub records: Vec<Record>,
    /// What changed since the last update; empty in the first.
    pub changes: Vec<Change>,
}

impl Watch {
    pub(super) fn new(
        reading: Reading,
        scope: Scope,
        query: Query,
        commits: broadcast::Receiver<Arc<Vec<Notice>>>,
    ) -> Self {
        Self { reading, scope, query, commits, present: None, stale: true, closed: false }
    }

    /// The next update; `None` once the client is closed. The first comes at once. Cancelling loses nothing.
    ///
    /// # Errors
    /// The storage's.
    pub async fn next(&mut self) -> Result<Option<WatchUpdate>> {
        loop {
            while !self.stale && !self.closed {
                let commit = self.commits.recv().await;
                self.consider(commit);
            }
            // What is known already goes into the same answer.
            loop {
                match self.commits.try_recv() {
                    Ok(notices) => self.consider(Ok(notices)),
                    Err(TryRecvError::Lagged(missed)) => self.consider(Err(RecvError::Lagged(missed))),
                    Err(TryRecvError::Closed) => self.closed = true,
                    Err(TryRecvError::Empty) => break,
                }
                if self.closed {
                    break;
                }
            }
            if self.closed {
                return Ok(None);
            }
            let page = match self.reading.page().await {
                // Nothing follows what was closed, whatever the answer says.
                Err(_) if self.reading.is_over() => return Ok(None),
                page => page?,
            };
            self.stale = false;
            let first = self.present.is_none();
            let before = self.present.take().map(|(_, records)| records).unwrap_or_default();
            let changes = if first { Vec::new() } else { diff(&before, &page.records) };
            self.present = Some((Watched::new(self.query.clone(), &page), page.records.clone()));
            if first || !changes.is_empty() {
                return Ok(Some(WatchUpdate { records: page.records, changes }));
            }
        }
    }

    fn consider(&mut self, commit: Result<Arc<Vec<Notice>>, RecvError>) {
        match commit {
            Ok(notices) => {
                self.closed |= notices.contains(&Notice::Closed);
                self.stale |= notices.iter().any(|notice| self.concerns(notice));
            }
            Err(RecvError::Lagged(_)) => self.stale = true,
            Err(RecvError::Closed) => self.closed = true,
        }
    }

    fn concerns(&self, notice: &Notice) -> bool {
        let Some((watched, records)) = &self.present else { return true };
        match notice {
            // A note that opens or is resolved changes its record's state.
            Notice::Record { scope, key, before, after } if key.collection.as_str() == CONFLICTS => {
                let of_a_row = |note: &Value| {
                    note["collection"] == self.query.collection().as_str()
                        && records.iter().any(|record| note["record"] == record.id.as_str())
                };
                *scope == self.scope
                    && (*self.query.collection() == key.collection
                        || [before, after].into_iter().flatten().any(of_a_row))
            }
            Notice::Record { scope, key, before, after } => {
                *scope == self.scope
                    && watched.is_affected(&key.collection, &key.record, before.as_ref(), after.as_ref())
            }
            // A receipt changes a record's revision and state, even where its fields stay.
            Notice::Event { scope, key, .. } | Notice::Revised { scope, key } => {
                *scope == self.scope
                    && key.collection == *self.query.collection()
                    && records.iter().any(|record| record.id == key.record)
            }
            Notice::Reset { scope } => *scope == self.scope,
            Notice::Missed => true,
            Notice::Repaired { .. } | Notice::Closed => false,
        }
    }
}
