//! Queries on the replica's records: filters, order, indexes, pages, and what changed between two answers.
//!
//! A query is answered from local rows alone, through an index where one fits. What it answers does not depend on the
//! index, on the backend or on the platform: values have one order (see [`compare`]), the record id breaks every tie, and
//! each record is checked against the filter itself before it is returned.

mod encoding;
mod filter;
mod filter_json;
mod order;

#[cfg(test)]
mod arbitrary;

pub use filter::{Filter, and, contains, eq, exists, ge, gt, is_in, le, lt, ne, not, or, prefix};
pub use order::compare;
