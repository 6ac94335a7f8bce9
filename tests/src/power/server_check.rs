//! Holds an image of the server's database to what the server has answered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use secrecy::SecretString;
use serde_json::json;
use unisono::Client;
use unisono::merge::LoggedWrite;
use unisono::model::{DeviceId, EventId, Mode, Scope};
use unisono::protocol::{PushRequest, PushResponse};
use unisono::storage::MemoryStorage;
use unisono::testing::TestEnvironment;
use unisono::transport::{RequestContext, Transport};
use unisono_server::store::{ScopeKey, read};
use unisono_server::{LoopbackTransport, ServiceOptions, SqliteOptions, SqliteStore, Store, SyncService};

use super::client_check::integrity;
use super::marks::Mark;
use super::server_work::{ACCOUNTS, DATABASE, shared};
use crate::server::principal;

/// A push is named by its device, its scope and its number.
type PushName = (Scope, DeviceId, u64);

/// What was asked and answered, up to some moment.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    asked: BTreeMap<PushName, PushRequest>,
    answered: BTreeMap<PushName, PushResponse>,
    /// The pushes that were answered, in the order of the answers.
    order: Vec<PushName>,
}

impl Answers {
    /// Takes note of what the child says.
    ///
    /// # Panics
    /// If the server has changed its mind about a push.
    pub fn note(&mut self, mark: &Mark) {
        match mark {
            Mark::Asked { push } => {
                let name = (push.scope.clone(), push.device_id.clone(), push.push_seq);
                self.asked.insert(name, (**push).clone());
            }
            Mark::Answered { device, scope, push_seq, answer } => {
                let name = (scope.clone(), device.clone(), *push_seq);
                if let Some(before) = self.answered.insert(name.clone(), (**answer).clone()) {
                    assert_eq!(before.receipts, answer.receipts, "the same push gets the same receipts");
                } else {
                    self.order.push(name);
                }
            }
            _ => {}
        }
    }
}

/// What is wrong with the database in `folder`, if anything: it must open, hold each push entirely or not at all, and hold all
/// those that were answered if `all` (after a loss of power that was not promised to be survived: those that were answered up
/// to some moment); its log must replay to what it stores, a repeated push must get its first answer, and it must go on.
///
/// # Errors
/// The first promise that is broken, in words.
pub fn check(folder: &Path, answers: &Answers, all: bool) -> Result<(), String> {
    let path = folder.join(DATABASE);
    let store =
        SqliteStore::open(&path, &SqliteOptions::default()).map_err(|error| format!("it does not open: {error}"))?;
    let environment = TestEnvironment::new(7);
    let verdict = environment.block_on(async {
        let service = SyncService::open(store.clone(), environment.shared(), ServiceOptions::default())
            .await
            .map_err(|error| format!("the service does not open: {error}"))?;
        let logs = logs(&store).await?;
        holds_whole_pushes(answers, &logs)?;
        holds_answers(answers, &logs, all)?;
        replays(&service).await?;
        repeats(&service, answers, all).await?;
        replays(&service).await?;
        goes_on(&service, &environment).await?;
        service.close().await;
        Ok(())
    });
    verdict.and_then(|()| integrity(&path))
}

/// Every event in the log, by id, with what was logged; scopes apart.
type Logs = BTreeMap<String, BTreeMap<EventId, LoggedWrite>>;

async fn logs(store: &SqliteStore) -> Result<Logs, String> {
    let words = |error: unisono_server::StoreError| format!("reading: {error}");
    let mut logs = Logs::new();
    for scope in store.scopes(None, usize::MAX >> 1).await.map_err(words)? {
        let name = scope.as_str().to_owned();
        let writes = log(store, scope).await?;
        let mut events = BTreeMap::new();
        for (write, expected) in writes.into_iter().zip(1..) {
            if write.revision != expected {
                return Err(format!("{name}: revision {expected} is missing from the log"));
            }
            let id = write.event.id.clone();
            if events.insert(id.clone(), write).is_some() {
                return Err(format!("{name}: {id} is twice in the log"));
            }
        }
        logs.insert(name, events);
    }
    Ok(logs)
}

async fn log(store: &SqliteStore, scope: ScopeKey) -> Result<Vec<LoggedWrite>, String> {
    read(store, scope, |reads| reads.log_after(0, usize::MAX >> 1)).await.map_err(|error| format!("the log: {error}"))
}

fn in_log<'a>(logs: &'a Logs, id: &EventId) -> Option<&'a LoggedWrite> {
    logs.values().find_map(|log| log.get(id))
}

