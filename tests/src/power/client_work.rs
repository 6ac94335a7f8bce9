//! The client's workload: what an app does with a replica, on the real SQLite storage, against a real service beside it.
//!
//! It runs in a child under the shim. Each step that fails is done again, at first while the fault lasts and then after it
//! was lifted, in the same process and without a restart: that is the promise (`core/src/storage/mod.rs`).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use serde_json::{Value, json};
use unisono::model::{EventId, Scope};
use unisono::storage::{Durability, SqliteStorage, StorageError};
use unisono::testing::TestEnvironment;
use unisono::{Client, Collection, Error};
use unisono_examples::library::Library;

use super::child::Fault;
use super::marks::{Control, Mark, Marks};
use super::observed::{Acknowledge, Known, Observed};
use crate::{Device, World, canonical_state};

/// The replica's file in the child's folder.
pub const REPLICA: &str = "replica.db";
/// The account of the workload.
pub const ACCOUNT: &str = "anna";
/// Small, so that the log is moved into the file often.
const CHECKPOINT_BYTES: u64 = 96 << 10;
/// Attempts of a step: the second meets a lasting fault again, the third comes after it was lifted.
const ATTEMPTS: u32 = 3;

/// How the workload runs.
#[derive(Clone, Copy, Debug)]
pub struct ClientPlan {
    /// The durability that the replica is opened with.
    pub durability: Durability,
    /// When a commit is acknowledged.
    pub acknowledge: Acknowledge,
    /// All of it, or the part that is enough to meet every kind of call.
    pub long: bool,
    /// What fails.
    pub fault: Option<Fault>,
}

/// Runs the workload on a replica in `folder`.
///
/// # Panics
/// If a promise is broken.
pub fn run(folder: &Path, plan: ClientPlan) {
    let mut work = Work::new(folder, plan);
    work.step("open", Work::open);
    work.first_session();
    if plan.long {
        work.conflicts();
        work.many_updates();
    }
    work.second_session();
    work.settle();
}

struct Work {
    world: World,
    peer: Device,
    env: TestEnvironment,
    plan: ClientPlan,
    path: PathBuf,
    samples: Vec<(String, Value)>,
    client: Option<Client>,
    storage: Option<Observed>,
    known: Arc<Mutex<Known>>,
    marks: Marks,
    control: Control,
    accepted: Vec<EventId>,
}

type Done = Result<Vec<EventId>, Error>;

impl Work {
    fn new(folder: &Path, plan: ClientPlan) -> Self {
        let library = Library::embedded().expect("the sample library");
        let samples: Vec<_> = library.samples().take(120).map(|sample| (sample.id, sample.doc)).collect();
        let world = World::new(1);
        let peer = world.device(ACCOUNT);
        for (id, doc) in &samples[60..80] {
            world.run(peer.samples().create(id, doc.clone())).expect("the peer creates");
        }
        peer.synced(&world);
        let mut control = Control::open(folder).expect("the way to the shim");
        if let Some(fault) = plan.fault {
            control.say(&format!("arm {fault}"));
        }
        Self {
            env: world.env.device(0),
            world,
            peer,
            plan,
            path: folder.join(REPLICA),
            samples,
            client: None,
            storage: None,
            known: Arc::default(),
            marks: Marks::open(folder).expect("the record"),
            control,
            accepted: Vec::new(),
        }
    }

    /// Does `work` until it succeeds; the fault is lifted before the last attempt.
    fn step(&mut self, name: &str, work: impl Fn(&mut Self) -> Done) {
        for attempt in 1..=ATTEMPTS {
            if attempt == ATTEMPTS {
                self.control.say("lift");
            }
            match work(self) {
                Ok(ids) => {
                    self.accept(ids);
                    self.marks.put(&Mark::Step { name: name.to_owned() });
                    return;
                }
                Err(error @ Error::Storage(_)) => {
                    let code = error.code().to_owned();
                    let message = error.to_string();
                    self.marks.put(&Mark::Refused { step: name.to_owned(), code, message, attempt });
                    assert!(attempt < ATTEMPTS, "{name} does not work after the fault is gone: {error}");
                }
                Err(error) => panic!("{name}, attempt {attempt}: {error}"),
            }
            if let (Some(storage), Some(_)) = (&self.storage, &self.client) {
                match self.world.run(unisono::storage::Storage::get(storage, Vec::new())) {
                    Ok(_) => self.world.run(storage.compare()),
                    Err(StorageError::Suspended | StorageError::Closed(_)) => {}
                    Err(error) => panic!("{name}: {error}"),
                }
            }
        }
    }

    fn accept(&mut self, ids: Vec<EventId>) {
        if !ids.is_empty() {
            self.marks.put(&Mark::Accepted { ids: ids.iter().map(ToString::to_string).collect() });
            self.accepted.extend(ids);
        }
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("the client is open")
    }

    fn samples(&self) -> Collection {
        self.client().collection("samples")
    }

    fn open(&mut self) -> Done {
        let options = SqliteStorage::options().durability(self.plan.durability).checkpoint_bytes(CHECKPOINT_BYTES);
        let storage = options.open(&self.path)?;
        let storage = Observed::new(storage, self.known.clone(), self.marks.clone(), self.plan.acknowledge);
        self.world.run(storage.opened())?;
        self.storage = Some(storage.clone());
        let builder = Client::builder()
            .storage(storage)
            .transport(self.world.network())
            .environment(self.env.clone())
            .account(ACCOUNT)
            .token(ACCOUNT)
            .index("samples", ["/category"]);
        self.client = Some(self.world.run(builder.build())?);
        Ok(Vec::new())
    }

