//! `unisono-server` as a child process: the real program, on a free port of this machine.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use unisono::Environment;
use unisono::model::value::hex;

/// How long the server may take to say where it listens.
const START_LIMIT: Duration = Duration::from_secs(30);
const ANNOUNCEMENT: &str = "listening on ";
const SECRET_VARIABLE: &str = "UNISONO_JWT_SECRET";
const LOG: &str = "server.log";

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The program is not where it was looked for.
    #[error("{0} is missing; build it with `cargo build -p unisono-server`")]
    Missing(PathBuf),
    /// Something failed on this machine.
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
    /// The program ended, or said something else than where it listens.
    #[error("unisono-server did not start: {0}")]
    Refused(String),
}

/// A server that can be started, and started again on the same data.
#[derive(Clone)]
pub struct Server {
    program: PathBuf,
    data: PathBuf,
    secret: String,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("program", &self.program).field("data", &self.data).finish_non_exhaustive()
    }
}

/// A server that runs. Dropping it kills it.
#[derive(Debug)]
pub struct RunningServer {
    child: Child,
    url: String,
    /// Held open: whoever prints to a closed pipe is ended by it.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    /// A server whose database is to lie in the folder `data`, with a secret of its own.
    ///
    /// # Errors
    /// `Missing` if there is no such program.
    pub fn new(program: impl Into<PathBuf>, data: impl Into<PathBuf>) -> Result<Self, ServerError> {
        let program = program.into();
        if !program.is_file() {
            return Err(ServerError::Missing(program));
        }
        let mut secret = [0; 32];
        unisono::TokioEnvironment.random(&mut secret);
        Ok(Self { program, data: data.into(), secret: hex(&secret) })
    }

    /// Where cargo puts the server when it has built it as it has built this program.
    ///
    /// # Errors
    /// `Io` if this program does not know where it is itself.
    pub fn beside_this_program() -> Result<PathBuf, ServerError> {
        let me = std::env::current_exe().map_err(|error| ServerError::Io("this program's own path".into(), error))?;
        let name = format!("unisono-server{}", std::env::consts::EXE_SUFFIX);
        Ok(me.parent().unwrap_or(Path::new(".")).join(name))
    }

    /// Starts it at `listen` (`127.0.0.1:0` for any free port) and waits until it listens.
    ///
    /// # Errors
    /// `Refused`, with the end of its log; `Io`.
    pub async fn start(&self, listen: &str) -> Result<RunningServer, ServerError> {
        let io = |doing: &str| {
            let doing = format!("{doing} {}", self.data.display());
            move |error| ServerError::Io(doing, error)
        };
        std::fs::create_dir_all(&self.data).map_err(io("making"))?;
        let path = self.data.join(LOG);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&path).map_err(io("writing a log in"))?;
        let mut child = Command::new(&self.program)
            .args(["serve", "--listen", listen, "--data"])
            .arg(&self.data)
            .env(SECRET_VARIABLE, &self.secret)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| ServerError::Io(format!("starting {}", self.program.display()), error))?;
        let stdout = child.stdout.take().ok_or_else(|| ServerError::Refused("it has no standard output".into()))?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        let read = timeout(START_LIMIT, stdout.read_line(&mut line)).await;
        match (read, line.trim().strip_prefix(ANNOUNCEMENT)) {
            (Ok(Ok(_)), Some(url)) => Ok(RunningServer { child, url: url.to_owned(), _stdout: stdout }),
            (Ok(Ok(0)), _) => Err(ServerError::Refused(end_of(&path))),
            (Ok(Ok(_)), _) => Err(ServerError::Refused(format!("it says {:?}", line.trim()))),
            (Ok(Err(error)), _) => Err(ServerError::Io("reading what the server says".into(), error)),
            (Err(_), _) => Err(ServerError::Refused(format!("it said nothing for {START_LIMIT:?}"))),
        }
    }

    /// A token for `account`, minted by the server's own command.
    ///
    /// # Errors
    /// `Refused`, with what the command says; `Io`.
    pub async fn token(&self, account: &str) -> Result<String, ServerError> {
        let output = Command::new(&self.program)
            .args(["token", "--user", account])
            .env(SECRET_VARIABLE, &self.secret)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| ServerError::Io(format!("starting {}", self.program.display()), error))?;
        if !output.status.success() {
            return Err(ServerError::Refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl RunningServer {
    /// Where it listens: `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same without the scheme, to listen at again.
    #[must_use]
    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap_or(&self.url)
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills it, as a crash would, and waits until it is gone.
    ///
    /// # Errors
    /// `Io` if the system does not let it be killed.
    pub async fn kill(mut self) -> Result<(), ServerError> {
        self.child.kill().await.map_err(|error| ServerError::Io("killing the server".into(), error))
    }
}

/// The last lines of a log: why a server that has ended did so.
fn end_of(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    match lines.len() {
        0 => "it ended without a word".into(),
        count => lines[count.saturating_sub(5)..].join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_advice_and_the_secret_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let error = Server::new(folder.path().join("nothing"), folder.path()).unwrap_err();
        assert!(error.to_string().contains("cargo build -p unisono-server"), "{error}");
        let program = std::env::current_exe().unwrap();
        let server = Server::new(program, folder.path()).unwrap();
        assert!(!format!("{server:?}").contains(&server.secret));
    }
}