/// Each push entirely or not at all, as far as its events were settled.
fn holds_whole_pushes(answers: &Answers, logs: &Logs) -> Result<(), String> {
    for ((_, device, push_seq), push) in &answers.asked {
        let unanswered = !answers.answered.contains_key(&(push.scope.clone(), device.clone(), *push_seq));
        let held: Vec<_> = push.events.iter().map(|event| in_log(logs, &event.id)).collect();
        let here =
            held.iter().flatten().filter(|write| write.push_seq == *push_seq && write.by.device == *device).count();
        // A strict event may have been refused: the child only asks for one together with others.
        let strict = push.events.iter().filter(|event| event.mode == Mode::Strict).count();
        if unanswered && here != 0 && here + strict < push.events.len() {
            return Err(format!("push {push_seq} of {device}: {here} of {} events", push.events.len()));
        }
    }
    Ok(())
}

/// What was answered is in the log as it was answered.
fn holds_answers(answers: &Answers, logs: &Logs, all: bool) -> Result<(), String> {
    let mut lost: BTreeSet<&Scope> = BTreeSet::new();
    for name in &answers.order {
        let (scope, device, push_seq) = name;
        for receipt in answers.answered[name].receipts.iter().filter(|receipt| receipt.status.is_settled()) {
            match in_log(logs, &receipt.id) {
                Some(write) if Some(write.revision) != receipt.revision => {
                    return Err(format!("{} has revision {}, not {:?}", receipt.id, write.revision, receipt.revision));
                }
                Some(_) if lost.contains(scope) => {
                    return Err(format!("push {push_seq} of {device} is there, and an earlier one is not"));
                }
                Some(_) => {}
                None if all => return Err(format!("{} of push {push_seq} of {device} is lost", receipt.id)),
                None => drop(lost.insert(scope)),
            }
        }
    }
    Ok(())
}

/// The log of every scope replays to what is stored.
async fn replays(service: &SyncService) -> Result<(), String> {
    for account in ACCOUNTS {
        for scope in [Scope::User, shared()] {
            let differences =
                service.verify(&principal(account), scope.clone()).await.map_err(|problem| problem.title.clone())?;
            if let Some(first) = differences.first() {
                return Err(format!("the log of {account}'s {scope} does not replay: {first}"));
            }
        }
    }
    Ok(())
}

/// The last push of each device in each scope comes again, as it would from a device that missed the answer.
async fn repeats(service: &SyncService, answers: &Answers, all: bool) -> Result<(), String> {
    let mut last: BTreeMap<(&Scope, &DeviceId), &PushRequest> = BTreeMap::new();
    for ((scope, device, _), push) in &answers.asked {
        last.insert((scope, device), push);
    }
    for ((scope, device), push) in last {
        let context = RequestContext { token: Some(SecretString::from(push.account.clone())), deadline: None };
        let transport = LoopbackTransport::new(service.clone(), principal(&push.account));
        let name = (scope.clone(), device.clone(), push.push_seq);
        match (transport.push(&context, push).await, answers.answered.get(&name)) {
            (Ok(again), Some(first)) if all && again.receipts != first.receipts => {
                return Err(format!("push {} of {device} is answered anew", push.push_seq));
            }
            (Ok(again), _) => {
                let skipped = again.receipts.iter().filter(|receipt| !receipt.status.is_settled()).count();
                let strict = push.events.iter().filter(|event| event.mode == Mode::Strict).count();
                if skipped > strict {
                    return Err(format!("push {} of {device}: {:?}", push.push_seq, again.receipts));
                }
            }
            // A server that lost what it had answered finds out so, and asks the device for its evidence.
            (Err(_), _) if !all => {}
            (Err(error), _) => return Err(format!("push {} of {device} again: {error}", push.push_seq)),
        }
    }
    Ok(())
}

/// A new device joins, sees the others' records, and is served.
async fn goes_on(service: &SyncService, environment: &TestEnvironment) -> Result<(), String> {
    let words = |error: unisono::Error| format!("a new device: {}: {error}", error.code());
    for account in ["anna", "ben"] {
        let client = Client::builder()
            .storage(MemoryStorage::new())
            .transport(LoopbackTransport::new(service.clone(), principal(account)))
            .environment(environment.device(0))
            .account(account)
            .token(account)
            .build()
            .await
            .map_err(words)?;
        client
            .collection("samples")
            .create(format!("after-{account}"), json!({"name": "Kick"}))
            .await
            .map_err(words)?;
        let report = client.sync_now().await.map_err(words)?;
        if report.pushed != 1 || client.status().pending != 0 {
            return Err(format!("a new device's write is not taken: {report:?}"));
        }
        client.close().await.map_err(words)?;
    }
    Ok(())
}
