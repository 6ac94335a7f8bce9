//! The server as an app meets it: SQLite, real HTTP on a loopback port, Tokio, the system's clock.

use std::path::Path;
use std::sync::Arc;

use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use unisono::environment::SharedEnvironment;
use unisono::{Environment, TokioEnvironment};
use unisono_server::auth::{Grant, JwtOptions, JwtSecret, JwtVerifier, mint};
use unisono_server::net::{ServeOptions, serve};
use unisono_server::{AppOptions, ServiceOptions, SqliteOptions, SqliteStore, SyncService, app};

const SECRET: &str = "a-secret-of-at-least-32-bytes-for-tests";

/// A server that runs in this process.
#[derive(Debug)]
pub struct HttpServer {
    address: String,
    service: SyncService,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<bool>,
}

impl HttpServer {
    /// Starts it on the database in `folder`, at `address` (`127.0.0.1:0` for any free port).
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(folder: &Path, address: &str) -> Self {
        let environment: SharedEnvironment = Arc::new(TokioEnvironment);
        let store = SqliteStore::open(folder.join("server.db"), &SqliteOptions::default()).expect("the database opens");
        let service = SyncService::open(store, environment.clone(), ServiceOptions::default());
        let service = service.await.expect("the service opens");
        let verifier = JwtVerifier::new(&secret(), JwtOptions::default(), environment.clone());
        let router = app(service.clone(), AppOptions::new(Arc::new(verifier), environment));
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("a bound port").to_string();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(serve(listener, router, ServeOptions::default(), async {
            let _ = stopped.await;
        }));
        Self { address, service, stop, serving }
    }

    /// Where it listens, without the scheme.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Stops it; returns where it listened, to start it there again.
    ///
    /// # Panics
    /// If it does not end in order.
    pub async fn stop(self) -> String {
        drop(self.stop);
        assert!(self.serving.await.expect("the server does not panic"), "all requests ended in time");
        self.service.close().await;
        self.address
    }
}

/// A token for `user`, a member of the workspace `band`, that ends in so many seconds, or ended before.
///
/// # Panics
/// If it cannot be minted.
#[must_use]
pub fn token(user: &str, seconds: i64) -> SecretString {
    let now = i64::try_from(TokioEnvironment.now_ms() / 1000).expect("the clock is set");
    let at = |offset: i64| u64::try_from(now + offset).expect("the clock is set");
    let grant = Grant {
        sub: user.into(),
        workspaces: vec!["band".into()],
        iat: at(-1000),
        exp: at(seconds),
        ..Grant::default()
    };
    mint(&secret(), &grant).expect("a token")
}

fn secret() -> JwtSecret {
    JwtSecret::new(SECRET).expect("long enough")
}
