//! The server's workload: pushes of real clients to the real service, on the real SQLite store.
//!
//! It runs in a child under the shim. The clients live in memory: what is recorded is the server's disk, and each push with
//! its answer, which is what the server has promised. A push that fails under a fault is pushed again, at first while the
//! fault lasts and then after it was lifted, in the same process and without a restart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use serde_json::{Value, json};
use unisono::model::{EventId, Scope};
use unisono::platform::BoxFuture;
use unisono::protocol::{ChangesRequest, PushRequest, PushResponse};
use unisono::replica::rows::Outcome;
use unisono::storage::MemoryStorage;
use unisono::testing::TestEnvironment;
use unisono::transport::{ChangeReader, Method, RequestContext, Response, Transport, TransportError};
use unisono::{Client, Collection, Error};
use unisono_examples::library::Library;
use unisono_server::{LoopbackTransport, ServiceOptions, SqliteOptions, SqliteStore, SyncService};

use super::child::Fault;
use super::marks::{Control, Mark, Marks};
use crate::server::{WORKSPACE, principal};

/// The database's file in the child's folder.
pub const DATABASE: &str = "server.db";
/// The accounts; the last two share one.
pub const ACCOUNTS: [&str; 3] = ["ben", "anna", "anna"];
/// Attempts of a step: the second meets a lasting fault again, the third comes after it was lifted.
const ATTEMPTS: u32 = 3;

/// How the workload runs.
#[derive(Clone, Copy, Debug)]
pub struct ServerPlan {
    /// Whether an answered push is to survive a loss of power, or a crash of the process only.
    pub survive_power_loss: bool,
    /// All of it, or the part that is enough to meet every kind of call.
    pub long: bool,
    /// What fails.
    pub fault: Option<Fault>,
}

/// The scope that all accounts share.
#[must_use]
pub fn shared() -> Scope {
    Scope::workspace(WORKSPACE).expect("a name")
}

/// Runs the workload on a database in `folder`.
///
/// # Panics
/// If a promise is broken.
pub fn run(folder: &Path, plan: ServerPlan) {
    let mut work = Work::new(folder, plan);
    work.step("open", Work::open);
    work.join();
    work.first_day();
    if plan.long {
        work.conflicts();
        work.rush();
    }
    work.step("close", Work::close);
    work.step("open again", Work::open);
    work.second_day();
    work.settle();
}

/// The service that runs now; `None` while there is none.
type Running = Arc<Mutex<Option<SyncService>>>;

/// The way to the service; records what is asked and answered.
#[derive(Debug)]
struct Witness {
    account: &'static str,
    running: Running,
    marks: Marks,
}

impl Witness {
    fn inner(&self) -> Result<LoopbackTransport, TransportError> {
        let service = self.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let service = service.ok_or_else(|| TransportError::Unreachable("there is no server".into()))?;
        Ok(LoopbackTransport::new(service, principal(self.account)))
    }
}

impl Transport for Witness {
    fn push<'a>(
        &'a self,
        context: &'a RequestContext,
        request: &'a PushRequest,
    ) -> BoxFuture<'a, Result<PushResponse, TransportError>> {
        Box::pin(async move {
            let inner = self.inner()?;
            self.marks.put(&Mark::Asked { push: Box::new(request.clone()) });
            let answer = inner.push(context, request).await?;
            let (device, scope, push_seq) = (request.device_id.clone(), request.scope.clone(), request.push_seq);
            self.marks.put(&Mark::Answered { device, scope, push_seq, answer: Box::new(answer.clone()) });
            Ok(answer)
        })
    }

    fn changes<'a>(
        &'a self,
        context: &'a RequestContext,
        request: &'a ChangesRequest,
    ) -> BoxFuture<'a, Result<Box<dyn ChangeReader>, TransportError>> {
        Box::pin(async move { self.inner()?.changes(context, request).await })
    }

    fn request<'a>(
        &'a self,
        context: &'a RequestContext,
        method: Method,
        path: &'a str,
        body: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Response, TransportError>> {
        Box::pin(async move { self.inner()?.request(context, method, path, body).await })
    }
}

