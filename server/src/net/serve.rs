//! Accepts connections and serves a router on them until it is told to stop.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_service::Service;

use super::admission::{Admission, Bounds, Crowded, Place};
use super::timed::{Deadlines, Timed};
use super::traffic::Traffic;

/// How long accepting pauses after an error that will not go away by itself (no descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Longest head of a request, in bytes: a token of 8 KiB and a cursor of 1 KiB fit several times.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// How long a connection of the reserve may keep the server waiting.
const RESERVE_TIME: Duration = Duration::from_secs(2);

/// Bounds of the network side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeOptions {
    /// Connections that are served at one time.
    pub max_connections: usize,
    /// Of these, connections of one address (of IPv6, of one /56 network). A proxy in front is one address.
    pub max_connections_per_address: usize,
    /// Connections beyond these, on which `/healthz` is answered and all else refused with `503 unavailable`. Of more the oldest is
    /// closed.
    pub reserve: usize,
    /// How long a new connection may say nothing.
    pub first_byte_time: Duration,
    /// How long a request's head may take from its first byte.
    pub head_time: Duration,
    /// How long a connection may stay idle between requests. Longer than clients and proxies keep idle connections, so that none is
    /// closed under a request.
    pub idle_time: Duration,
    /// How long a client may refuse to take bytes.
    pub stall_time: Duration,
    /// How long running requests have to end after the stop. Connections without one are closed at once.
    pub drain_time: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_connections_per_address: 1_000,
            reserve: 64,
            first_byte_time: Duration::from_secs(10),
            head_time: Duration::from_secs(15),
            idle_time: Duration::from_secs(75),
            stall_time: Duration::from_secs(60),
            drain_time: Duration::from_secs(20),
        }
    }
}

impl ServeOptions {
    fn deadlines(&self) -> Deadlines {
        let Self { first_byte_time, head_time, idle_time, stall_time, .. } = *self;
        Deadlines { first_byte: first_byte_time, head: head_time, idle: idle_time, stall: stall_time }
    }

    /// Of the reserve: enough for whoever knows what to ask.
    fn short_deadlines(&self) -> Deadlines {
        let Deadlines { first_byte, head, idle, stall } = self.deadlines();
        let short = |time: Duration| time.min(RESERVE_TIME);
        Deadlines { first_byte: short(first_byte), head: short(head), idle: short(idle), stall: short(stall) }
    }
}

/// Serves `router` on `listener`, in HTTP/1.1, until `stop` completes; then accepts nothing more, closes the connections on which
/// nothing is asked, lets running requests end, and returns. Answers whether all of them ended within `drain_time`; those that did
/// not are dropped. Requests carry their peer's address ([`ConnectInfo`]).
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: ServeOptions,
    stop: impl Future<Output = ()>,
) -> bool {
    let drain_time = options.drain_time;
    let server = Server::new(router, options);
    let mut connections = JoinSet::new();
    let (tell, told) = watch::channel(false);
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, address) = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener) => accepted,
        };
        connections.spawn(server.attend(stream, address, told.clone()));
    }
    drop(listener);
    // Nobody listens if there is no connection.
    let _ = tell.send(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    tokio::time::timeout(drain_time, ended).await.is_ok()
}

/// What connections are served with.
#[derive(Debug)]
pub(super) struct Server {
    router: Router,
    options: ServeOptions,
    admission: Arc<Admission>,
    http: http1::Builder,
}

impl Server {
    pub(super) fn new(router: Router, options: ServeOptions) -> Self {
        // One protocol, spoken from the first byte on: no sniffing, which has no timer, and no HTTP/2 (docs/adr/0034).
        let mut http = http1::Builder::new();
        // Heads have their own deadlines; this one stands behind them.
        let behind = options.idle_time + options.head_time;
        http.timer(TokioTimer::new()).header_read_timeout(behind).max_buf_size(MAX_HEAD_BYTES);
        let bounds = Bounds {
            total: options.max_connections,
            per_peer: options.max_connections_per_address,
            reserve: options.reserve,
        };
        Self { router, options, admission: Admission::new(bounds), http }
    }

    /// Gives a connection its place, at once; serves it to its end.
    pub(super) fn attend<S>(
        &self,
        stream: S,
        address: SocketAddr,
        stop: watch::Receiver<bool>,
    ) -> impl Future<Output = ()> + Send + 'static
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let place = self.admission.admit(address.ip());
        let (crowded, deadlines) = match place {
            Place::Served(_) => (None, self.options.deadlines()),
            Place::Reserve(..) => (Some(Crowded), self.options.short_deadlines()),
        };
        let traffic = Arc::<Traffic>::default();
        let stream = TokioIo::new(Timed::new(stream, deadlines, Arc::clone(&traffic)));
        let (router, about) = (self.router.clone(), Arc::clone(&traffic));
        let service = service_fn(move |mut request: Request<Incoming>| {
            let busy = about.begin();
            request.extensions_mut().insert(ConnectInfo(address));
            if let Some(crowded) = crowded {
                request.extensions_mut().insert(crowded);
            }
            let answer = router.clone().call(request.map(Body::new));
            async move {
                let mut response = answer.await?;
                if crowded.is_some() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(busy.until_end_of(response))
            }
        });
        let connection = self.http.serve_connection(stream, service);
        async move {
            let connection = std::pin::pin!(connection);
            match place {
                Place::Served(_place) => run(connection, &traffic, stop).await,
                Place::Reserve(_place, end) => tokio::select! {
                    biased;
                    _ = end => {}
                    () = run(connection, &traffic, stop) => {}
                },
            }
        }
    }
}

/// Runs a connection to its end. After the stop it ends at once if nothing is asked on it, else with the answer.
async fn run<I, S>(
    mut connection: Pin<&mut http1::Connection<I, S>>,
    traffic: &Traffic,
    mut stop: watch::Receiver<bool>,
) where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let outcome = tokio::select! {
        biased;
        outcome = &mut connection => outcome,
        () = stopped(&mut stop) => {
            if traffic.is_quiet() {
                return;
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        // Clients that went away, mostly.
        tracing::debug!(%error, "a connection ended");
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A server that is gone has stopped.
    drop(stop.wait_for(|stop| *stop).await);
}

/// The next connection.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY could not be set");
                }
                return (stream, address);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Errors that concern the connection that was to be accepted, not the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
