//! `unisono-server serve`.

use std::io::{self, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use clap::{Args, ValueEnum};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use unisono::TokioEnvironment;
use unisono::environment::SharedEnvironment;
use unisono_server::auth::{AuthConfig, JwtOptions, JwtVerifier};
use unisono_server::net::{ServeOptions, serve};
use unisono_server::rate::{Proxies, RateOptions};
use unisono_server::store::{SqliteOptions, SqliteStore};
use unisono_server::sync::{ServiceOptions, SyncService};
use unisono_server::telemetry::{LogFormat, init_logging};
use unisono_server::{AppOptions, Apps, apps};

use super::data::DATABASE;
use super::secret::{Development, SecretArgs};
use super::{CliError, duration};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  unisono-server serve --dev --data ./data
  unisono-server serve --data /var/lib/unisono --jwt-secret-file jwt-secret --cors-origin https://app.example.com
  UNISONO_JWT_SECRET=$(cat jwt-secret) unisono-server serve --data ./data --listen 127.0.0.1:0 --log-format json

When it is ready it prints one line to standard output, `listening on http://ADDRESS:PORT`; the log goes to standard
error. SIGINT or SIGTERM ends it: running requests are answered, then the database is closed. A second signal ends
it at once. It speaks plain HTTP: put a proxy that does TLS in front of it.")]
pub(super) struct ServeArgs {
    /// Directory for the database; made if there is none.
    #[arg(long, value_name = "DIR", env = "UNISONO_DATA")]
    data: PathBuf,

    /// Address and port; port 0 takes any free port.
    #[arg(long, value_name = "ADDRESS", env = "UNISONO_LISTEN", default_value = "127.0.0.1:4747")]
    listen: String,

    #[command(flatten)]
    secret: SecretArgs,

    /// File that says whose tokens are accepted (JSON): several issuers, secrets that are being replaced, published keys (JWKS), and
    /// tokens that were revoked. Instead of a secret and the --jwt options.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["jwt_secret_file", "dev", "jwt_issuer", "jwt_audience"])]
    auth_config: Option<PathBuf>,

    /// The issuer (`iss`) that tokens must have.
    #[arg(long, value_name = "NAME")]
    jwt_issuer: Option<String>,

    /// The audience (`aud`) that tokens must be meant for. Without it, tokens that name one are refused.
    #[arg(long, value_name = "NAME")]
    jwt_audience: Option<String>,

    /// Difference of clocks between this server and the issuer that is forgiven, in seconds (at most 60).
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(..=60))]
    jwt_leeway: u64,

    /// What an acknowledged write survives.
    #[arg(long, value_enum, default_value_t)]
    durability: Durability,

    /// How long deletes are remembered: 90d, 12h. A device that stays away longer starts afresh, keeping its own writes.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = duration::parse)]
    horizon: Duration,

    /// The age of your oldest backup that you might restore: devices keep what they wrote within it, and offer it again
    /// after a restore.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = duration::parse)]
    backup_age: Duration,

    /// How long audit rows are kept; for ever if absent.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    audit_retention: Option<Duration>,

    /// An origin whose pages may call the server, exactly as browsers send it; may be given again.
    #[arg(long = "cors-origin", value_name = "ORIGIN", value_parser = origin)]
    origins: Vec<HeaderValue>,

    /// Requests of one account that are answered within a minute; 0 for no limit.
    #[arg(long, value_name = "NUMBER", default_value_t = 6_000)]
    rate_account: u32,

    /// Requests from one address (of IPv6: one /56 network) that are answered within a minute; 0 for no limit.
    #[arg(long, value_name = "NUMBER", default_value_t = 12_000)]
    rate_address: u32,

    /// A proxy (an address, or a network such as 10.0.0.0/8) whose X-Forwarded-For says for whom it asks; may be given again. Without it
    /// all that comes through a proxy has the proxy's address.
    #[arg(long = "trusted-proxy", value_name = "ADDRESS")]
    proxies: Vec<String>,

    /// Address and port of a listener for operators' machines only: `/healthz`, `/readyz` and `/metrics`. The latter two are then gone
    /// from the public one.
    #[arg(long, value_name = "ADDRESS", env = "UNISONO_ADMIN_LISTEN")]
    admin_listen: Option<String>,

    /// Connections at one time; more are refused with `503 unavailable`.
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_connections: u32,

    /// Connections of one address (of IPv6, of one /56 network) at one time. A proxy in front is one address.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_connections_per_address: u32,

    /// How log lines look.
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,

    /// What is logged: a level (error, warn, info, debug) or a filter such as `unisono_server=debug,warn`.
    #[arg(long, value_name = "FILTER", env = "UNISONO_LOG", default_value = "info")]
    log: String,
}

