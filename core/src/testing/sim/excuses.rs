//! What may fail in a run through no fault of the client.

use super::SimDisk;
use super::world::World;
use crate::Client;
use crate::error::Error;
use crate::storage::StorageError;

/// Most events of one call.
const LARGEST_CALL: u64 = 16;

impl World<'_> {
    /// What may go wrong in a call on a device at the moment, through no fault of the client.
    pub fn excuses(&self, number: usize) -> Excuses {
        let device = &self.devices[number];
        let status = device.client.as_ref().map(Client::status);
        let queued = status.map_or(0, |status| status.pending + status.parked);
        Excuses {
            full: queued + LARGEST_CALL > self.config.queue_events,
            disk: device.present_disk().is_some_and(SimDisk::is_failing),
            suspended: device.suspended,
            outsider: self.outsiders.contains(&device.account),
        }
    }
}

/// See [`World::excuses`].
#[derive(Clone, Copy, Debug)]
pub struct Excuses {
    full: bool,
    disk: bool,
    suspended: bool,
    outsider: bool,
}

impl Excuses {
    /// Whether a local call may fail so.
    pub fn excuse(self, error: &Error) -> bool {
        match error {
            Error::QueueFull { .. } => self.full,
            Error::Storage(StorageError::Suspended) => self.suspended,
            Error::Storage(_) => self.disk,
            Error::ScopeLost(_) => self.outsider,
            _ => false,
        }
    }

    /// Whether a sync may fail so.
    pub fn excuse_sync(self, error: &Error) -> bool {
        match error {
            Error::Transport(_)
            | Error::Auth(_)
            | Error::NoToken(_)
            | Error::Deadline(_)
            | Error::Disabled
            | Error::Protocol(_) => true,
            error => self.excuse(error),
        }
    }
}
