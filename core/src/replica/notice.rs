//! What a commit changed, told to observers after it.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::model::{EventId, RecordKey, Scope, Value};
use crate::replica::rows::Outcome;

/// One thing that a commit changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A record's view changed.
    Record {
        /// Its scope.
        scope: Scope,
        /// Its name.
        key: RecordKey,
        /// The view before.
        before: Option<Value>,
        /// The view now.
        after: Option<Value>,
    },
    /// All of a scope's records may have changed: a new generation is read.
    Reset {
        /// The scope.
        scope: Scope,
    },
    /// An event was accepted, or its outcome changed.
    Event {
        /// Its scope.
        scope: Scope,
        /// The event.
        id: EventId,
        /// Its record.
        key: RecordKey,
        /// What became of it.
        outcome: Outcome,
    },
    /// The client was closed; nothing follows.
    Closed,
    /// A digest bucket differed from the server's and was repaired.
    Repaired {
        /// The scope.
        scope: Scope,
        /// The bucket.
        bucket: u8,
    },
}

/// Hands out the notices of each commit. Bounded: an observer that lags is told so and reads anew.
#[derive(Clone, Debug)]
pub struct Notices {
    sender: broadcast::Sender<Arc<Vec<Notice>>>,
}

/// Commits that an observer may lag behind.
const CAPACITY: usize = 1024;
/// More notices than this from one commit (a page of a first sync) are told as a reset of their scopes: what an observer
/// may lag behind stays bounded.
const MAX_NOTICES: usize = 1024;

fn condense(notices: Vec<Notice>) -> Vec<Notice> {
    let mut scopes = std::collections::BTreeSet::new();
    let mut kept = Vec::new();
    for notice in notices {
        match notice {
            Notice::Record { scope, .. } => drop(scopes.insert(scope)),
            other => kept.push(other),
        }
    }
    kept.extend(scopes.into_iter().map(|scope| Notice::Reset { scope }));
    kept
}

impl Default for Notices {
    fn default() -> Self {
        Self { sender: broadcast::channel(CAPACITY).0 }
    }
}

impl Notices {
    /// Follows the commits from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Vec<Notice>>> {
        self.sender.subscribe()
    }

    /// Tells observers that nothing follows.
    pub fn close(&self) {
        self.publish(vec![Notice::Closed]);
    }

    /// Whether anybody follows.
    #[must_use]
    pub fn observed(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    pub(super) fn publish(&self, mut notices: Vec<Notice>) {
        if notices.len() > MAX_NOTICES {
            notices = condense(notices);
        }
        if !notices.is_empty() {
            // No observer is no error.
            drop(self.sender.send(Arc::new(notices)));
        }
    }
}
