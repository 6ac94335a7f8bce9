//! The server of a simulation: what the simulator must be able to do to one, and to ask of one.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use super::access::Access;
use crate::merge::LoggedWrite;
use crate::model::{Revision, Scope};
use crate::platform::BoxFuture;
use crate::protocol::Cursor;
use crate::testing::TestEnvironment;
use crate::transport::Transport;

/// Opens fresh servers, one for each run.
pub trait Hosting: Debug + Send + Sync {
    /// A server with nothing on it.
    ///
    /// # Errors
    /// What kept it from starting, in words.
    fn open(&self, site: Site) -> BoxFuture<'_, Result<Arc<dyn Host>, String>>;
}

/// Where a server runs.
#[derive(Clone, Debug)]
pub struct Site {
    /// The server's own clock, randomness and tasks. Its tasks die with its process.
    pub environment: TestEnvironment,
    /// Tells whose a token is.
    pub access: Access,
    /// The age from which on the operator's backups hold everything.
    pub backup_age: Duration,
}

/// A copy of a server's data, as an operator would keep one.
#[derive(Clone, Debug)]
pub struct Backup(pub Arc<[u8]>);

/// A server that can be simulated.
///
/// # Contract
/// - Whatever [`transport`](Self::transport) has acknowledged is durable: it survives [`restart`](Self::restart).
/// - After [`restart`](Self::restart) or [`restore`](Self::restore) nothing of the former process runs on: its tasks are
///   dropped, its transports act no more on the data. (The simulator breaks the calls that were under way.)
/// - The server reads time and randomness from its [`Site`] only, and keeps no order that a hash map decides: the same
///   calls give the same answers.
pub trait Host: Debug + Send + Sync {
    /// The way to the process that runs now.
    fn transport(&self) -> Arc<dyn Transport>;

    /// Kills the process and starts it again on what it had committed.
    fn restart(&self) -> BoxFuture<'_, Result<(), String>>;

    /// A copy of what is committed now.
    fn backup(&self) -> BoxFuture<'_, Result<Backup, String>>;

    /// Kills the process, puts `backup` in the place of the data, and starts it again. Nobody tells the clients.
    fn restore<'a>(&'a self, backup: &'a Backup) -> BoxFuture<'a, Result<(), String>>;

    /// Drops every tombstone now, as if its horizon had passed. Returns how many there were.
    fn collect_garbage(&self) -> BoxFuture<'_, Result<u64, String>>;

    /// The log of a scope after a revision, in order: every write that took effect, with its effective stamps.
    fn log<'a>(
        &'a self,
        account: &'a str,
        scope: &'a Scope,
        after: Revision,
    ) -> BoxFuture<'a, Result<Vec<LoggedWrite>, String>>;

    /// The best that a member of a scope can make up who knows all but the server's secrets: a cursor of the present `epoch` that
    /// proves a commit which the server never made. `None` if its cursors prove nothing.
    fn forged_cursor(&self, account: &str, scope: &Scope, epoch: &str, revision: Revision) -> Option<Cursor>;

    /// What a replay of a scope's log finds different from what is stored, in words; nothing, if all is well.
    fn replay_differences<'a>(
        &'a self,
        account: &'a str,
        scope: &'a Scope,
    ) -> BoxFuture<'a, Result<Vec<String>, String>>;
}
