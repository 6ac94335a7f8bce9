//! `unisono-server token`.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use secrecy::ExposeSecret;
use unisono::limits::MAX_ID_BYTES;
use unisono::model::Scope;
use unisono::model::value::hex;
use unisono::{Environment, TokioEnvironment};
use unisono_server::auth::{Grant, mint_with};

use super::secret::{Development, SecretArgs};
use super::{CliError, duration};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  unisono-server token --dev --data ./data --user alice
  unisono-server token --jwt-secret-file jwt-secret --user alice --workspace band --workspace label --ttl 12h

Only the token goes to standard output:
  TOKEN=$(unisono-server token --dev --data ./data --user alice)
  curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:4747/api/v1/sync/status")]
pub(super) struct TokenArgs {
    /// The account.
    #[arg(long, value_name = "NAME")]
    user: String,

    /// A workspace that the account is a member of; may be given again.
    #[arg(long = "workspace", value_name = "ID")]
    workspaces: Vec<String>,

    /// How long the token is good: 12h, 15m, 30s, 30d. Short ones need no list of revoked tokens.
    #[arg(long, value_name = "TIME", default_value = "12h", value_parser = duration::parse)]
    ttl: Duration,

    /// The data directory; with --dev only.
    #[arg(long, value_name = "DIR", env = "UNISONO_DATA")]
    data: Option<PathBuf>,

    #[command(flatten)]
    secret: SecretArgs,

    /// The secret's name (`kid`), where the server's --auth-config has several.
    #[arg(long, value_name = "NAME")]
    kid: Option<String>,

    /// The issuer (`iss`) to name, as the server's --jwt-issuer.
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,

    /// The audience (`aud`) to name, as the server's --jwt-audience.
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
}

pub(super) fn run(args: &TokenArgs) -> Result<(), CliError> {
    let bad_user = args.user.is_empty() || args.user.len() > MAX_ID_BYTES || args.user.chars().any(char::is_control);
    if bad_user || args.workspaces.iter().any(|workspace| Scope::workspace(workspace).is_err()) {
        return Err(CliError::Grant);
    }
    let secret = args.secret.load(args.data.as_deref(), Development::Expect)?;
    let now = TokioEnvironment.now_ms() / 1000;
    let mut id = [0; 16];
    TokioEnvironment.random(&mut id);
    let grant = Grant {
        sub: args.user.clone(),
        workspaces: args.workspaces.clone(),
        iat: now,
        exp: now + args.ttl.as_secs(),
        iss: args.issuer.clone(),
        aud: args.audience.clone(),
        jti: Some(hex(&id)),
    };
    let token = mint_with(&secret, args.kid.as_deref(), &grant).map_err(|error| CliError::Sign(error.to_string()))?;
    writeln!(std::io::stdout(), "{}", token.expose_secret())
        .map_err(|error| CliError::Setup(format!("the token cannot be printed: {error}")))
}
