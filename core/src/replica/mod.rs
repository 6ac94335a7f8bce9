//! The replica: how the core lays records, events and positions out in a [`crate::storage::Storage`], and how it writes.

mod commit;
mod notice;
mod reader;
mod txn;
mod writer;

pub mod keys;
pub mod lineage;
pub mod rows;

pub use notice::{Notice, Notices};
pub use reader::Replica;
pub use txn::Txn;
pub use writer::Writer;

pub(crate) use txn::{decode, encode};
