//! Tokens that were taken back before their time: a file of `jti` and `sid` claims, read again when it changes.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use unisono::environment::SharedEnvironment;

/// How often the file is looked at.
const PAUSE: Duration = Duration::from_secs(5);
/// Largest file, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// The list. One claim a line: `jti <id>` takes one token back, `sid <id>` all of a login session; empty lines and those that begin
/// with `#` say nothing. A file that cannot be read later leaves the last list in force.
#[derive(Debug)]
pub struct Revocations {
    path: PathBuf,
    environment: SharedEnvironment,
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    looked: Duration,
    version: Option<(SystemTime, u64)>,
    claims: HashSet<(Kind, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Token,
    Session,
}

impl Revocations {
    /// Reads the list.
    ///
    /// # Errors
    /// If it cannot be read, or a line is none of a list.
    pub fn open(path: impl Into<PathBuf>, environment: SharedEnvironment) -> io::Result<Self> {
        let path = path.into();
        let version = version(&path)?;
        let claims = read(&path)?;
        let list = List { looked: environment.monotonic(), version: Some(version), claims };
        Ok(Self { path, environment, list: Mutex::new(list) })
    }

    /// Whether a token with these claims was taken back.
    pub(super) fn hold(&self, jti: Option<&str>, sid: Option<&str>) -> bool {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        self.look(&mut list);
        let holds = |kind, id: Option<&str>| id.is_some_and(|id| list.claims.contains(&(kind, id.to_owned())));
        holds(Kind::Token, jti) || holds(Kind::Session, sid)
    }

    /// Reads the file again if it has changed; looking costs one `stat` every few seconds.
    fn look(&self, list: &mut List) {
        let now = self.environment.monotonic();
        if now.saturating_sub(list.looked) < PAUSE {
            return;
        }
        list.looked = now;
        let read = version(&self.path).and_then(|version| {
            if list.version == Some(version) {
                Ok(None)
            } else {
                read(&self.path).map(|claims| Some((version, claims)))
            }
        });
        match read {
            Ok(Some((version, claims))) => (list.version, list.claims) = (Some(version), claims),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, path = %self.path.display(), "the list of revoked tokens cannot be read: the last one holds");
            }
        }
    }
}

fn version(path: &Path) -> io::Result<(SystemTime, u64)> {
    let metadata = fs::metadata(path)?;
    if metadata.len() > MAX_BYTES {
        return Err(io::Error::other("it has more than 64 MiB"));
    }
    Ok((metadata.modified()?, metadata.len()))
}

fn read(path: &Path) -> io::Result<HashSet<(Kind, String)>> {
    let text = fs::read_to_string(path)?;
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(at, line)| match line.split_once(char::is_whitespace) {
            Some(("jti", id)) => Ok((Kind::Token, id.trim().to_owned())),
            Some(("sid", id)) => Ok((Kind::Session, id.trim().to_owned())),
            _ => Err(io::Error::other(format!("line {} is neither `jti <id>` nor `sid <id>`", at + 1))),
        })
        .collect()
}