struct Work {
    env: TestEnvironment,
    plan: ServerPlan,
    path: PathBuf,
    running: Running,
    clients: Vec<Client>,
    samples: Vec<(String, Value)>,
    marks: Marks,
    control: Control,
    accepted: Vec<(usize, EventId)>,
}

impl Work {
    fn new(folder: &Path, plan: ServerPlan) -> Self {
        let library = Library::embedded().expect("the sample library");
        let mut control = Control::open(folder).expect("the way to the shim");
        if let Some(fault) = plan.fault {
            control.say(&format!("arm {fault}"));
        }
        Self {
            env: TestEnvironment::new(1),
            plan,
            path: folder.join(DATABASE),
            running: Running::default(),
            clients: Vec::new(),
            samples: library.samples().take(120).map(|sample| (sample.id, sample.doc)).collect(),
            marks: Marks::open(folder).expect("the record"),
            control,
            accepted: Vec::new(),
        }
    }

    /// Does `work` until it succeeds; the fault is lifted before the last attempt.
    fn step(&mut self, name: &str, work: impl Fn(&mut Self) -> Result<(), Trouble>) {
        for attempt in 1..=ATTEMPTS {
            if attempt == ATTEMPTS {
                self.control.say("lift");
            }
            match work(self) {
                Ok(()) => {
                    self.marks.put(&Mark::Step { name: name.to_owned() });
                    return;
                }
                Err(Trouble { code, message }) => {
                    assert!(attempt < ATTEMPTS, "{name} does not work after the fault is gone: {code}: {message}");
                    self.marks.put(&Mark::Refused { step: name.to_owned(), code, message, attempt });
                }
            }
        }
    }

