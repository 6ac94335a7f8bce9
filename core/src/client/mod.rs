//! The client: a replica, its queue and its engine, as the app uses them.

mod builder;
mod collection;
mod conflicts;
mod edit;
mod handle;
mod identity;
mod lost_value;
mod observe;
mod reading;
mod target;
#[cfg(test)]
mod tests;
mod transaction;
mod watch;

pub use builder::ClientBuilder;
pub use collection::{Collection, WriteOptions};
pub use conflicts::Conflict;
pub use edit::Edit;
pub use handle::{Client, Workspace};
pub use identity::SignedOut;
pub use observe::Events;
pub use reading::Reading;
pub use target::Target;
pub use transaction::Transaction;
pub use watch::{Watch, WatchUpdate};

pub use crate::query::RecordState;
