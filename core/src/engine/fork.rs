//! Forks: two replicas that push under one device id, because one is a copy of the other. The one that the server notices
//! becomes a new device and loses nothing.

use super::clock::{restamp, scopes};
use super::runtime::Engine;
use crate::error::Result;
use crate::model::DeviceId;

impl Engine {
    /// Takes a new device id. Events that may have been sent keep their content and ids (the original may have sent them
    /// too: the server knows them by id); all others are stamped anew.
    pub(super) async fn become_new_device(&self) -> Result<()> {
        self.writer()
            .run(|txn| {
                Box::pin(async move {
                    for scope in scopes(txn).await? {
                        let row = txn.scope_mut(&scope).await?;
                        row.push_seq = 0;
                        let in_flight = row.in_flight.take();
                        for position in in_flight.map(|push| push.positions).unwrap_or_default() {
                            if let Some(entry) = txn.entry_mut(&scope, position).await? {
                                entry.frozen = true;
                                // Numbers of the former device say nothing about the new one's pushes.
                                entry.sent = None;
                            }
                        }
                    }
                    let device = DeviceId::generate(&**txn.environment());
                    txn.replica_mut().device = device;
                    restamp(txn).await
                })
            })
            .await
    }
}