    fn open(&mut self) -> Result<(), Trouble> {
        let options = SqliteOptions { survive_power_loss: self.plan.survive_power_loss };
        let store = SqliteStore::open(&self.path, &options)?;
        let opened = SyncService::open(store, self.env.shared(), ServiceOptions::default());
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.env.block_on(opened)?);
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "a step")]
    fn close(&mut self) -> Result<(), Trouble> {
        let service = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(service) = service {
            self.env.block_on(service.close());
        }
        Ok(())
    }

    /// Three devices of two accounts.
    fn join(&mut self) {
        for account in ACCOUNTS {
            let transport = Witness { account, running: Arc::clone(&self.running), marks: self.marks.clone() };
            let builder = Client::builder()
                .storage(MemoryStorage::new())
                .transport(transport)
                .environment(self.env.device(0))
                .account(account)
                .token(account);
            let client = self.env.block_on(builder.build()).expect("a client in memory opens");
            self.env.block_on(client.workspace(WORKSPACE).subscribe()).expect("it joins");
            self.clients.push(client);
        }
    }

    fn own(&self, device: usize) -> Collection {
        self.clients[device].collection("samples")
    }

    fn common(&self, device: usize) -> Collection {
        self.clients[device].workspace(WORKSPACE).collection("samples")
    }

    fn accept(&mut self, device: usize, ids: impl IntoIterator<Item = EventId>) {
        self.accepted.extend(ids.into_iter().map(|id| (device, id)));
    }

    fn create(&mut self, device: usize, into: &Collection, index: usize) {
        let (id, doc) = self.samples[index].clone();
        let id = self.env.block_on(into.create(format!("{id}-{device}"), doc)).expect("memory takes it");
        self.accept(device, [id]);
    }

    fn update(&mut self, device: usize, into: &Collection, record: &str, patch: Value) {
        let id = self.env.block_on(into.update(record, patch)).expect("memory takes it");
        self.accept(device, id);
    }

    fn sync(&mut self, device: usize) {
        self.step("sync", |work| work.env.block_on(work.clients[device].sync_now()).map(drop).map_err(Trouble::from));
    }

    fn sync_all(&mut self) {
        (0..self.clients.len()).for_each(|device| self.sync(device));
    }

    fn first_day(&mut self) {
        let creates = if self.plan.long { 8 } else { 2 };
        for device in 0..ACCOUNTS.len() {
            for index in 0..creates {
                let into = if index % 2 == 0 { self.own(device) } else { self.common(device) };
                self.create(device, &into, index);
            }
            self.sync(device);
        }
        let (own, first) = (self.own(1), format!("{}-1", self.samples[0].0));
        let group = self.clients[1].transaction().update(&own, &first, json!({"pack": {"name": "Night"}})).create(
            &own,
            "night",
            json!({"name": "Night"}),
        );
        let ids = self.env.block_on(group.commit()).expect("memory takes it");
        self.accept(1, ids.into_iter().flatten());
        let edit = own.edit(&first).increment("/plays", 3).add("/tags", ["808"]);
        let id = self.env.block_on(edit.commit()).expect("memory takes it");
        self.accept(1, id);
        self.sync(1);
        let id = self.env.block_on(own.delete("night")).expect("memory takes it");
        self.accept(1, [id]);
        self.sync_all();
    }

    /// All write the same leaves without having seen each other, and one refuses to lose.
    fn conflicts(&mut self) {
        self.sync_all();
        let record = format!("{}-0", self.samples[1].0);
        for round in 0..4 {
            for device in 0..ACCOUNTS.len() {
                let common = self.common(device);
                self.update(device, &common, &record, json!({"rating": round * 10 + device, "by": {"device": device}}));
                let common = if device == 2 { common.strict() } else { common };
                self.update(device, &common, &record, json!({"note": "x".repeat(200 * round + 40 * device)}));
            }
            self.sync_all();
            for device in 0..ACCOUNTS.len() {
                for parked in self.env.block_on(self.clients[device].parked()).expect("the parked") {
                    self.env.block_on(self.clients[device].discard(&parked.id)).expect("it is dropped");
                }
            }
        }
    }

    /// Everyone pushes at once, again and again: they share commits, and the log starts anew several times.
    fn rush(&mut self) {
        for round in 0..10 {
            for device in 0..ACCOUNTS.len() {
                let (own, common) = (self.own(device), self.common(device));
                for index in 0..6 {
                    let record = format!("{}-{device}", self.samples[index].0);
                    let into = if index % 2 == 0 { &own } else { &common };
                    self.update(device, into, &record, json!({"round": round, "note": "x".repeat(900 + 37 * round)}));
                }
                self.create(device, &own, 20 + round);
            }
            self.step("together", |work| {
                let all = join_all(work.clients.iter().map(Client::sync_now));
                work.env.block_on(all).into_iter().try_for_each(|result| result.map(drop)).map_err(Trouble::from)
            });
        }
    }

    fn second_day(&mut self) {
        for device in 0..ACCOUNTS.len() {
            let common = self.common(device);
            self.create(device, &common, 50);
            let record = format!("{}-0", self.samples[1].0);
            self.update(device, &common, &record, json!({"again": device}));
            self.sync(device);
        }
    }

    /// Nothing is lost, nothing is left, and the log replays to what is stored, whatever has failed on the way.
    fn settle(&mut self) {
        self.sync_all();
        if self.control.say("fired") {
            self.marks.put(&Mark::Struck);
        }
        self.control.say("lift");
        for client in &self.clients {
            let status = client.status();
            assert_eq!((status.pending, status.parked), (0, 0), "the queue is drained");
        }
        for (device, id) in &self.accepted {
            let outcome = self.env.block_on(self.clients[*device].outcome(id)).expect("an outcome is read");
            let waits = matches!(outcome, None | Some(Outcome::Pending { .. } | Outcome::Parked { .. }));
            assert!(!waits, "{id}: {outcome:?}");
        }
        let service = self.running.lock().unwrap_or_else(PoisonError::into_inner).clone().expect("it runs");
        for account in ACCOUNTS {
            for scope in [Scope::User, shared()] {
                let differences = self.env.block_on(service.verify(&principal(account), scope)).expect("a replay");
                assert_eq!(differences, Vec::<String>::new(), "{account}");
            }
        }
        drop(service);
        self.step("close at the end", Self::close);
    }
}

/// Why a step failed.
struct Trouble {
    code: String,
    message: String,
}

impl From<unisono_server::store::StoreError> for Trouble {
    fn from(error: unisono_server::store::StoreError) -> Self {
        Self { code: error.code().to_owned(), message: error.to_string() }
    }
}

impl From<Error> for Trouble {
    /// A client's trouble is the server's here: its own storage cannot fail.
    fn from(error: Error) -> Self {
        Self { code: error.code().to_owned(), message: error.to_string() }
    }
}
