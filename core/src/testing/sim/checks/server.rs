//! What must hold of the server's log whenever it has grown: no event twice (I3), stamps that increase on each device, respect
//! what their writer had seen, and stay near the server's time (I11); and of its answers: no more in one than a client can hold (I13).

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use crate::clock::Stamp;
use crate::limits::{MAX_CLOCK_AHEAD_MS, MAX_DOCUMENT_BYTES};
use crate::merge::{LoggedWrite, newest_stamp};
use crate::model::{DeviceId, EventId, Revision, Scope};
use crate::testing::sim::world::{Checked, World};

/// Bytes of records that the answer to one push tells at most: as one too many for the first half of them.
const MOST_TOLD: usize = 2 * MAX_DOCUMENT_BYTES;

/// The server's logs, as far as they were looked at.
#[derive(Debug, Default)]
pub struct LogWatch {
    scopes: BTreeMap<(String, Scope), Watched>,
}

/// One scope's log.
#[derive(Debug, Default)]
struct Watched {
    revision: Revision,
    ids: BTreeMap<EventId, Revision>,
    /// The newest stamp that each device has recorded.
    newest: BTreeMap<DeviceId, Stamp>,
    /// The highest stamp up to each revision.
    highest: BTreeMap<Revision, (u64, u16)>,
}

impl LogWatch {
    /// The server was set back: what it says from now on is another history.
    pub fn forget(&mut self) {
        self.scopes.clear();
    }

    /// Where `account`'s event is in the log.
    #[must_use]
    pub fn revision_of(&self, account: &str, scope: &Scope, id: &EventId) -> Option<Revision> {
        self.scopes.get(&(owner_of(account, scope), scope.clone()))?.ids.get(id).copied()
    }
}

/// A workspace is watched once, whoever of its members asks.
fn owner_of(account: &str, scope: &Scope) -> String {
    if *scope == Scope::User { account.to_owned() } else { String::new() }
}

impl World<'_> {
    /// Looks at what the server has recorded since the last look.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn check_server(&mut self) -> Checked {
        let told = self.station.largest_answer();
        if told > MOST_TOLD {
            return Err(Violation::new("I13", format!("an answer to a push tells {told} bytes of records")));
        }
        let now = self.server_now();
        for (account, scope) in self.scopes() {
            let station = self.station.clone();
            let name = owner_of(&account, &scope);
            let after = self.logs.scopes.get(&(name.clone(), scope.clone())).map_or(0, |watched| watched.revision);
            let log = self.env.block_on(station.host().log(&account, &scope, after));
            let log = log.map_err(|why| Violation::new("run", format!("the log cannot be read: {why}")))?;
            let watched = self.logs.scopes.entry((name, scope)).or_default();
            log.iter().try_for_each(|write| {
                let sent = station.stamps().get(&write.event.id).cloned();
                watched.take(write, now, sent.as_ref())
            })?;
        }
        Ok(())
    }
}

impl Watched {
    fn take(&mut self, write: &LoggedWrite, now_ms: u64, sent: Option<&BTreeSet<Stamp>>) -> Checked {
        let id = &write.event.id;
        if write.revision <= self.revision || self.ids.insert(id.clone(), write.revision).is_some() {
            return Err(Violation::new("I3", format!("{id} is in the log twice, at {} too", write.revision)));
        }
        let stamp = newest_stamp(&write.event);
        if stamp.ms > now_ms + MAX_CLOCK_AHEAD_MS {
            return Err(Violation::new("I11", format!("{id} is stamped {stamp}, far beyond the server's {now_ms}")));
        }
        if let Some(last) = self.newest.get(&write.by.device).filter(|last| *last >= stamp) {
            return Err(Violation::new("I11", format!("{id} is stamped {stamp}, not after its device's {last}")));
        }
        if let Some(sent) = sent
            && !sent.iter().any(|sent| self.explains(sent, write))
        {
            let what =
                format!("{id} is stamped {}, and was sent as {sent:?} with no need to change it", write.event.stamp);
            return Err(Violation::new("I11", what));
        }
        let seen = std::iter::once((write.event.base, &write.event.stamp))
            .chain(write.event.ops.iter().map(|op| (write.event.base_of(op), write.event.stamp_of(op))));
        for (base, stamp) in seen {
            let highest = self.highest.range(..=base).next_back().map(|(_, highest)| *highest);
            if highest.is_some_and(|highest| stamp.instant() <= highest) {
                let what = format!("{id} is stamped {stamp} on what its writer had seen at {base}, which is newer");
                return Err(Violation::new("I11", what));
            }
        }
        self.note(write, stamp);
        Ok(())
    }

    /// Whether a stamp may have become the recorded one: it was bounded, or lifted above what its writer had seen or recorded.
    fn explains(&self, sent: &Stamp, write: &LoggedWrite) -> bool {
        let recorded = &write.event.stamp;
        let bases = write.event.ops.iter().map(|op| write.event.base_of(op)).chain([write.event.base]);
        let highest = self.highest.range(..=bases.max().unwrap_or(0)).next_back().map(|(_, highest)| *highest);
        recorded <= sent
            || highest.is_some_and(|highest| sent.instant() <= highest)
            || self.newest.get(&write.by.device).is_some_and(|newest| sent <= newest)
            // It goes with those of the operations that were folded into it.
            || write.event.ops.iter().any(|op| op.stamp.is_some())
    }

    fn note(&mut self, write: &LoggedWrite, stamp: &Stamp) {
        self.newest.insert(write.by.device.clone(), stamp.clone());
        let highest = self.highest.last_key_value().map_or((0, 0), |(_, highest)| *highest);
        self.highest.insert(write.revision, highest.max(stamp.instant()));
        self.revision = write.revision;
    }
}
