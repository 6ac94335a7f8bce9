//! Forks: two replicas that push under one device id, because one is a copy of the other. The one that the server notices
//! becomes a new device and loses nothing.

use super::clock::{restamp, scopes};
use super::runtime::Engine;
use crate::error::Result;
use crate::model::{DeviceId, Scope};
use crate::replica::Txn;
use crate::replica::lineage::{Lineage, Sendings};

impl Engine {
    /// Takes a new device id. Events that may have been sent keep their content and ids (the original may have sent them
    /// too: the server knows them by id); all others are stamped anew.
    pub(super) async fn become_new_device(&self) -> Result<()> {
        self.writer().run(take_new_device).await
    }
}

/// See [`Engine::become_new_device`].
pub(crate) fn take_new_device(txn: &mut Txn<'_>) -> Result<()> {
    for scope in scopes(txn)? {
        let row = txn.scope_mut(&scope)?;
        (row.push_seq, row.lineage) = (0, Lineage::default());
        let in_flight = row.in_flight.take().map(|push| push.positions).unwrap_or_default();
        let doubt = disown(txn, &scope, &in_flight)?;
        // Between two pages nothing could tell what the original's pushes have come to.
        txn.scope_mut(&scope)?.in_doubt = doubt;
    }
    let device = DeviceId::generate(&**txn.environment());
    txn.replica_mut().device = device;
    restamp(txn)
}

/// Forgets which pushes carried the queue's events: the former device's numbers say nothing about the new one's pushes. Those
/// `in_flight` may have been sent. Returns whether there are events that the server may hold.
fn disown(txn: &mut Txn<'_>, scope: &Scope, in_flight: &[u64]) -> Result<bool> {
    let mut doubt = false;
    txn.each_entry(scope, &mut |txn, position, entry| {
        let sent = in_flight.contains(&position);
        if (sent || !entry.sent.is_empty())
            && let Some(entry) = txn.entry_mut(scope, position)?
        {
            entry.frozen |= sent;
            entry.sent = Sendings::default();
            entry.uncertain = true;
            doubt = true;
        }
        Ok(())
    })?;
    Ok(doubt)
}