impl ServeArgs {
    fn rates(&self) -> Result<RateOptions, CliError> {
        let mut proxies = Proxies::default();
        self.proxies.iter().try_for_each(|proxy| proxies.add(proxy)).map_err(CliError::Setup)?;
        let [account, address] = [self.rate_account, self.rate_address].map(NonZeroU32::new);
        Ok(RateOptions { account, address, proxies })
    }

    /// The first line of the log: which version runs, with which settings. No secret is among them, nor where one lies.
    fn tell_settings(&self) {
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            data = %self.data.display(),
            listen = %self.listen,
            development = self.secret.dev,
            auth_config = self.auth_config.as_ref().map(|file| tracing::field::display(file.display())),
            issuer = self.jwt_issuer,
            audience = self.jwt_audience,
            durability = ?self.durability,
            horizon_s = self.horizon.as_secs(),
            backup_age_s = self.backup_age.as_secs(),
            audit_retention_s = self.audit_retention.map(|time| time.as_secs()),
            origins = ?self.origins,
            max_connections = self.max_connections,
            rate_account = self.rate_account,
            rate_address = self.rate_address,
            proxies = ?self.proxies,
            "starting"
        );
    }
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Durability {
    /// A power loss.
    #[default]
    Full,
    /// A crash of the process; a power loss may take the last moments.
    Normal,
}

/// An origin is scheme, host and port, nothing else: that is what browsers send, and it is compared byte by byte.
fn origin(text: &str) -> Result<HeaderValue, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let plain = host.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte));
    if host.is_empty() || !plain {
        return Err("write scheme, host and port as browsers send them, such as https://app.example.com or \
                    http://localhost:5173, without a path or a slash at the end; there is no wildcard"
            .to_owned());
    }
    HeaderValue::from_str(text).map_err(|error| error.to_string())
}

pub(super) fn run(args: ServeArgs) -> Result<(), CliError> {
    init_logging(args.log_format, &args.log).map_err(CliError::Setup)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Setup(format!("the runtime cannot be started: {error}")))?;
    runtime.block_on(start(args))
}

