//! The replica: how the core lays records, events and positions out in a [`crate::storage::Storage`].

pub mod keys;
pub mod rows;
