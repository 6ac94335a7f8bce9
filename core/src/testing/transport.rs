//! A transport that fails as told.
//!
//! [`ScriptedTransport`] stands between a client and a working transport. Each call takes the next fault of its kind from
//! the script, or none; what was called is recorded. So a test says exactly which answer is lost, and then asks what the
//! client did about it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::script::{Asked, Call, CallKind, Effect, Fault};
use crate::environment::{SharedEnvironment, timeout};
use crate::model::Scope;
use crate::platform::BoxFuture;
use crate::protocol::{ChangesRequest, PushRequest, PushResponse};
use crate::transport::{
    ChangeReader, Chunk, LiveHint, LiveReader, Method, RequestContext, Response, Transport, TransportError,
};

/// A transport around `T` that consumes one scripted fault per call and records every call. Clones share script and
/// record.
///
/// While it is offline, calls end with `Unreachable` at once and consume nothing; calls, feeds and live channels that were
/// under way break. A [`RequestContext::deadline`] ends a call, or the wait for a chunk, with `Unreachable`.
pub struct ScriptedTransport<T> {
    inner: Arc<T>,
    environment: SharedEnvironment,
    state: Arc<Mutex<State>>,
    network: Arc<watch::Sender<Network>>,
}

#[derive(Default)]
struct State {
    scripts: BTreeMap<CallKind, VecDeque<Fault>>,
    calls: Vec<Call>,
    /// Per scope: pushes under way now, and the most there ever were.
    pushes: BTreeMap<Scope, (usize, usize)>,
}

impl<T> Clone for ScriptedTransport<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            environment: Arc::clone(&self.environment),
            state: Arc::clone(&self.state),
            network: Arc::clone(&self.network),
        }
    }
}

impl<T: Transport> ScriptedTransport<T> {
    /// Wraps `inner`, online and with empty scripts; delays and deadlines are waited for in `environment`.
    #[must_use]
    pub fn new(inner: T, environment: SharedEnvironment) -> Self {
        Self {
            inner: Arc::new(inner),
            environment,
            state: Arc::default(),
            network: Arc::new(watch::Sender::new(Network { online: true, outages: 0 })),
        }
    }

    /// The wrapped transport.
    #[must_use]
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// Appends `faults` to the script of one kind of call.
    pub fn script(&self, kind: CallKind, faults: impl IntoIterator<Item = Fault>) {
        self.lock().scripts.entry(kind).or_default().extend(faults);
    }

    /// Faults that no call has met yet.
    #[must_use]
    pub fn unmet_faults(&self) -> usize {
        self.lock().scripts.values().map(VecDeque::len).sum()
    }

    /// Of these, the ones that wait for a call of this kind.
    #[must_use]
    pub fn unmet_faults_of(&self, kind: CallKind) -> usize {
        self.lock().scripts.get(&kind).map_or(0, VecDeque::len)
    }

    /// Forgets the faults that no call has met yet: from now on every call goes through.
    pub fn heal(&self) {
        self.lock().scripts.clear();
    }

    /// Takes the network away, or gives it back. However short an outage is, it breaks what was under way.
    pub fn set_online(&self, online: bool) {
        self.network.send_modify(|network| {
            network.outages += u64::from(network.online && !online);
            network.online = online;
        });
    }

    /// Every call so far, those refused for being offline included.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// The number of calls of one kind so far.
    #[must_use]
    pub fn count(&self, kind: CallKind) -> usize {
        self.lock().calls.iter().filter(|call| call.asked.kind() == kind).count()
    }

    /// Every push so far, in the order of the calls.
    #[must_use]
    pub fn pushes(&self) -> Vec<PushRequest> {
        let push = |call: &Call| match &call.asked {
            Asked::Push(request) => Some(request.clone()),
            _ => None,
        };
        self.lock().calls.iter().filter_map(push).collect()
    }

    /// Forgets the calls recorded so far.
    pub fn clear_calls(&self) {
        self.lock().calls.clear();
    }

    /// Pushes under way in `scope`.
    #[must_use]
    pub fn pushes_in_flight(&self, scope: &Scope) -> usize {
        self.lock().pushes.get(scope).map_or(0, |(now, _)| *now)
    }