async fn start(args: ServeArgs) -> Result<(), CliError> {
    let environment: SharedEnvironment = Arc::new(TokioEnvironment);
    // From the cheapest to what holds a lock: a wrong option or a taken port leaves no trace.
    let rates = args.rates()?;
    let verifier = match &args.auth_config {
        Some(file) => Some(AuthConfig::load(file, &environment)?),
        None => None,
    };
    if verifier.is_none() && !args.secret.dev {
        args.secret.load(None, Development::Expect)?;
    }
    let listener = listen(&args.listen, args.secret.dev).await?;
    let admin = match &args.admin_listen {
        Some(address) => Some(listen(address, args.secret.dev).await?),
        None => None,
    };
    make_directory(&args.data).map_err(|error| CliError::DataDirectory(args.data.clone(), error))?;
    let verifier = match verifier {
        Some(verifier) => verifier,
        None => {
            let secret = args.secret.load(Some(&args.data), Development::Make(&*environment))?;
            let jwt = JwtOptions {
                issuer: args.jwt_issuer.clone(),
                audience: args.jwt_audience.clone(),
                leeway: args.jwt_leeway,
            };
            JwtVerifier::new(&secret, jwt, Arc::clone(&environment))
        }
    };
    args.tell_settings();
    let mut signals = Signals::install().map_err(|error| CliError::Setup(format!("signals: {error}")))?;
    let service = open(&args, &environment).await?;

    let options =
        AppOptions { origins: args.origins, rates, ..AppOptions::new(Arc::new(verifier), Arc::clone(&environment)) };
    let options = AppOptions { private_operations: admin.is_some(), ..options };
    let network = ServeOptions {
        max_connections: args.max_connections as usize,
        max_connections_per_address: args.max_connections_per_address as usize,
        ..ServeOptions::default()
    };
    // Ends with the runtime; what it has begun, closing the service completes.
    let maintained = service.clone();
    environment.spawn(Box::pin(async move { maintained.maintain().await }));
    let trailed = service.clone();
    environment.spawn(Box::pin(async move { trailed.keep_trail().await }));
    let Apps { public, admin: for_operators } = apps(service.clone(), options);
    if let Some(listener) = admin {
        tracing::info!(address = ?listener.local_addr().ok(), "serving operators apart");
        // To the end of the process: how the server is can be asked also while it stops.
        let serving = serve(listener, for_operators, ServeOptions::default(), std::future::pending());
        environment.spawn(Box::pin(async move {
            serving.await;
        }));
    }
    announce(&listener)?;

    let (stop, stopped) = oneshot::channel::<()>();
    let serving = serve(listener, public, network, async {
        // Its sender is dropped, never used.
        let _ = stopped.await;
    });
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        biased;
        () = signals.next() => {}
        _ = &mut serving => {}
    }
    tracing::info!("stopping: running requests are answered first");
    drop(stop);
    let drained = tokio::select! {
        biased;
        drained = &mut serving => drained,
        () = signals.next() => false,
    };
    if !drained {
        tracing::warn!("requests that were still running have been dropped");
    }
    service.close().await;
    tracing::info!("stopped");
    Ok(())
}

async fn listen(address: &str, dev: bool) -> Result<TcpListener, CliError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => CliError::AddressInUse(address.to_owned()),
        _ => CliError::Listen(address.to_owned(), error),
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let is_loopback = listener.local_addr().map_err(failed)?.ip().is_loopback();
    if dev && !is_loopback {
        return Err(CliError::DevelopmentInPublic(address.to_owned()));
    }
    if !is_loopback {
        tracing::warn!("listening beyond this machine in plain HTTP: a proxy that does TLS belongs in front");
    }
    Ok(listener)
}

/// A directory for this user only.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

async fn open(args: &ServeArgs, environment: &SharedEnvironment) -> Result<SyncService, CliError> {
    let sqlite = SqliteOptions { survive_power_loss: args.durability == Durability::Full };
    let options = ServiceOptions {
        tombstone_horizon: args.horizon,
        backup_age: args.backup_age,
        audit_retention: args.audit_retention,
    };
    let failed = |error| CliError::open(args.data.clone(), error);
    let store = SqliteStore::open(args.data.join(DATABASE), &sqlite).map_err(failed)?;
    SyncService::open(store, Arc::clone(environment), options).await.map_err(failed)
}

/// The line that whoever started the server waits for.
fn announce(listener: &TcpListener) -> Result<(), CliError> {
    let print = || -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "listening on http://{}", listener.local_addr()?)?;
        out.flush()
    };
    print().map_err(|error| CliError::Setup(format!("the address cannot be printed: {error}")))
}

/// The signals that end the server.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    fn install() -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_browsers_send() {
        for text in ["https://app.example.com", "http://localhost:5173", "http://127.0.0.1:1", "http://[::1]:80"] {
            assert_eq!(origin(text).unwrap(), text);
        }
        for text in [
            "*",
            "null",
            "",
            "https://",
            "app.example.com",
            "https://a.example/",
            "https://a/b",
            "https://A.example",
            "https://*.example.com",
            "https://a b",
        ] {
            assert!(origin(text).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_taken_port_and_a_foreign_address_are_told_apart() {
        let taken = listen("127.0.0.1:0", true).await.unwrap();
        let address = taken.local_addr().unwrap().to_string();
        assert!(matches!(listen(&address, false).await, Err(CliError::AddressInUse(_))));
        assert!(matches!(listen("no address", false).await, Err(CliError::Listen(..))));
        assert!(matches!(listen("0.0.0.0:0", true).await, Err(CliError::DevelopmentInPublic(_))));
    }
}
