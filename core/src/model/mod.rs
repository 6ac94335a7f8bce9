//! The terms of the design as types: values, names, events, operations, receipts, changes.
//!
//! Everything here is plain data with one JSON form, shared by client, server and bindings. Parsing is strict about what a
//! value may be and lenient about unknown fields.

mod change;
mod digest;
mod event;
mod names;
mod parse;
mod patch;
pub(crate) mod pointer;
mod receipt;
mod seen;
pub mod value;

pub use change::{Author, Change, ChangeKind};
pub use digest::{DigestSum, bucket_of, digest_of, digest_of_canonical};
pub(crate) use event::admit_ops;
pub use event::{EventContentError, Mode, Op, OpKind, Policy, SyncAction, SyncEvent, TextComponent, TextEdit};
pub use names::{CollectionName, DeviceId, EventId, GroupId, RecordId, RecordKey, Scope};
pub use parse::parse_value;
pub(crate) use patch::without_nulls;
pub use patch::{leaves_of, ops_between, ops_of_patch};
pub use pointer::Pointer;
pub use receipt::{Receipt, ReceiptStatus};
pub(crate) use seen::Sight;
pub use seen::{Basis, Covered, Seen};
pub use value::Value;

/// A per-scope number that the server gives each applied event, in commit order. 0 means "none".
pub type Revision = u64;
