//! The wire of a simulation: from a device's scripted network to whichever process of the server runs now. A call that is
//! under way when that process dies breaks, and a call can be told to be its last one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::host::Host;
use crate::clock::Stamp;
use crate::model::EventId;
use crate::model::value::canonical_len;
use crate::platform::BoxFuture;
use crate::protocol::{ChangesRequest, PushRequest, PushResponse};
use crate::testing::CallKind;
use crate::transport::{ChangeReader, Chunk, Method, RequestContext, Response, Transport, TransportError};

/// The server of a run, and how often it was started.
#[derive(Clone)]
pub struct Station {
    host: Arc<dyn Host>,
    boots: Arc<watch::Sender<u64>>,
    stamps: Arc<Mutex<SentStamps>>,
    /// How often the server has refused a request, by code.
    refusals: Arc<Mutex<BTreeMap<String, u64>>>,
    /// Canonical bytes of the records in the largest answer to a push.
    largest_answer: Arc<AtomicUsize>,
}

/// The stamps under which each event was sent.
pub type SentStamps = BTreeMap<EventId, BTreeSet<Stamp>>;

impl Station {
    /// The way to `host`.
    #[must_use]
    pub fn new(host: Arc<dyn Host>) -> Self {
        Self {
            host,
            boots: Arc::new(watch::Sender::new(1)),
            stamps: Arc::default(),
            refusals: Arc::default(),
            largest_answer: Arc::default(),
        }
    }

    /// What the devices have sent.
    pub fn stamps(&self) -> MutexGuard<'_, SentStamps> {
        self.stamps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server.
    #[must_use]
    pub fn host(&self) -> &dyn Host {
        &*self.host
    }

    /// How often the server has refused a request as a whole, by code.
    pub fn refusals(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Canonical bytes of the records in the largest answer to a push so far.
    #[must_use]
    pub fn largest_answer(&self) -> usize {
        self.largest_answer.load(Ordering::Relaxed)
    }

    /// Every call that is under way breaks. To be called after the server's process was replaced, by whoever did it.
    pub fn break_calls(&self) {
        self.boots.send_modify(|boots| *boots += 1);
    }
}

impl fmt::Debug for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Station").field("host", &self.host).field("boots", &*self.boots.borrow()).finish()
    }
}

/// One device's way to the server. Clones are the same.
#[derive(Clone, Debug)]
pub struct Wire {
    station: Station,
    armed: Arc<Armed>,
}

#[derive(Debug, Default)]
struct Armed {
    push: AtomicBool,
    other: AtomicBool,
}

impl Wire {
    /// A way to `station`.
    #[must_use]
    pub fn new(station: Station) -> Self {
        Self { station, armed: Arc::default() }
    }

    /// The next call of this kind is the server's last: it acts, and dies before it answers.
    pub fn kill_server_after(&self, kind: CallKind) {
        self.armed(kind).store(true, Ordering::Relaxed);
    }

    /// Whether the server is still to die so.
    #[must_use]
    pub fn will_kill_server(&self, kind: CallKind) -> bool {
        self.armed(kind).load(Ordering::Relaxed)
    }

    /// No call is to kill the server any more.
    pub fn heal(&self) {
        self.armed.push.store(false, Ordering::Relaxed);
        self.armed.other.store(false, Ordering::Relaxed);
    }

    fn armed(&self, kind: CallKind) -> &AtomicBool {
        if kind == CallKind::Push { &self.armed.push } else { &self.armed.other }
    }

    fn connect(&self) -> Connection {
        let boots = self.station.boots.subscribe();
        let boot = *boots.borrow();
        Connection { boots, boot }
    }

    /// Makes a call, on which the server dies if it was told to.
    async fn call<R>(
        &self,
        kind: CallKind,
        call: impl Future<Output = Result<R, TransportError>>,
    ) -> Result<R, TransportError> {
        let answer = self.connect().hold(call).await;
        if let Err(TransportError::Problem(problem)) = &answer {
            *self.station.refusals().entry(problem.code.clone()).or_default() += 1;
        }
        if self.armed(kind).swap(false, Ordering::Relaxed) {
            drop(answer);
            self.station.host.restart().await.map_err(TransportError::Unreachable)?;
            self.station.break_calls();
            return Err(died());
        }
        answer
    }
}

fn died() -> TransportError {
    TransportError::Unreachable("the server died".to_owned())
}

/// What is awaited through it breaks when the server's process ends.
struct Connection {
    boots: watch::Receiver<u64>,
    boot: u64,
}

impl Connection {
    async fn hold<R>(&mut self, call: impl Future<Output = Result<R, TransportError>>) -> Result<R, TransportError> {
        use futures_util::future::{Either, select};
        let boot = self.boot;
        if *self.boots.borrow() != boot {
            return Err(died());
        }
        let boots = &mut self.boots;
        let broken = async {
            if boots.wait_for(|boots| *boots != boot).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        match select(std::pin::pin!(call), std::pin::pin!(broken)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), _)) => Err(died()),
        }
    }
}

struct Reader {
    connection: Connection,
    inner: Box<dyn ChangeReader>,
}

impl ChangeReader for Reader {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Chunk>, TransportError>> {
        let Self { connection, inner } = self;
        Box::pin(connection.hold(inner.next()))
    }
}

impl Transport for Wire {
    fn push<'a>(
        &'a self,
        context: &'a RequestContext,
        request: &'a PushRequest,
    ) -> BoxFuture<'a, Result<PushResponse, TransportError>> {
        Box::pin(async move {
            for event in &request.events {
                self.station.stamps().entry(event.id.clone()).or_default().insert(event.stamp.clone());
            }
            let server = self.station.host.transport();
            let answer = self.call(CallKind::Push, server.push(context, request)).await?;
            let told = answer.receipts.iter().filter_map(|receipt| receipt.record.as_ref()?.doc.as_ref());
            let bytes = told.map(canonical_len).sum();
            self.station.largest_answer.fetch_max(bytes, Ordering::Relaxed);
            Ok(answer)
        })
    }

    fn changes<'a>(
        &'a self,
        context: &'a RequestContext,
        request: &'a ChangesRequest,
    ) -> BoxFuture<'a, Result<Box<dyn ChangeReader>, TransportError>> {
        Box::pin(async move {
            let server = self.station.host.transport();
            let connection = self.connect();
            let inner = self.call(CallKind::Changes, server.changes(context, request)).await?;
            Ok(Box::new(Reader { connection, inner }) as Box<dyn ChangeReader>)
        })
    }

    fn request<'a>(
        &'a self,
        context: &'a RequestContext,
        method: Method,
        path: &'a str,
        body: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Response, TransportError>> {
        Box::pin(async move {
            let server = self.station.host.transport();
            self.call(CallKind::Request, server.request(context, method, path, body)).await
        })
    }
}
