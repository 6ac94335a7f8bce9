//! The client: a replica, its queue and its engine, as the app uses them.

mod builder;
mod client;
mod collection;
mod edit;
mod identity;
mod observe;
mod reading;
mod transaction;

pub use builder::ClientBuilder;
pub use client::{Client, Workspace};
pub use collection::{Collection, RecordState, WriteOptions};
pub use edit::Edit;
pub use identity::SignedOut;
pub use observe::Events;
pub use reading::Reading;
pub use transaction::Transaction;
