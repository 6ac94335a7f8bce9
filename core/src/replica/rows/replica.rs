//! The replica's own row.

use serde::Serialize;

use super::{QueueEntry, counter};
use crate::clock::ClockState;
use crate::model::DeviceId;
use crate::reading;

/// The replica as a whole. Every commit expects this row's version and puts it anew, so that it guards all others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplicaRow {
    /// This replica's device.
    pub device: DeviceId,
    /// The account it belongs to; absent while it is anonymous.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The server it belongs to; absent before the first answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_id: Option<String>,
    /// Sealed by sign-out.
    pub sealed: bool,
    /// Sync is switched off on this device.
    pub disabled: bool,
    /// The clock.
    pub clock: ClockState,
    /// The position of the next event.
    pub next_position: u64,
    /// Unsettled events.
    pub queued_events: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// Parked events among them.
    pub parked_events: u64,
}

reading::fields!(ReplicaRow {
    device, account = None, server_id = None, sealed = false, disabled = false, clock = ClockState::default(),
    next_position by counter, queued_events by counter = 0, queued_bytes by counter = 0, parked_events by counter = 0,
});

impl ReplicaRow {
    /// A new replica's.
    #[must_use]
    pub fn new(device: DeviceId) -> Self {
        Self {
            device,
            account: None,
            server_id: None,
            sealed: false,
            disabled: false,
            clock: ClockState::default(),
            next_position: 1,
            queued_events: 0,
            queued_bytes: 0,
            parked_events: 0,
        }
    }

    /// Takes an event out of the totals.
    pub fn left_queue(&mut self, entry: &QueueEntry) {
        self.queued_events = self.queued_events.saturating_sub(1);
        self.queued_bytes = self.queued_bytes.saturating_sub(entry.bytes);
        if entry.parked.is_some() {
            self.parked_events = self.parked_events.saturating_sub(1);
        }
    }
}
