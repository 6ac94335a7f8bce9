//! What has become of events, and the settled ones that a restored server may lack.

use serde::Serialize;
use serde::de::Error;

use crate::model::{DeviceId, EventId, Receipt, RecordKey, Revision, Scope, SyncEvent};
use crate::reading;
use crate::replica::encode;
use crate::replica::lineage::Sendings;

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutcomeRow {
    /// Its scope.
    pub scope: Scope,
    /// Its collection and record.
    pub key: RecordKey,
    /// What became of it.
    #[serde(flatten)]
    pub state: Outcome,
    /// Of an event that left the queue unsent: the newest revision at a sync thereafter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<Revision>,
}

impl OutcomeRow {
    /// What has just become of an event.
    #[must_use]
    pub fn new(scope: &Scope, key: &RecordKey, state: Outcome) -> Self {
        Self { scope: scope.clone(), key: key.clone(), state, known: None }
    }

    /// Whether the event left the queue unsent, and no sync was noted since.
    #[must_use]
    pub fn is_undated(&self) -> bool {
        let unsent = matches!(self.state, Outcome::Discarded | Outcome::ReplacedBy { .. } | Outcome::Cancelled);
        unsent && self.known.is_none()
    }

    /// Whether it is older than what the server's backups, up to `backup`, are sure to hold.
    #[must_use]
    pub fn is_forgettable(&self, backup: Revision) -> bool {
        match &self.state {
            Outcome::Pending { .. } | Outcome::Parked { .. } => false,
            Outcome::Applied { receipt } => receipt.revision.is_some_and(|revision| revision <= backup),
            // In a scope that nobody writes to, time does not show.
            Outcome::Discarded | Outcome::ReplacedBy { .. } | Outcome::Cancelled => {
                self.known.is_some_and(|known| known < backup)
            }
        }
    }
}

reading::fields!(OutcomeRow { scope, key, state, position = None, receipt = None, id = None, known = None } => Self {
    scope,
    key,
    state: Outcome::of(state, position, receipt, id)?,
    known,
});

/// The fate of an accepted event: always exactly one of these.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Outcome {
    /// In the queue.
    Pending {
        /// At this position.
        position: u64,
    },
    /// In the queue, refused, waiting for the app.
    Parked {
        /// At this position.
        position: u64,
    },
    /// The server has recorded it.
    Applied {
        /// Its receipt, without the record.
        receipt: Box<Receipt>,
    },
    /// Dropped by the app.
    Discarded,
    /// Its content lives on in another event.
    ReplacedBy {
        /// That event.
        id: EventId,
    },
    /// It left the queue without effect: an unsent create and its delete, or what the server had refused before the app deleted
    /// the record.
    Cancelled,
}

/// The names of what may become of an event.
#[derive(Clone, Copy)]
enum OutcomeName {
    Pending,
    Parked,
    Applied,
    Discarded,
    ReplacedBy,
    Cancelled,
}

reading::names!(OutcomeName {
    Pending "pending",
    Parked "parked",
    Applied "applied",
    Discarded "discarded",
    ReplacedBy "replaced_by",
    Cancelled "cancelled",
});

impl Outcome {
    /// The outcome of that name, with those of the fields that it has.
    fn of<E: Error>(
        name: OutcomeName,
        position: Option<u64>,
        receipt: Option<Box<Receipt>>,
        id: Option<EventId>,
    ) -> Result<Self, E> {
        let missing = E::missing_field;
        Ok(match name {
            OutcomeName::Pending => Self::Pending { position: position.ok_or_else(|| missing("position"))? },
            OutcomeName::Parked => Self::Parked { position: position.ok_or_else(|| missing("position"))? },
            OutcomeName::Applied => Self::Applied { receipt: receipt.ok_or_else(|| missing("receipt"))? },
            OutcomeName::Discarded => Self::Discarded,
            OutcomeName::ReplacedBy => Self::ReplacedBy { id: id.ok_or_else(|| missing("id"))? },
            OutcomeName::Cancelled => Self::Cancelled,
        })
    }
}

/// A settled event, kept in case the server is restored from a copy that lacks it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SettledRow {
    /// Its position in the queue, at which it would come back.
    pub position: u64,
    /// The event, as it was sent.
    pub event: SyncEvent,
    /// The pushes that carried it.
    #[serde(skip_serializing_if = "Sendings::is_empty")]
    pub sent: Sendings,
    /// The device that made these pushes, where it is not the one that stamped the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pushed_by: Option<DeviceId>,
}

reading::fields!(SettledRow { position, event, sent = Sendings::default(), pushed_by = None });

impl SettledRow {
    /// The row's stored form, of an event that `device` pushed and that need not be copied for it.
    #[must_use]
    pub fn encode(position: u64, event: &SyncEvent, device: &DeviceId, sent: &Sendings) -> Vec<u8> {
        #[derive(Serialize)]
        struct Borrowed<'e> {
            position: u64,
            event: &'e SyncEvent,
            #[serde(skip_serializing_if = "Sendings::is_empty")]
            sent: &'e Sendings,
            #[serde(skip_serializing_if = "Option::is_none")]
            pushed_by: Option<&'e DeviceId>,
        }
        let pushed_by = (!sent.is_empty() && *device != event.stamp.device).then_some(device);
        encode(&Borrowed { position, event, sent, pushed_by })
    }

    /// The event, and the pushes that carried it if they were `device`'s: the numbers of another say nothing.
    #[must_use]
    pub fn sent_by(self, device: &DeviceId) -> (SyncEvent, Sendings) {
        let by = self.pushed_by.as_ref().unwrap_or(&self.event.stamp.device);
        let sent = if by == device { self.sent } else { Sendings::default() };
        (self.event, sent)
    }
}
