//! The file that says whose tokens are accepted.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use unisono::environment::SharedEnvironment;

use super::{FetchKeys, Issuer, JwtOptions, JwtSecret, JwtVerifier, KeyFile, KeyUrl, Revocations, SecretError};

/// The file's content, in JSON. Paths in it are relative to its directory.
///
/// ```json
/// {
///   "leeway": 30,
///   "revoked": "revoked.txt",
///   "shared_subjects": [],
///   "issuers": [
///     {"issuer": "https://id.example.com", "audience": "sync", "jwks": "https://id.example.com/keys.json"},
///     {"issuer": "backend", "secrets": [{"kid": "2027-01", "file": "new-secret"}, {"kid": "2026-07", "file": "old-secret"}]}
///   ]
/// }
/// ```
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// Who may sign tokens.
    issuers: Vec<IssuerConfig>,
    /// Difference of clocks that is forgiven, in seconds.
    #[serde(default = "default_leeway")]
    leeway: u64,
    /// The list of revoked tokens.
    revoked: Option<PathBuf>,
    /// The issuers whose `sub` and `workspaces` mean the same accounts and workspaces. Those of all others are theirs alone, where
    /// there are several issuers.
    #[serde(default)]
    shared_subjects: Vec<String>,
}

/// One issuer: with `secrets`, or with `jwks`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerConfig {
    issuer: String,
    audience: Option<String>,
    #[serde(default)]
    secrets: Vec<SecretConfig>,
    jwks: Option<KeySet>,
}

/// Where a key set is: an https address, or a file. Its `Debug` form is redacted, as an address may hold credentials.
#[derive(Deserialize)]
struct KeySet(String);

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySet(..)")
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretConfig {
    kid: Option<String>,
    file: PathBuf,
}

fn default_leeway() -> u64 {
    30
}

/// Why the file cannot be used. The messages say where and what; they hold no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthConfigError {
    /// A file cannot be read.
    #[error("{0} cannot be read: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// It is not of its form.
    #[error("{0} is no authentication configuration: {1}")]
    Malformed(PathBuf, String),
    /// A secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl AuthConfig {
    /// Reads the file, and all that it points to but the keys of issuers.
    ///
    /// # Errors
    /// If something of it cannot be read or does not fit together.
    pub fn load(path: &Path, environment: &SharedEnvironment) -> Result<JwtVerifier, AuthConfigError> {
        let text = std::fs::read(path).map_err(|error| AuthConfigError::Unreadable(path.to_owned(), error))?;
        let malformed = |words: String| AuthConfigError::Malformed(path.to_owned(), words);
        let config: Self = serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let mut names: Vec<_> = config.issuers.iter().map(|issuer| issuer.issuer.clone()).collect();
        names.sort_unstable();
        if names.is_empty() || names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(malformed("`issuers` has none, or one twice".to_owned()));
        }
        if names.len() > 1 && names.iter().any(|name| name.contains('#')) {
            return Err(malformed("an issuer's name has a `#`, which divides it from its subjects".to_owned()));
        }
        if let Some(stranger) = config.shared_subjects.iter().find(|name| !names.contains(name)) {
            return Err(malformed(format!("`shared_subjects` names {stranger:?}, which is no issuer")));
        }
        let leeway = config.leeway;
        let open = |issuer: IssuerConfig| {
            let shares_subjects = config.shared_subjects.contains(&issuer.issuer);
            let issuer = issuer.open(leeway, directory, environment, malformed)?;
            Ok::<_, AuthConfigError>(if shares_subjects { issuer.sharing_subjects() } else { issuer })
        };
        let issuers = config.issuers.into_iter().map(open);
        let issuers = issuers.collect::<Result<_, _>>()?;
        let open = |revoked: PathBuf| {
            let revoked = directory.join(revoked);
            let list = Revocations::open(&revoked, Arc::clone(environment));
            list.map_err(|error| AuthConfigError::Unreadable(revoked, error))
        };
        let revocations = config.revoked.map(open).transpose()?;
        Ok(JwtVerifier::of_issuers(issuers, revocations, Arc::clone(environment)))
    }
}

impl IssuerConfig {
    fn open(
        self,
        leeway: u64,
        directory: &Path,
        environment: &SharedEnvironment,
        malformed: impl Fn(String) -> AuthConfigError,
    ) -> Result<Issuer, AuthConfigError> {
        let name = self.issuer.clone();
        let options = JwtOptions { issuer: Some(self.issuer), audience: self.audience, leeway };
        match (self.jwks, self.secrets.is_empty()) {
            (Some(KeySet(jwks)), true) => {
                let keys: Arc<dyn FetchKeys> = if jwks.contains("://") {
                    Arc::new(KeyUrl::new(&jwks).map_err(malformed)?)
                } else {
                    Arc::new(KeyFile(directory.join(jwks)))
                };
                Ok(Issuer::with_published(options, keys, Arc::clone(environment)))
            }
            (None, false) => {
                let read = |secret: &SecretConfig| {
                    JwtSecret::read(&directory.join(&secret.file)).map(|read| (secret.kid.clone(), read))
                };
                let secrets = self.secrets.iter().map(read).collect::<Result<Vec<_>, _>>()?;
                Ok(Issuer::with_secrets(options, &secrets))
            }
            _ => Err(malformed(format!("issuer {name:?} needs either `secrets` or `jwks`"))),
        }
    }
}
