//! The replica: how the core lays records, events and positions out in a [`crate::storage::Storage`], and how it writes.

mod notice;
mod reader;
mod round;
mod txn;

pub mod keys;
pub mod lineage;
pub mod rows;

pub use notice::{Notice, Notices};
pub use reader::Replica;
pub use round::Writer;
pub use txn::Txn;

pub(crate) use txn::{decode, encode};
