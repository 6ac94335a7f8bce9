//! Serving and stopping over real sockets.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;

const REQUEST: &[u8] = b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n";

struct Server {
    address: std::net::SocketAddr,
    /// Told when a request has reached its handler.
    reached: Arc<Notify>,
    /// Lets one handler answer.
    answer: Arc<Notify>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<bool>,
}

async fn start(options: ServeOptions) -> Server {
    let (reached, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&reached), Arc::clone(&answer));
    let handler = async move || {
        tell.notify_one();
        wait.notified().await;
        "answered"
    };
    let router = Router::new().route("/slow", get(handler));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(serve(listener, router, options, async {
        let _ = stopped.await;
    }));
    Server { address, reached, answer, stop, serving }
}

async fn call(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    stream
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut text = String::new();
    // A reset after the last byte is as good an end as any.
    let _ = stream.read_to_string(&mut text).await;
    text
}

#[tokio::test]
async fn a_running_request_is_answered_after_the_stop_and_nothing_new_is_accepted() {
    let server = start(ServeOptions::default()).await;
    let idle = TcpStream::connect(server.address).await.unwrap();
    let running = call(&server).await;
    server.reached.notified().await;
    server.stop.send(()).unwrap();
    // The idle connection ends; the stop has arrived then.
    assert_eq!(read_to_end(idle).await, "");
    assert!(TcpStream::connect(server.address).await.is_err());
    server.answer.notify_one();
    assert!(read_to_end(running).await.ends_with("answered"));
    assert!(server.serving.await.unwrap());
}

#[tokio::test]
async fn a_request_that_does_not_end_is_dropped_after_the_drain_time() {
    let server = start(ServeOptions { drain_time: Duration::from_millis(20), ..ServeOptions::default() }).await;
    let running = call(&server).await;
    server.reached.notified().await;
    server.stop.send(()).unwrap();
    assert!(!server.serving.await.unwrap());
    drop(running);
}

#[tokio::test]
async fn a_head_that_never_ends_loses_its_connection() {
    let server = start(ServeOptions { head_time: Duration::from_millis(20), ..ServeOptions::default() }).await;
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(&REQUEST[..20]).await.unwrap();
    let answer = read_to_end(slow).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    server.stop.send(()).unwrap();
    assert!(server.serving.await.unwrap());
}

/// Connections without a network, on which time is the runtime's: it jumps to the next deadline when nothing else is left to do.
struct Pipes {
    server: serve::Server,
    tell: watch::Sender<bool>,
    stop: watch::Receiver<bool>,
}

impl Pipes {
    fn new(options: ServeOptions) -> Self {
        let router = Router::new().route("/healthz", get(|| async { "ok" })).layer(axum::middleware::map_request(
            |request: axum::extract::Request| async move {
                let crowded = request.extensions().get::<Crowded>().is_some();
                if crowded { Err("crowded") } else { Ok(request) }
            },
        ));
        let (tell, stop) = watch::channel(false);
        Self { server: serve::Server::new(router, options), tell, stop }
    }

    /// A connection of `peer` on which `first` is sent.
    async fn connect(&self, peer: &str, first: &[u8]) -> (DuplexStream, JoinHandle<()>) {
        let (mut client, server) = duplex(64 << 10);
        client.write_all(first).await.unwrap();
        let address = std::net::SocketAddr::new(peer.parse().unwrap(), 1);
        (client, tokio::spawn(self.server.attend(server, address, self.stop.clone())))
    }
}

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn all_of(mut client: DuplexStream) -> String {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

/// What is on its way until the server waits again.
async fn some_of(client: &mut DuplexStream) -> String {
    let mut bytes = [0; 4096];
    let count = client.read(&mut bytes).await.unwrap();
    String::from_utf8(bytes[..count].to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_silence_ends_at_its_deadline() {
    let options = ServeOptions::default();
    let pipes = Pipes::new(options.clone());
    let moment = Duration::from_secs(1);
    for (first, least, most) in [
        (&b""[..], options.first_byte_time, options.first_byte_time),
        (&b"PRI * HT"[..], options.head_time, options.head_time),
        (&PREFACE[..PREFACE.len() - 9], Duration::ZERO, Duration::ZERO),
        (PREFACE, Duration::ZERO, Duration::ZERO),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 a TLS greeting", Duration::ZERO, options.head_time),
        (b"GET / HTTP/1.1\r\n", options.head_time, options.head_time),
        (HEALTH, options.idle_time, options.idle_time),
        (&[HEALTH, &HEALTH[..10]].concat(), options.head_time, options.idle_time),
    ] {
        let begin = Instant::now();
        let (client, serving) = pipes.connect("192.0.2.1", first).await;
        let text = all_of(client).await;
        serving.await.unwrap();
        let took = begin.elapsed();
        assert!(took >= least && took <= most + moment, "{first:?}: {took:?}");
        assert!(!text.starts_with("PRI"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn http_2_is_not_spoken() {
    let pipes = Pipes::new(ServeOptions::default());
    let (client, serving) = pipes.connect("192.0.2.1", PREFACE).await;
    let mut bytes = Vec::new();
    let mut client = client;
    client.read_to_end(&mut bytes).await.unwrap();
    // A frame of SETTINGS is how a server begins in HTTP/2.
    assert!(bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 4"), "{bytes:?}");
    serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn i13_a_full_server_tells_that_it_lives_and_refuses_all_else() {
    let options =
        ServeOptions { max_connections: 2, max_connections_per_address: 1, reserve: 2, ..ServeOptions::default() };
    let pipes = Pipes::new(options);
    let silent = [pipes.connect("192.0.2.1", b"").await, pipes.connect("192.0.2.2", b"").await];
    for peer in ["192.0.2.1", "192.0.2.3"] {
        // Silent ones beyond the bound do not keep a newer one from the reserve.
        let mut beyond = Vec::new();
        for _ in 0..5 {
            beyond.push(pipes.connect(peer, b"").await);
        }
        let (client, _serving) = pipes.connect(peer, HEALTH).await;
        let answer = all_of(client).await;
        assert!(answer.ends_with("crowded") && answer.contains("connection: close"), "{answer}");
    }
    drop(silent);
    tokio::task::yield_now().await;
    let (mut client, _serving) = pipes.connect("192.0.2.1", HEALTH).await;
    assert!(some_of(&mut client).await.ends_with("ok"));
}

#[tokio::test(start_paused = true)]
async fn the_stop_closes_at_once_what_nothing_is_asked_on() {
    let pipes = Pipes::new(ServeOptions::default());
    let mut kept = Vec::new();
    for first in [&b""[..], b"PRI * HT", b"GET / HTTP/1.1\r\n", HEALTH] {
        let (mut client, serving) = pipes.connect("192.0.2.1", first).await;
        if first == HEALTH {
            assert!(some_of(&mut client).await.ends_with("ok"));
        }
        tokio::task::yield_now().await;
        kept.push((client, serving));
    }
    let begin = Instant::now();
    pipes.tell.send(true).unwrap();
    for (client, serving) in kept {
        serving.await.unwrap();
        assert_eq!(all_of(client).await, "");
    }
    assert_eq!(begin.elapsed(), Duration::ZERO);
}
