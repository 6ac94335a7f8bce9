//! What a call of the app costs, counted in rows and not in time: the same on every machine.

use super::SimDisk;
use super::checks::Violation;
use super::world::{Checked, World};
use crate::Client;
use crate::engine::SyncState;

/// Rows that a call that writes may read and write, whatever it does.
const ROWS_OF_A_CALL: u64 = 16;
/// Rows for each event that it makes.
const ROWS_OF_AN_EVENT: u64 = 16;

impl World<'_> {
    /// Rows that a device's disk has read and written so far, if nothing but the app does so: no sync is under way, and no worker
    /// may begin one.
    pub(super) fn rows_at_rest(&mut self, number: usize) -> Option<u64> {
        let device = &self.devices[number];
        let syncs = |client: &Client| client.status().scopes.values().any(|scope| scope.state == SyncState::Syncing);
        let rests = !device.config.worker && !device.client.as_ref().is_some_and(syncs);
        device.present_disk().filter(|_| rests).map(SimDisk::rows)
    }

    /// A call costs as much as it writes, whatever waits in the queue.
    pub(super) fn check_cost(&mut self, number: usize, before: Option<u64>, events: usize) -> Checked {
        let rows = self.rows_at_rest(number).zip(before).map_or(0, |(after, before)| after - before);
        if rows <= ROWS_OF_A_CALL + ROWS_OF_AN_EVENT * events as u64 || events == 0 {
            return Ok(());
        }
        let what = format!("a call on d{number} that made {events} events has read and written {rows} rows");
        Err(Violation::new("cost", what))
    }
}
