//! A server and devices that speak to it.

use std::path::Path;

use serde_json::{Value, json};
use unisono::Environment;
use unisono::model::{Change, DeviceId, Receipt, ReceiptStatus, Scope};
use unisono::protocol::{ChangesRequest, Cursor, Problem, PushRequest, PushResponse, Trailer};
use unisono::testing::TestEnvironment;
use unisono::transport::Chunk;
use unisono_server::{Principal, ServiceOptions, SqliteOptions, SqliteStore, SyncService};

/// A server in a world.
pub struct World {
    pub env: TestEnvironment,
    pub service: SyncService,
}

impl World {
    pub fn new() -> Self {
        Self::with_options(ServiceOptions::default())
    }

    pub fn with_options(options: ServiceOptions) -> Self {
        Self::on(TestEnvironment::new(7), SqliteStore::in_memory().unwrap(), options)
    }

    /// A server of other data: another identity, another key.
    pub fn another() -> Self {
        Self::on(TestEnvironment::new(8), SqliteStore::in_memory().unwrap(), ServiceOptions::default())
    }

    pub fn in_file(path: &Path) -> Self {
        Self::in_file_again(path, TestEnvironment::new(7))
    }

    /// A server on a file, in a world that goes on.
    pub fn in_file_again(path: &Path, env: TestEnvironment) -> Self {
        let store = SqliteStore::open(path, &SqliteOptions::default()).unwrap();
        Self::on(env, store, ServiceOptions::default())
    }

    fn on(env: TestEnvironment, store: SqliteStore, options: ServiceOptions) -> Self {
        let service = env.block_on(SyncService::open(store, env.shared(), options)).unwrap();
        Self { env, service }
    }

    pub fn push(&self, principal: &Principal, request: &Value) -> Result<PushResponse, Problem> {
        self.env.block_on(self.service.push(principal, parse(request)))
    }

    /// Reads a feed to its end.
    pub fn pull(&self, principal: &Principal, request: ChangesRequest) -> Result<(Vec<Chunk>, Trailer), Problem> {
        self.env.block_on(async {
            let mut feed = self.service.changes(principal, request).await?;
            let mut chunks = Vec::new();
            while let Some(chunk) = feed.next().await? {
                chunks.push(chunk);
            }
            let trailer = chunks.last().and_then(|chunk| chunk.trailer.clone()).expect("a feed ends with a trailer");
            Ok((chunks, trailer))
        })
    }

    /// All records of a scope, read from the start.
    pub fn records(&self, principal: &Principal, scope: Scope) -> Vec<Change> {
        let mut request = ChangesRequest::from_start(scope);
        let mut all = Vec::new();
        loop {
            let (chunks, trailer) = self.pull(principal, request.clone()).unwrap();
            all.extend(chunks.into_iter().flat_map(|chunk| chunk.changes));
            request.cursor = Some(trailer.cursor);
            if !trailer.more {
                return all;
            }
        }
    }

    pub fn doc(&self, principal: &Principal, record: &str) -> Option<Value> {
        let all = self.records(principal, Scope::User);
        all.into_iter().find(|change| change.record.as_str() == record).and_then(|change| change.doc)
    }

    /// That the log makes exactly what is stored.
    pub fn assert_sound(&self, principal: &Principal) {
        let differences = self.env.block_on(self.service.verify(principal, Scope::User)).unwrap();
        assert_eq!(differences, Vec::<String>::new());
    }

    pub fn close(self) -> TestEnvironment {
        self.env.block_on(self.service.close());
        self.env
    }
}

pub fn parse(request: &Value) -> PushRequest<Box<serde_json::value::RawValue>> {
    serde_json::from_str(&request.to_string()).unwrap()
}

pub fn user(name: &str) -> Principal {
    Principal::new(name)
}

pub fn member(name: &str, workspace: &str) -> Principal {
    Principal { workspaces: vec![workspace.to_owned()], ..Principal::new(name) }
}

