//! What a commit changed, told to observers after it.
//!
//! Whoever subscribes and then reads misses nothing: a commit whose work began when nobody observed, and that was therefore
//! not listed, is told as [`Notice::Missed`] to those who observe when it is done. What waits for a slow observer is bounded
//! by number and by weight.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use crate::model::{EventId, RecordKey, Scope, Value, value};
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
    /// A record's revision moved, and its view stayed.
    Revised {
        /// Its scope.
        scope: Scope,
        /// Its name.
        key: RecordKey,
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
    /// Something was committed that is not listed: it began when nobody observed, or observers lag too far behind. What
    /// interests them must be read anew.
    Missed,
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

impl Notice {
    /// About how many bytes it holds.
    fn weight(&self) -> usize {
        /// Names, and what is around them.
        const ENVELOPE: usize = 256;
        let Self::Record { before, after, .. } = self else { return ENVELOPE };
        ENVELOPE + [before, after].into_iter().flatten().map(value::canonical_len).sum::<usize>()
    }
}

/// What a unit of work has to tell once it is committed.
#[derive(Debug)]
pub(super) enum Told {
    /// Listed, because somebody observed when it began.
    Listed(Vec<Notice>),
    /// Not listed, because nobody did.
    Unlisted,
}

/// Hands out the notices of each commit. Bounded: an observer that lags is told so and reads anew.
#[derive(Clone, Debug)]
pub struct Notices {
    sender: broadcast::Sender<Arc<Vec<Notice>>>,
    /// The weights of the last commits that were told; of them, those that an observer has still to read.
    weights: Arc<Mutex<VecDeque<usize>>>,
}

/// Commits that an observer may lag behind.
const CAPACITY: usize = 1024;
/// Bytes that an observer may lag behind.
const MAX_WEIGHT: usize = 4 << 20;
/// More notices than this from one commit (a page of a first sync) are told as a reset of their scopes: what an observer
/// may lag behind stays bounded.
const MAX_NOTICES: usize = 1024;

/// Names the scopes in place of their records.
fn condense(notices: Vec<Notice>) -> Vec<Notice> {
    let mut scopes = std::collections::BTreeSet::new();
    let mut kept = Vec::new();
    for notice in notices {
        match notice {
            Notice::Record { scope, .. } | Notice::Revised { scope, .. } => drop(scopes.insert(scope)),
            other => kept.push(other),
        }
    }
    kept.extend(scopes.into_iter().map(|scope| Notice::Reset { scope }));
    kept
}

impl Default for Notices {
    fn default() -> Self {
        Self { sender: broadcast::channel(CAPACITY).0, weights: Arc::default() }
    }
}

impl Notices {
    /// Follows the commits from now on. What is read hereafter, and what is told, leave no gap.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Vec<Notice>>> {
        self.sender.subscribe()
    }

    /// Tells observers that nothing follows.
    pub fn close(&self) {
        self.send(vec![Notice::Closed]);
    }

    /// Whether anybody follows.
    #[must_use]
    pub fn observed(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Tells of a commit. To be called after it.
    pub(super) fn publish(&self, told: Told) {
        match told {
            Told::Listed(notices) if notices.is_empty() => {}
            Told::Listed(notices) => self.tell(notices),
            // Who subscribed meanwhile may have read what was there before the commit.
            Told::Unlisted if self.observed() => self.tell(vec![Notice::Missed]),
            Told::Unlisted => {}
        }
    }

    /// Tells as much as what waits for observers leaves room for.
    fn tell(&self, mut notices: Vec<Notice>) {
        let weigh = |notices: &[Notice]| notices.iter().map(Notice::weight).sum::<usize>();
        let mut weights = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = self.sender.len();
        while weights.len() > waiting {
            weights.pop_front();
        }
        let room = MAX_WEIGHT.saturating_sub(weights.iter().sum());
        if notices.len() > MAX_NOTICES || weigh(&notices) > room {
            notices = condense(notices);
        }
        if weigh(&notices) > room {
            notices = vec![Notice::Missed];
        }
        weights.push_back(weigh(&notices));
        self.send(notices);
    }

    fn send(&self, notices: Vec<Notice>) {
        // No observer is no error.
        drop(self.sender.send(Arc::new(notices)));
    }
}
