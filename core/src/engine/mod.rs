//! The engine: moves the queue to the server and the server's changes into the replica.
//!
//! One sync at a time per scope; scopes do not wait for one another. All state that matters is in the replica, so a sync may
//! be dropped at any await and taken up again.

mod backoff;
mod clock;
mod cloud_sync;
mod credentials;
mod digest;
mod doctor;
mod forget;
mod fork;
mod generation;
mod interrupt;
mod lost_values;
mod membership;
mod part;
mod pull;
mod push;
mod request;
mod runtime;
mod session;
mod status;
mod subject;
mod worker;

pub(crate) use clock::scopes as known_scopes;
pub(crate) use fork::take_new_device;
pub(crate) use generation::begin as begin_generation;

pub use backoff::Backoff;
pub use cloud_sync::{NetworkKind, Withheld};
pub use credentials::{Credentials, TokenFn, TokenReason, Tokens};
pub use doctor::{Finding, Severity};
pub use runtime::{Engine, EngineOptions};
pub use session::SyncReport;
pub use status::{Progress, ScopeStatus, Status, SyncState};
pub use worker::Cause;

pub(crate) use subject::subject_of;
