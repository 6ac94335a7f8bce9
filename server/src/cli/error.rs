//! What ends a command, with what to do about it.

use std::io;
use std::path::PathBuf;

use unisono_server::auth::{AuthConfigError, SecretError};
use unisono_server::store::StoreError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Nothing signs tokens.
    #[error(
        "there is no JWT secret.\n\
         To make one:  openssl rand -hex 32 > jwt-secret\n\
         To use it:    --jwt-secret-file jwt-secret, or UNISONO_JWT_SECRET in the environment\n\
         To try things out on this machine only: --dev"
    )]
    NoSecret,
    /// Two secrets, and no telling which is meant.
    #[error("UNISONO_JWT_SECRET is set although {0} is given; unset the one or leave out the other")]
    TwoSecrets(&'static str),
    /// The secret is of no use.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The authentication configuration is of no use.
    #[error("{0}; see \"Authentication\" in docs/operations.md")]
    AuthConfig(#[from] AuthConfigError),
    /// A development secret for strangers.
    #[error(
        "--dev is for this machine only, and {0} can be reached by others; listen on 127.0.0.1, or use a real secret"
    )]
    DevelopmentInPublic(String),
    /// The address is taken.
    #[error("{0} is in use; stop the other server or choose another --listen address (port 0 takes any free port)")]
    AddressInUse(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {0} ({1}); --listen takes an address of this machine and a port, such as 127.0.0.1:4747")]
    Listen(String, io::Error),
    /// There is nowhere to keep data.
    #[error("the data directory {0} cannot be used ({1}); create it for this user or choose another --data")]
    DataDirectory(PathBuf, io::Error),
    /// Another server has the data.
    #[error("another server has the data in {0} open; stop it first, or choose another --data")]
    DataLocked(PathBuf),
    /// The data come from a newer server.
    #[error("the data in {0} were written by a newer version ({1}); run that version or a later one")]
    DataNewer(PathBuf, StoreError),
    /// The data cannot be opened.
    #[error("the data in {0} cannot be opened: {1}; check free space and that this user may read and write there")]
    Data(PathBuf, StoreError),
    /// The data are damaged.
    #[error(
        "the data in {0} are damaged: {1}\n\
         To learn more:  unisono-server verify --data {0}\n\
         To go on:       unisono-server repair --data {0}, or restore a backup (docs/operations.md, \"Damage\")"
    )]
    DataDamaged(PathBuf, StoreError),
    /// The account's name cannot be one.
    #[error("a token's --user has 1 to 256 bytes without control characters, and each --workspace 1 to 256 bytes")]
    Grant,
    /// The token could not be signed.
    #[error("the token could not be signed: {0}")]
    Sign(String),
    /// No copy was made.
    #[error("{0} was not written ({1}); the database is as it was")]
    Backup(PathBuf, StoreError),
    /// Nothing was replaced.
    #[error("{0} cannot be restored ({1}); the database is as it was")]
    Restore(PathBuf, StoreError),
    /// Damage was found.
    #[error("{0} findings; see \"Damage\" in docs/operations.md: `unisono-server repair`, or `restore` a backup")]
    Damaged(usize),
    /// Nothing was replaced.
    #[error(
        "{0} scopes cannot be made whole from what is left, and nothing was replaced: restore a backup, or accept the loss \
         with --accept-loss"
    )]
    Irreparable(u64),
    /// The audit trail was tampered with, or damaged.
    #[error("the audit trail is broken: {0}")]
    AuditBroken(String),
    /// There is no such scope.
    #[error("{0} has nothing on this server; `unisono-server accounts list` prints who has")]
    NoAccount(String),
    /// The output's file cannot be made.
    #[error("{0} cannot be written ({1}); it must not exist yet")]
    Output(PathBuf, std::io::Error),
    /// Something is wrong with the installation.
    #[error("{0} of these need attention")]
    Unwell(usize),
    /// The process cannot be set up.
    #[error("{0}")]
    Setup(String),
}

impl CliError {
    /// What a store's failure to open means to an operator.
    pub fn open(data: PathBuf, error: StoreError) -> Self {
        match error {
            StoreError::AlreadyOpen(_) => Self::DataLocked(data),
            StoreError::NewerSchema { .. } => Self::DataNewer(data, error),
            StoreError::Corrupt(_) => Self::DataDamaged(data, error),
            _ => Self::Data(data, error),
        }
    }
}
