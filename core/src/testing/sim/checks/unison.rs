//! What must hold when nothing is left to do: all replicas equal the server in canonical bytes, and so does a replay of the
//! log (I4); paging gives the whole (I9); what was promised is there, once, in its order (I1, I3, I7); no account sees another
//! one's values (I14); and no secret is anywhere (I15).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Ending, FinalScope, Violation};
use crate::Client;
use crate::model::{EventId, RecordKey, Revision, Scope, Value, bucket_of, value};
use crate::protocol::ChangesRequest;
use crate::replica::keys;
use crate::replica::rows::{DigestRow, Outcome, RecordRow};
use crate::storage::{Scan, Storage, Table};
use crate::testing::sim::access::{Access, CANARY};
use crate::testing::sim::config::ACCOUNTS;
use crate::testing::sim::ledger::{Entry, ReplicaId, Standing};
use crate::testing::sim::world::{Checked, World};
use crate::transport::{RequestContext, Transport};

/// A state in canonical bytes.
pub type Canonical = BTreeMap<RecordKey, Vec<u8>>;

impl World<'_> {
    /// What the server holds, and what its own replay says of that.
    ///
    /// # Errors
    /// I4 if a replay of a log gives another state; I9 if paging does.
    pub fn final_scopes(&mut self) -> Checked<Vec<FinalScope>> {
        let mut scopes = Vec::new();
        for (account, scope) in self.scopes() {
            let (station, access, transport) = (self.station.clone(), self.access.clone(), self.direct());
            let host = station.host();
            let run = |why: String| Violation::new("run", format!("{account}'s {scope} cannot be read: {why}"));
            let differences = self.env.block_on(host.replay_differences(&account, &scope)).map_err(run)?;
            if let Some(difference) = differences.first() {
                return Err(Violation::new("I4", format!("a replay of {account}'s {scope}: {difference}")));
            }
            let log = self.env.block_on(host.log(&account, &scope, 0)).map_err(run)?;
            let state = self.env.block_on(pull(&transport, &access, &account, &scope, 10_000)).map_err(run)?;
            let paged = self.env.block_on(pull(&transport, &access, &account, &scope, 2)).map_err(run)?;
            if paged != state {
                return Err(Violation::new("I9", format!("{account}'s {scope} is another one in pages of two")));
            }
            scopes.push(FinalScope { account, scope, state, log });
        }
        Ok(scopes)
    }

    /// A replica equals the server, scope by scope.
    ///
    /// # Errors
    /// I4.
    pub fn check_equal(&mut self, number: usize, scopes: &[FinalScope]) -> Checked {
        let Some(client) = self.client(number)? else {
            return Err(Violation::new("run", format!("d{number} does not open in peace")));
        };
        let replica = self.devices[number].replica();
        for scope in scopes.iter().filter(|scope| scope.scope != Scope::User || scope.account == replica.account) {
            if scope.scope != Scope::User && self.expelled.contains(&replica.account) {
                continue;
            }
            let held = self.env.block_on(held(&client, &scope.scope));
            let held = held.map_err(|why| Violation::new("I4", format!("{replica} cannot be read: {why}")))?;
            let expected: Canonical =
                scope.state.iter().map(|(key, doc)| (key.clone(), value::canonical(doc))).collect();
            if held != expected {
                return Err(Violation::new("I4", difference(&replica, &scope.scope, &held, &expected)));
            }
        }
        Ok(())
    }

    /// No token has left its request: not into the trace, not onto a disk.
    ///
    /// # Errors
    /// I15.
    pub fn check_secrets(&mut self) -> Checked {
        if let Some(line) = self.trace.lines().iter().find(|line| line.contains(CANARY)) {
            return Err(Violation::new("I15", format!("a token is told in an error or a state: {line}")));
        }
        for device in &self.devices {
            for disk in device.accounts().iter().filter_map(|account| device.disk_of(account)) {
                let contents = disk.contents();
                for table in Table::ALL {
                    let rows = self.env.block_on(contents.scan(Scan::prefix(table, b""))).unwrap_or_default();
                    let canary = CANARY.as_bytes();
                    if rows.iter().any(|row| row.value.windows(canary.len()).any(|window| window == canary)) {
                        let what = format!("d{} keeps a token in its {} table", device.number, table.name());
                        return Err(Violation::new("I15", what));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Checks what was promised against what is there.
///
/// # Errors
/// The first invariant that does not hold.
pub fn check_promises(end: &Ending<'_>) -> Checked {
    for scope in end.scopes {
        let mut revisions: BTreeMap<&EventId, Revision> = BTreeMap::new();
        for write in &scope.log {
            revisions.insert(&write.event.id, write.revision);
        }
        let entries: Vec<_> = end.ledger.entries().iter().filter(|entry| scope.owns(entry)).collect();
        check_applied(end, scope, &entries, &revisions)?;
        check_known(end, scope, &entries)?;
        check_lanes(end, &entries, &revisions)?;
        check_accounts(scope)?;
    }
    Ok(())
}

/// What a replica holds for applied is in the log, under the revision that it was told.
fn check_applied(
    end: &Ending<'_>,
    scope: &FinalScope,
    entries: &[&Entry],
    revisions: &BTreeMap<&EventId, Revision>,
) -> Checked {
    let sealed = |entry: &Entry| scope.scope != Scope::User && end.expelled.contains(&entry.replica.account);
    if let Some(entry) =
        entries.iter().find(|entry| entry.standing == Standing::Unsent && revisions.contains_key(&entry.id))
    {
        let what =
            format!("{} went with the power on {}, and had been sent before it was safe", entry.id, entry.replica);
        return Err(Violation::new("I2", what));
    }
    for entry in entries.iter().filter(|entry| entry.standing == Standing::Held && !sealed(entry)) {
        let Some(Outcome::Applied { receipt }) = &entry.last else { continue };
        let logged = revisions.get(&entry.id).copied();
        if logged.is_none() {
            let what = format!("{} is applied on {} alone: {:?}", entry.id, entry.replica, entry.planned);
            return Err(Violation::new("I1", what));
        }
        // What was offered again after a restore has another one; if it is forgotten since, nobody has said so.
        if logged != receipt.revision && !entry.forgotten {
            let what = format!("{} is at {logged:?} in the log, and its receipt says {:?}", entry.id, receipt.revision);
            return Err(Violation::new("I3", what));
        }
    }
    Ok(())
}

/// What is in the log somebody wrote.
fn check_known(end: &Ending<'_>, scope: &FinalScope, entries: &[&Entry]) -> Checked {
    let mut known: BTreeSet<&EventId> = entries.iter().map(|entry| &entry.id).collect();
    known.extend(entries.iter().filter_map(|entry| entry.next.as_ref()));
    known.extend(entries.iter().flat_map(|entry| &entry.former));
    let ours = |name: &str| !name.starts_with('$');
    for write in scope.log.iter().filter(|write| ours(write.event.collection.as_str())) {
        let untold = end.ledger.untold().iter().any(|planned| planned.key == write.event.key());
        if !known.contains(&write.event.id) && !untold {
            let what = format!("{:?} is in the log, and nobody wrote it", write.event);
            return Err(Violation::new("I3", what));
        }
    }
    Ok(())
}

/// On each record the events of one replica took effect in the order in which it accepted them.
fn check_lanes(end: &Ending<'_>, entries: &[&Entry], revisions: &BTreeMap<&EventId, Revision>) -> Checked {
    let mut lanes: BTreeMap<(&ReplicaId, &RecordKey), (Revision, &EventId)> = BTreeMap::new();
    // A replaced event keeps its place, which is not that of its new id.
    let firm = |entry: &&&Entry| {
        entry.standing == Standing::Held && entry.former.is_empty() && !end.ledger.is_replacement(&entry.id)
    };
    for entry in entries.iter().filter(firm) {
        let Some(revision) = revisions.get(&entry.id).copied() else { continue };
        let lane = (&entry.replica, &entry.planned.key);
        if let Some((before, earlier)) = lanes.insert(lane, (revision, &entry.id))
            && before > revision
        {
            let what = format!("{earlier} was accepted before {}, and took effect after it", entry.id);
            return Err(Violation::new("I7", what));
        }
    }
    Ok(())
}

/// In an account's own scope there is nothing of anybody else's.
fn check_accounts(scope: &FinalScope) -> Checked {
    if scope.scope != Scope::User {
        return Ok(());
    }
    for other in ACCOUNTS.iter().filter(|account| **account != scope.account) {
        let marked = format!("\"{other}-d");
        for (key, doc) in &scope.state {
            if doc.to_string().contains(&marked) && !key.collection.as_str().starts_with('$') {
                return Err(Violation::new(
                    "I14",
                    format!("{key} of {} holds what {other} wrote: {doc}", scope.account),
                ));
            }
        }
    }
    Ok(())
}

/// A scope's live records, as a new replica gets them.
async fn pull(
    transport: &Arc<dyn Transport>,
    access: &Access,
    account: &str,
    scope: &Scope,
    limit: u32,
) -> Result<BTreeMap<RecordKey, Value>, String> {
    let context = RequestContext { token: Some(access.issue(account)), deadline: None };
    let mut request = ChangesRequest { limit: Some(limit), ..ChangesRequest::from_start(scope.clone()) };
    let mut state = BTreeMap::new();
    loop {
        let mut feed = transport.changes(&context, &request).await.map_err(|error| error.to_string())?;
        let mut more = false;
        while let Some(chunk) = feed.next().await.map_err(|error| error.to_string())? {
            for change in chunk.changes {
                match change.doc {
                    Some(ref doc) => drop(state.insert(change.key(), doc.clone())),
                    None => drop(state.remove(&change.key())),
                }
            }
            more = chunk.trailer.is_some_and(|trailer| trailer.more);
            request.cursor = Some(chunk.cursor);
        }
        if !more {
            return Ok(state);
        }
    }
}

/// What a replica holds of a scope: confirmed state, which must be the view.
async fn held(client: &Client, scope: &Scope) -> Result<Canonical, String> {
    let replica = client.replica();
    let generation = replica.generation(scope).await.map_err(|error| error.to_string())?;
    let prefix = keys::generation_prefix(scope, generation);
    let rows = replica.storage().scan(Scan::prefix(Table::Record, &prefix)).await.map_err(|error| error.to_string())?;
    let mut state = Canonical::new();
    let mut digest = DigestRow::default();
    for row in rows {
        let record: RecordRow = serde_json::from_slice(&row.value).map_err(|error| error.to_string())?;
        let key = keys::record_key_of(&row.key, &prefix).ok_or("a record's key cannot be read")?;
        if record.view() != record.doc.as_ref() {
            return Err(format!("{key} shows {:?} and is {:?}", record.view(), record.doc));
        }
        if let Some(share) = record.digest(&key) {
            digest.0[usize::from(bucket_of(&key))].add(share);
        }
        state.extend(record.doc.map(|doc| (key, value::canonical(&doc))));
    }
    if replica.digest(scope).await.map_err(|error| error.to_string())? != digest {
        return Err("its digest is not that of its records".to_owned());
    }
    Ok(state)
}

fn difference(replica: &ReplicaId, scope: &Scope, held: &Canonical, expected: &Canonical) -> String {
    let text =
        |bytes: Option<&Vec<u8>>| bytes.map_or("nothing".into(), |bytes| String::from_utf8_lossy(bytes).into_owned());
    let keys: BTreeSet<_> = held.keys().chain(expected.keys()).collect();
    let differing = keys.into_iter().find(|key| held.get(key) != expected.get(key));
    match differing {
        None => String::new(),
        Some(key) => {
            let (here, there) = (text(held.get(key)), text(expected.get(key)));
            format!("{replica} holds {key} in {scope} as {here}, and the server as {there}")
        }
    }
}
