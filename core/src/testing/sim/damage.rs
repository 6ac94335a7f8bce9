//! Damage to a replica: a record on the disk is another one than it was, as after a fault of the hardware. The doctor sees it, and
//! the next sync repairs its bucket in parts, while another device writes to the same records.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join;
use serde_json::json;

use super::action::NetworkFault;
use super::checks::Violation;
use super::device::Device;
use super::ledger::ReplicaId;
use super::workload::glass;
use super::world::{Checked, World};
use crate::Client;
use crate::environment::{Environment, timeout};
use crate::model::{Scope, bucket_of};
use crate::replica::rows::RecordRow;
use crate::replica::{decode, encode, keys};
use crate::storage::{Row, RowKey, Scan, Storage, Table};
use crate::testing::CallKind;

/// Requests of the damaged device that take long, so that the parts of a bucket lie apart.
const SLOW_REQUESTS: usize = 6;
/// How long each of them takes, in milliseconds.
const SLOW_MS: u64 = 1_000;
/// How long the other device tries to sync meanwhile.
const PATIENCE: Duration = Duration::from_secs(30);

/// The bucket of a replica that its disk has damaged.
#[derive(Clone, Debug)]
pub struct Damaged {
    scope: Scope,
    bucket: u8,
    /// When it was repaired, as the replica says.
    repaired: Option<u64>,
}

/// What was damaged, of each replica.
pub type AllDamaged = BTreeMap<ReplicaId, Damaged>;

impl World<'_> {
    /// Damages a record on the disk of whoever is signed in, once in the life of a replica; `after_ms` later another device
    /// syncs what it has written to such records.
    pub(super) fn damage(&mut self, number: usize, after_ms: u64) -> Checked {
        let replica = self.devices[number].replica();
        let glass = self.active().any(|feature| feature.name() == glass::COLLECTION);
        let durable = self.devices[number].config.survives_power_loss;
        if !glass || !durable || self.devices[number].suspended || self.damaged.contains_key(&replica) {
            return Ok(());
        }
        let Some(client) = self.client(number)? else { return Ok(()) };
        let disk = self.devices[number].disk(self.variant).clone();
        if disk.is_failing() {
            return Ok(());
        }
        let prefix = self.env.block_on(client.replica().generation(&Scope::User));
        let prefix = prefix.map(|generation| keys::generation_prefix(&Scope::User, generation)).unwrap_or_default();
        self.devices[number].kill();
        let rows = self.env.block_on(disk.contents().scan(Scan::prefix(Table::Record, &prefix))).unwrap_or_default();
        let Some((bucket, row, damaged)) = rows.into_iter().find_map(|row| shattered(row, &prefix)) else {
            return Ok(());
        };
        let place = RowKey { table: Table::Record, key: row.key };
        self.env.block_on(disk.overwrite(place.clone(), damaged));
        let client = self.client(number)?;
        let examined = client.as_ref().and_then(|client| self.guarded(number, client.doctor()));
        // It does not look beside a sync.
        let seen = matches!(&examined, Some(Ok(found)) if found.iter().any(|finding| finding.code == "digest"));
        let (Some(client), true) = (client, seen) else {
            self.devices[number].kill();
            self.env.block_on(disk.overwrite(place, row.value));
            return Ok(());
        };
        self.damaged.insert(replica, Damaged { scope: Scope::User, bucket, repaired: None });
        let other = self.write_beside(number)?;
        for _ in 0..SLOW_REQUESTS {
            let fault = NetworkFault::Delay(SLOW_MS);
            self.devices[number].network.script(CallKind::Changes, fault.script());
            self.devices[number].scripted.entry(CallKind::Changes).or_default().push_back(fault);
        }
        let environment = self.env.clone();
        let beside = async {
            environment.sleep(Duration::from_millis(after_ms)).await;
            // Its process may have died.
            if let Some(other) = other {
                drop(timeout(&environment, PATIENCE, other.sync_now()).await);
            }
        };
        let synced = self.guarded(number, join(client.sync_now(), beside)).map(|(synced, ())| synced);
        self.note(number, &format!("was damaged, and synced: {synced:?}"));
        Ok(())
    }

    /// Another device of the same account writes to the records. Returns its client.
    fn write_beside(&mut self, number: usize) -> Checked<Option<Client>> {
        let account = self.devices[number].account.clone();
        let mut others = (0..self.devices.len()).filter(|other| *other != number);
        let fit = |device: &Device| device.account == account && !device.suspended;
        let Some(other) = others.find(|other| fit(&self.devices[*other])) else { return Ok(None) };
        let feature = self.active().find(|feature| feature.name() == glass::COLLECTION);
        for pane in 0..2 {
            let Some(client) = self.client(other)? else { return Ok(None) };
            let app = self.app(other, client);
            let attempt = feature.and_then(|feature| feature.attempt(&app, &json!({"place": "user", "pane": pane})));
            if let Some(attempt) = attempt {
                self.make(other, glass::COLLECTION, attempt)?;
            }
        }
        self.client(other)
    }

    /// A bucket says when it was repaired.
    ///
    /// # Errors
    /// I4 if there was no damage, or if it had to be repaired again.
    pub(super) fn check_repair(&mut self, replica: &ReplicaId, scope: &Scope, bucket: u8, at: u64) -> Checked {
        let wrong = |why| Err(Violation::new("I4", format!("bucket {bucket} of {scope} on {replica} was {why}")));
        match self.damaged.get_mut(replica) {
            // Once the sums differ, what has changed on the server since the comparison is read anew, too.
            Some(damaged) if damaged.scope == *scope && damaged.bucket != bucket => Ok(()),
            Some(damaged) if damaged.scope == *scope => match damaged.repaired.replace(at) {
                Some(before) if before != at => wrong("repaired twice"),
                Some(_) => Ok(()),
                None => {
                    self.coverage.hit("device/damage_repaired");
                    Ok(())
                }
            },
            _ => wrong("not the server's, and had to be repaired"),
        }
    }

    /// A replica was set back: its damage may be there again.
    pub(super) fn damage_is_set_back(&mut self, replica: &ReplicaId) {
        if let Some(damaged) = self.damaged.get_mut(replica) {
            damaged.repaired = None;
        }
    }
}

/// A row of the feature, and what a damaged disk makes of it.
fn shattered(row: Row, prefix: &[u8]) -> Option<(u8, Row, Vec<u8>)> {
    let key = keys::record_key_of(&row.key, prefix).filter(|key| key.collection.as_str() == glass::COLLECTION)?;
    let mut record: RecordRow = decode(&row.value).ok()?;
    record.doc.as_ref().filter(|_| record.pending.is_empty())?;
    record.doc = Some(json!({"by": "a fault of the disk"}));
    Some((bucket_of(&key), row, encode(&record)))
}