/// A device: counts its pushes, makes ids and stamps.
#[derive(Clone)]
pub struct Device {
    pub principal: Principal,
    pub scope: &'static str,
    pub id: &'static str,
    pub push_seq: u64,
    pub epoch: Option<String>,
    pub cursor: Option<Cursor>,
    pub seen: Option<Cursor>,
    pub events: u64,
}

impl Device {
    pub fn new(principal: &Principal, id: &'static str) -> Self {
        Self {
            principal: principal.clone(),
            scope: "user",
            id,
            push_seq: 0,
            epoch: None,
            cursor: None,
            seen: None,
            events: 0,
        }
    }

    /// A fresh event with an id of its own and a stamp of now.
    pub fn event(&mut self, world: &World, action: &str, record: &str, base: u64, rest: Value) -> Value {
        self.events += 1;
        let stamp = format!("{:012x}-{:04x}-{}", world.env.now_ms(), self.events, self.id);
        let mut event = json!({
            "id": format!("{}-{}", self.id, self.events), "collection": "samples", "record": record, "action": action,
            "base": base, "stamp": stamp,
        });
        let fields = event.as_object_mut().unwrap();
        fields.extend(rest.as_object().unwrap().clone());
        event
    }

    pub fn create(&mut self, world: &World, record: &str, doc: Value) -> Value {
        self.event(world, "create", record, 0, json!({ "doc": doc }))
    }

    /// An update that sets one field.
    pub fn set(&mut self, world: &World, record: &str, base: u64, path: &str, value: impl Into<Value>) -> Value {
        let value: Value = value.into();
        self.event(world, "update", record, base, json!({"ops": [{"op": "set", "path": path, "value": value}]}))
    }

    pub fn delete(&mut self, world: &World, record: &str, base: u64) -> Value {
        self.event(world, "delete", record, base, json!({}))
    }

    /// The request of the next push.
    pub fn request(&mut self, world: &World, events: &[Value]) -> Value {
        self.push_seq += 1;
        let mut request = json!({
            "scope": self.scope, "account": self.principal.subject, "epoch": self.epoch, "device_id": self.id,
            "push_seq": self.push_seq, "cursor": self.cursor, "device_now": world.env.now_ms(), "events": events,
        });
        if let Some(seen) = &self.seen {
            request["seen"] = json!(seen);
        }
        request
    }

    /// Pushes, and takes over what the answer says of the history.
    pub fn push(&mut self, world: &World, events: &[Value]) -> Result<PushResponse, Problem> {
        let request = self.request(world, events);
        let response = world.push(&self.principal, &request)?;
        self.epoch = Some(response.epoch.clone());
        self.seen = Some(response.head.clone());
        if let Some(cursor) = &response.cursor {
            self.cursor = Some(cursor.clone());
        }
        Ok(response)
    }

    /// Pushes one event that is to take effect, and returns its receipt.
    pub fn write(&mut self, world: &World, event: Value) -> Receipt {
        let receipt = self.push(world, &[event]).unwrap().receipts.remove(0);
        assert!(receipt.status.is_settled(), "{receipt:?}");
        receipt
    }

    /// Pulls to the end from where the device stands.
    pub fn pull(&mut self, world: &World) -> Result<Vec<Change>, Problem> {
        let request = ChangesRequest {
            cursor: self.cursor.clone(),
            device: Some(DeviceId::new(self.id).unwrap()),
            ..ChangesRequest::from_start(self.scope.parse().unwrap())
        };
        let (chunks, trailer) = world.pull(&self.principal, request)?;
        self.epoch = Some(trailer.epoch);
        self.cursor = Some(trailer.cursor);
        Ok(chunks.into_iter().flat_map(|chunk| chunk.changes).collect())
    }
}

pub fn statuses(response: &PushResponse) -> Vec<ReceiptStatus> {
    response.receipts.iter().map(|receipt| receipt.status).collect()
}

pub fn codes(response: &PushResponse) -> Vec<&str> {
    response.receipts.iter().map(|receipt| receipt.code.as_deref().unwrap_or("")).collect()
}
