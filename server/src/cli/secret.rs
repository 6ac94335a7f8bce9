//! Where a command takes the secret from. Never from an argument: those are there for every user of the machine to see.

use std::path::{Path, PathBuf};

use clap::Args;
use unisono::Environment;
use unisono_server::auth::JwtSecret;

use super::CliError;

/// The environment variable that may hold the secret.
const VARIABLE: &str = "UNISONO_JWT_SECRET";

#[derive(Debug, Args)]
pub(super) struct SecretArgs {
    /// File with the secret that signs tokens (HS256): its text as it is, at least 32 bytes. The environment variable
    /// UNISONO_JWT_SECRET may hold it instead.
    #[arg(long, value_name = "FILE", conflicts_with = "dev")]
    jwt_secret_file: Option<PathBuf>,

    /// Development: use a secret that `serve --dev` makes and keeps in the data directory, for this machine only.
    #[arg(long, requires = "data")]
    pub(super) dev: bool,
}

/// What becomes of a missing development secret.
pub(super) enum Development<'a> {
    /// It is made.
    Make(&'a dyn Environment),
    /// It must be there.
    Expect,
}

impl SecretArgs {
    /// The one secret that is meant.
    pub(super) fn load(&self, data: Option<&Path>, development: Development<'_>) -> Result<JwtSecret, CliError> {
        let variable = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
        self.choose(variable.as_deref(), data, development)
    }

    fn choose(
        &self,
        variable: Option<&str>,
        data: Option<&Path>,
        development: Development<'_>,
    ) -> Result<JwtSecret, CliError> {
        let secret = match (variable, &self.jwt_secret_file, data.filter(|_| self.dev)) {
            (Some(_), Some(_), _) => return Err(CliError::TwoSecrets("--jwt-secret-file")),
            (Some(_), None, Some(_)) => return Err(CliError::TwoSecrets("--dev")),
            (Some(text), None, None) => JwtSecret::new(text),
            (None, Some(file), _) => JwtSecret::read(file),
            (None, None, Some(data)) => match development {
                Development::Make(environment) => JwtSecret::development_or_new(data, environment),
                Development::Expect => JwtSecret::development(data),
            },
            (None, None, None) => return Err(CliError::NoSecret),
        };
        Ok(secret?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "0123456789abcdef0123456789abcdef";

    fn choose(variable: Option<&str>, file: Option<&Path>, data: Option<&Path>) -> Result<JwtSecret, String> {
        let args = SecretArgs { jwt_secret_file: file.map(Path::to_owned), dev: data.is_some() };
        args.choose(variable, data, Development::Expect).map_err(|error| error.to_string())
    }

    #[test]
    fn exactly_one_source_is_taken() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("secret");
        std::fs::write(&file, TEXT).unwrap();
        assert!(choose(Some(TEXT), None, None).is_ok());
        assert!(choose(None, Some(&file), None).is_ok());
        assert!(choose(Some(TEXT), Some(&file), None).unwrap_err().contains("unset"));
        assert!(choose(Some(TEXT), None, Some(data.path())).unwrap_err().contains("unset"));
    }

    #[test]
    fn without_one_the_error_says_how_to_make_one() {
        let data = tempfile::tempdir().unwrap();
        let error = choose(None, None, None).unwrap_err();
        assert!(error.contains("openssl rand -hex 32") && error.contains("--dev"), "{error}");
        assert!(choose(None, None, Some(data.path())).unwrap_err().contains("serve --dev"));
        assert!(choose(Some("short"), None, None).unwrap_err().contains("at least 32"));
    }
}
