//! What the apps of a simulation do: features, each with its generator and its checks in one file.
//!
//! To add one, implement [`Feature`] and hand it to the simulation; the built-in ones are
//! in this folder.

use std::fmt::Debug;

mod counters;
mod dependencies;
mod fields;
pub(super) mod glass;
mod groups;
pub(super) mod inbox;
mod large;
mod limits;
mod nests;
mod place;
pub(super) mod policies;
pub(super) mod queries;
mod refused;
mod sets;
mod watches;

pub use counters::Counters;
pub use dependencies::Dependencies;
pub use fields::Fields;
pub use glass::Glass;
pub use groups::Groups;
pub use inbox::{Inbox, Note};
pub use large::Large;
pub use limits::Limits;
pub use nests::Nests;
use place::Place;
pub use policies::Policies;
pub use queries::Queries;
pub use refused::Refused;
pub use sets::Sets;
pub use watches::{Followed, Watches};

use super::checks::{Ending, Violation};
use super::config::Config;
use super::ledger::{Ledger, Planned, ReplicaId};
use crate::Client;
use crate::error::Result;
use crate::model::{EventId, Value};
use crate::platform::{BoxFuture, MaybeSend};
use crate::testing::SeededRandom;

/// A kind of use: how to write, and what must be true of what was written.
///
/// # Contract
/// - [`draw`](Self::draw) depends on nothing but its arguments: steps are drawn before the run.
/// - [`attempt`](Self::attempt) says what it will write before it writes it, so that a call which never returns can be
///   accounted for. One call makes all of its writes or none.
/// - Checks read; they write nothing and let no time pass.
pub trait Feature: Debug + Send + Sync {
    /// Its name in actions and fixtures.
    fn name(&self) -> &'static str;

    /// In how many of 100 seeds it takes part.
    fn share(&self) -> u64 {
        75
    }

    /// Whether the client may make more events of a call's writes, or fewer, all on the record of the first.
    fn splits(&self) -> bool {
        false
    }

    /// A step, as the feature itself will understand it.
    fn draw(&self, random: &mut SeededRandom, config: &Config) -> Value;

    /// What has to be there before anything goes wrong: made once for each account, on its first device.
    fn prepare(&self, app: &App) -> Vec<Attempt> {
        let _ = app;
        Vec::new()
    }

    /// The step as a call; `None` if it means nothing in this place.
    fn attempt(&self, app: &App, step: &Value) -> Option<Attempt>;

    /// The code with which the step must be refused, if it is a bad one.
    fn expects(&self, step: &Value) -> Option<&'static str> {
        let _ = step;
        None
    }

    /// Whether a step may be refused with this code, because of what the app sees at the moment.
    fn may_fail(&self, code: &str) -> bool {
        matches!(code, "not_found" | "already_exists" | "type_mismatch" | "pointer_into_array")
    }

    /// Checks what the writer must see right after its call has returned (I6).
    fn check_written<'a>(&'a self, app: &'a App, step: &'a Value) -> BoxFuture<'a, Result<(), Violation>> {
        let _ = (app, step);
        Box::pin(async { Ok(()) })
    }

    /// Checks what a device must see at any moment.
    fn check_device<'a>(&'a self, app: &'a App, ledger: &'a Ledger) -> BoxFuture<'a, Result<(), Violation>> {
        let _ = (app, ledger);
        Box::pin(async { Ok(()) })
    }

    /// Checks what is left at the end, when everybody is in unison.
    ///
    /// # Errors
    /// What is not as it must be.
    fn check_end(&self, end: &Ending<'_>) -> Result<(), Violation> {
        let _ = end;
        Ok(())
    }
}

/// An app on a device, as a feature meets it.
#[derive(Clone, Debug)]
pub struct App {
    /// The client.
    pub client: Client,
    /// Whose replica, on which device.
    pub replica: ReplicaId,
    /// Goes into every value that is written: tells account, device and call, and is never used twice.
    pub mark: String,
    /// Events that this replica accepted lately, newest first.
    pub recent: Vec<(EventId, Planned)>,
    /// The conflict notes that are open as the app sees it, before a step.
    pub notes: Vec<Note>,
    /// What the app follows while its process runs.
    pub followed: Followed,
    /// A write has taken effect that the client was not told of yet: its records are newer than its `status`.
    pub committing: bool,
}

/// A call that is about to be made.
pub struct Attempt {
    /// Its writes.
    pub writes: Vec<Planned>,
    /// Makes it, and returns the ids of its events, in the order of `writes`; none for a write that changes nothing.
    pub call: BoxFuture<'static, Result<Vec<Option<EventId>>>>,
}

impl Attempt {
    /// A call that writes nothing, whatever becomes of it.
    #[must_use]
    pub fn refused(call: impl Future<Output = Result<()>> + MaybeSend + 'static) -> Self {
        Self { writes: Vec::new(), call: Box::pin(async move { call.await.map(|()| Vec::new()) }) }
    }
}

impl Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt").field("writes", &self.writes).finish_non_exhaustive()
    }
}

/// The features that the simulator brings along.
#[must_use]
pub fn built_in() -> Vec<Box<dyn Feature>> {
    vec![
        Box::new(Fields),
        Box::new(Counters),
        Box::new(Groups),
        Box::new(Sets),
        Box::new(Dependencies),
        Box::new(Queries),
        Box::new(Inbox),
        Box::new(Refused),
        Box::new(Limits),
        Box::new(Watches),
        Box::new(Policies),
        Box::new(Nests),
        Box::new(Glass),
        Box::new(Large),
    ]
}
