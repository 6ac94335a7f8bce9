//! Serving and stopping over real sockets.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

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
async fn i13_connections_beyond_the_bound_wait_for_a_place() {
    let server = start(ServeOptions { max_connections: 1, ..ServeOptions::default() }).await;
    let first = call(&server).await;
    server.reached.notified().await;
    let second = call(&server).await;
    server.answer.notify_one();
    // The first connection stays open: only its end makes room.
    drop(first);
    server.reached.notified().await;
    server.answer.notify_one();
    server.stop.send(()).unwrap();
    assert!(read_to_end(second).await.ends_with("answered"));
    assert!(server.serving.await.unwrap());
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