    /// The most pushes that were ever under way in `scope` at once.
    #[must_use]
    pub fn most_pushes_in_flight(&self, scope: &Scope) -> usize {
        self.lock().pushes.get(scope).map_or(0, |(_, most)| *most)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Records a call, and takes its fault unless the network is away.
    fn begin(&self, context: &RequestContext, asked: Asked) -> Result<(Fault, Link), TransportError> {
        let at = self.environment.monotonic();
        let mut state = self.lock();
        let kind = asked.kind();
        state.calls.push(Call { at, context: context.clone(), asked });
        let network = self.network.subscribe();
        let Network { online, outages } = *network.borrow();
        if !online {
            return Err(offline());
        }
        let fault = state.scripts.get_mut(&kind).and_then(VecDeque::pop_front).unwrap_or_else(Fault::none);
        let environment = Arc::clone(&self.environment);
        Ok((fault, Link { environment, network, outages, deadline: context.deadline }))
    }

    /// Makes a call under `fault`. `call` makes it once; `later` makes it in a task of its own.
    async fn carry_out<R, C: Future<Output = Result<R, TransportError>>>(
        &self,
        fault: &Fault,
        link: &mut Link,
        call: impl Fn() -> C,
        later: impl FnOnce(Arc<T>) -> BoxFuture<'static, ()>,
    ) -> Result<R, TransportError> {
        let environment = &*self.environment;
        let pause = async |delay: Duration| {
            if !delay.is_zero() {
                environment.sleep(delay).await;
            }
        };
        let faulty = async {
            pause(fault.request_delay).await;
            let result = match &fault.effect {
                Effect::Deliver | Effect::CutFeed(_) | Effect::TruncateFeed(_) => call().await,
                Effect::DropRequest => Err(TransportError::Unreachable("the request was dropped".to_owned())),
                Effect::Answer(problem) => Err(TransportError::problem(problem.clone())),
                Effect::DropResponse => {
                    drop(call().await);
                    Err(TransportError::Unreachable("the response was dropped".to_owned()))
                }
                Effect::ActAndAnswer(problem) => {
                    drop(call().await);
                    Err(TransportError::problem(problem.clone()))
                }
                Effect::Garble => {
                    drop(call().await);
                    Err(TransportError::Malformed("the response was garbled".to_owned()))
                }
                Effect::AnswerTooLong => {
                    drop(call().await);
                    Err(TransportError::TooLong { limit: 128 << 20 })
                }
                Effect::Hang => std::future::pending().await,
                Effect::Duplicate => {
                    drop(call().await);
                    call().await
                }
                Effect::Late(delay) => {
                    let (arrival, call) = (environment.sleep(*delay), later(Arc::clone(&self.inner)));
                    environment.spawn(Box::pin(async move {
                        arrival.await;
                        call.await;
                    }));
                    Err(TransportError::Unreachable("the request is late".to_owned()))
                }
            };
            pause(fault.response_delay).await;
            result
        };
        link.hold(faulty).await
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Every change of the state is a single step, so a panic elsewhere leaves it whole.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What only reads has no effect when it arrives late.
fn never<T>(_: Arc<T>) -> BoxFuture<'static, ()> {
    Box::pin(std::future::ready(()))
}

fn offline() -> TransportError {
    TransportError::Unreachable("offline".to_owned())
}

#[derive(Clone, Copy)]
struct Network {
    online: bool,
    /// How often it went away: an outage that is over before anyone looks is one all the same.
    outages: u64,
}

/// A connection: what is awaited through it breaks when the network goes or the deadline passes.
struct Link {
    environment: SharedEnvironment,
    network: watch::Receiver<Network>,
    /// Outages before the connection was made.
    outages: u64,
    deadline: Option<Duration>,
}

impl Link {
    async fn hold<R>(&mut self, call: impl Future<Output = Result<R, TransportError>>) -> Result<R, TransportError> {
        use futures_util::future::{Either, select};
        let outages = self.outages;
        if self.network.borrow().outages != outages {
            return Err(offline());
        }
        let network = &mut self.network;
        let broken = async {
            // An error says that the transport is gone, and with it whoever could take the network away.
            if network.wait_for(|network| network.outages != outages).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let held = async {
            match select(std::pin::pin!(call), std::pin::pin!(broken)).await {
                Either::Left((result, _)) => result,
                Either::Right(((), _)) => Err(offline()),
            }
        };
        match self.deadline {
            None => held.await,
            Some(deadline) => timeout(&*self.environment, deadline, held)
                .await
                .unwrap_or_else(|| Err(TransportError::Unreachable("the deadline passed".to_owned()))),
        }
    }
}

/// A reader that breaks with its link, or after a number of items.
struct CutReader<R: ?Sized> {
    link: Link,
    /// Items until it breaks, or ends in peace.
    left: Option<usize>,
    breaks: bool,
    inner: Box<R>,
}

impl<R: ?Sized> CutReader<R> {
    fn new(link: Link, fault: &Fault, inner: Box<R>) -> Self {
        let left = match fault.effect {
            Effect::CutFeed(items) | Effect::TruncateFeed(items) => Some(items),
            _ => None,
        };
        Self { link, left, breaks: matches!(fault.effect, Effect::CutFeed(_)), inner }
    }

    /// Whether there is another item; an error where the reader breaks.
    fn count_down(&mut self) -> Result<bool, TransportError> {
        match &mut self.left {
            Some(0) if self.breaks => Err(TransportError::Unreachable("the feed was cut".to_owned())),
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None => Ok(true),
        }
    }
}

impl ChangeReader for CutReader<dyn ChangeReader> {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Chunk>, TransportError>> {
        Box::pin(async move {
            if !self.count_down()? {
                return Ok(None);
            }
            self.link.hold(self.inner.next()).await
        })
    }
}

impl LiveReader for CutReader<dyn LiveReader> {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<LiveHint>, TransportError>> {
        Box::pin(async move {
            if !self.count_down()? {
                return Ok(None);
            }
            self.link.hold(self.inner.next()).await
        })
    }
}

/// Counts a push as under way for as long as it lives, cancelled pushes included.
struct InFlight<'a> {
    state: &'a Mutex<State>,
    scope: &'a Scope,
}

impl<'a> InFlight<'a> {
    fn new(state: &'a Mutex<State>, scope: &'a Scope) -> Self {
        let mut guard = lock(state);
        let (now, most) = guard.pushes.entry(scope.clone()).or_default();
        *now += 1;
        *most = (*most).max(*now);
        drop(guard);
        Self { state, scope }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if let Some((now, _)) = lock(self.state).pushes.get_mut(self.scope) {
            *now -= 1;
        }
    }
}

impl<T: Transport> Transport for ScriptedTransport<T> {
    fn push<'a>(
        &'a self,
        context: &'a RequestContext,
        request: &'a PushRequest,
    ) -> BoxFuture<'a, Result<PushResponse, TransportError>> {
        Box::pin(async move {
            let (fault, mut link) = self.begin(context, Asked::Push(request.clone()))?;
            let _in_flight = InFlight::new(&self.state, &request.scope);
            let (late_context, late_request) = (context.clone(), request.clone());
            let later = |inner: Arc<T>| -> BoxFuture<'static, ()> {
                Box::pin(async move { drop(inner.push(&late_context, &late_request).await) })
            };
            self.carry_out(&fault, &mut link, || self.inner.push(context, request), later).await
        })
    }

    fn changes<'a>(
        &'a self,
        context: &'a RequestContext,
        request: &'a ChangesRequest,
    ) -> BoxFuture<'a, Result<Box<dyn ChangeReader>, TransportError>> {
        Box::pin(async move {
            let (fault, mut link) = self.begin(context, Asked::Changes(request.clone()))?;
            let inner = self.carry_out(&fault, &mut link, || self.inner.changes(context, request), never).await?;
            let reader: Box<dyn ChangeReader> = Box::new(CutReader::new(link, &fault, inner));
            Ok(reader)
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
            let asked = Asked::Request { method, path: path.to_owned(), body: body.clone() };
            let (fault, mut link) = self.begin(context, asked)?;
            let (late_context, late_path, late_body) = (context.clone(), path.to_owned(), body.clone());
            let later = move |inner: Arc<T>| -> BoxFuture<'static, ()> {
                Box::pin(async move { drop(inner.request(&late_context, method, &late_path, late_body).await) })
            };
            let call = || self.inner.request(context, method, path, body.clone());
            self.carry_out(&fault, &mut link, call, later).await
        })
    }

    fn live<'a>(
        &'a self,
        context: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Option<Box<dyn LiveReader>>, TransportError>> {
        Box::pin(async move {
            let (fault, mut link) = self.begin(context, Asked::Live)?;
            let inner = self.carry_out(&fault, &mut link, || self.inner.live(context), never).await?;
            // The deadline is for opening the channel; hints may take as long as they like.
            link.deadline = None;
            Ok(inner.map(|inner| Box::new(CutReader::new(link, &fault, inner)) as Box<dyn LiveReader>))
        })
    }
}

impl<T: fmt::Debug> fmt::Debug for ScriptedTransport<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = lock(&self.state).calls.len();
        f.debug_struct("ScriptedTransport")
            .field("inner", &self.inner)
            .field("online", &self.network.borrow().online)
            .field("calls", &calls)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
