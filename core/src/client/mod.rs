//! The client: a replica, its queue and its engine, as the app uses them.

mod builder;
mod collection;
mod conflicts;
mod edit;
mod handle;
mod identity;
mod observe;
mod reading;
#[cfg(test)]
mod tests;
mod transaction;
mod watch;

pub use builder::ClientBuilder;
pub use collection::{Collection, RecordState, WriteOptions};
pub use conflicts::Conflict;
pub use edit::Edit;
pub use handle::{Client, Workspace};
pub use identity::SignedOut;
pub use observe::Events;
pub use reading::Reading;
pub use transaction::Transaction;
pub use watch::{Watch, WatchUpdate};