    fn close(&mut self) -> Done {
        let client = self.client.take();
        let closed = client.map_or(Ok(()), |client| self.world.run(client.close()));
        let full = matches!(closed, Err(Error::Storage(StorageError::Full(_))));
        assert!(!full, "the log is as durable as the file: a full disk keeps no replica from being closed");
        // The replica is closed even if the last checkpoint failed.
        self.storage = None;
        closed.map(|()| Vec::new())
    }

    fn create(&mut self, index: usize) {
        self.step("create", |work| {
            let (id, doc) = work.samples[index].clone();
            work.world.run(work.samples().create(id, doc)).map(|id| vec![id])
        });
    }

    fn update(&mut self, index: usize, patch: &Value) {
        self.step("update", |work| {
            let id = work.samples[index].0.clone();
            work.world.run(work.samples().update(id, patch.clone())).map(Vec::from_iter)
        });
    }

    fn sync(&mut self) {
        self.step("sync", |work| work.world.run(work.client().sync_now()).map(|_| Vec::new()));
    }

    fn group(&mut self, first: usize) {
        self.step("group", |work| {
            let samples = work.samples();
            let (id, doc) = work.samples[first + 20].clone();
            let mut group = work.client().transaction().create(&samples, id, doc);
            for index in first..first + 3 {
                group = group.update(&samples, &work.samples[index].0, json!({"pack": {"name": "Night", "at": index}}));
            }
            work.world.run(group.commit()).map(|ids| ids.into_iter().flatten().collect())
        });
    }

    fn first_session(&mut self) {
        let creates = if self.plan.long { 14 } else { 4 };
        (0..creates).for_each(|index| self.create(index));
        self.group(0);
        self.step("count", |work| {
            let edit = work.samples().edit(&work.samples[0].0).increment("/plays", 3).add("/tags", ["808"]);
            work.world.run(edit.commit()).map(Vec::from_iter)
        });
        self.sync();
        self.update(1, &json!({"rating": 4}));
        self.step("suspend", |work| work.world.run(work.client().suspend()).map(|()| Vec::new()));
        self.step("resume", |work| work.world.run(work.client().resume()).map(|()| Vec::new()));
        self.update(1, &json!({"rating": 5, "note": "after the suspension"}));
    }

    /// Two writers on the same leaves, a refused event, and what the user does about it.
    fn conflicts(&mut self) {
        self.sync();
        self.peer.synced(&self.world);
        for index in 0..6 {
            let id = &self.samples[index].0;
            self.world.run(self.peer.samples().update(id, json!({"rating": 1, "seen": "there"}))).expect("the peer");
        }
        self.peer.synced(&self.world);
        for index in 0..6 {
            self.update(index, &json!({"rating": 2, "seen": "here"}));
        }
        self.step("strict", |work| {
            let id = work.samples[3].0.clone();
            work.world.run(work.samples().strict().update(id, json!({"seen": "strictly"}))).map(Vec::from_iter)
        });
        self.sync();
        let parked = self.world.run(self.client().parked()).expect("the parked");
        assert!(!parked.is_empty(), "the strict update was refused");
        self.step("discard", |work| {
            for event in work.world.run(work.client().parked())? {
                work.world.run(work.client().discard(&event.id))?;
            }
            Ok(Vec::new())
        });
        self.step("delete", |work| {
            let id = work.samples[5].0.clone();
            work.world.run(work.samples().delete(id)).map(|id| vec![id])
        });
        self.sync();
    }

    /// Enough pages that the log starts anew several times.
    fn many_updates(&mut self) {
        for round in 0..24 {
            self.update(6 + round % 8, &json!({"rating": round, "note": "x".repeat(400 + round * 20)}));
        }
        // They share a commit.
        self.step("together", |work| {
            let samples = work.samples();
            let mut missing = Vec::new();
            for (id, doc) in work.samples[30..38].iter().cloned() {
                if work.world.run(samples.get(&id))?.is_none() {
                    missing.push((id, doc));
                }
            }
            let creates = missing.into_iter().map(|(id, doc)| {
                let samples = samples.clone();
                async move { samples.create(id, doc).await }
            });
            let results = work.world.run(join_all(creates));
            let (done, failed): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
            work.accept(done.into_iter().flatten().collect());
            failed.into_iter().next().map_or(Ok(Vec::new()), |failed| failed.map(|id| vec![id]))
        });
        self.sync();
        for round in 0..10 {
            self.update(8 + round % 4, &json!({"rating": 50 + round}));
        }
    }

    fn second_session(&mut self) {
        self.step("close", Self::close);
        self.step("open again", Self::open);
        self.update(2, &json!({"rating": 3, "again": true}));
        self.create(40);
        self.sync();
        self.update(2, &json!({"last": true}));
    }

    /// Nothing is lost and nothing is left, whatever has failed on the way.
    fn settle(&mut self) {
        self.sync();
        if self.control.say("fired") {
            self.marks.put(&Mark::Struck);
        }
        self.control.say("lift");
        let (world, client) = (&self.world, self.client());
        let status = client.status();
        assert_eq!((status.pending, status.parked), (0, 0), "the queue is drained");
        for id in &self.accepted {
            let outcome = world.run(client.outcome(id)).expect("an outcome is read");
            assert!(outcome.is_some(), "{id} is lost");
        }
        let held = world.run(canonical_state(client, &Scope::User));
        assert!(held == world.server_state(ACCOUNT, &Scope::User), "the replica equals the server");
        self.step("close at the end", Self::close);
    }
}
