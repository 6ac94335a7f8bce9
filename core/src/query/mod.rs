//! Queries on the replica's records: filters, order, indexes, pages, and what changed between two answers.
//!
//! A query is answered from local rows alone, through an index where one fits. What it answers does not depend on the
//! index, on the backend or on the platform: values have one order (see [`compare`]), the record id breaks every tie, and
//! each record is checked against the filter itself before it is returned.

mod build;
mod collect;
mod encoding;
mod execute;
mod filter;
mod filter_json;
mod index;
mod options;
mod order;
mod plan;
#[expect(clippy::module_inception, reason = "a query is what this module is about")]
mod query;
mod watch;

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod tests;

pub use build::{
    BuiltIndexes, PendingBuilds, build_indexes, build_step, built_indexes, pending_builds, ready_indexes, register,
};
pub use execute::Reader;
pub(crate) use execute::row_state;
pub use filter::{Filter, and, contains, eq, exists, ge, gt, is_in, le, lt, ne, not, or, prefix};
pub use index::{IndexChange, IndexDefinition, IndexSet};
pub use order::compare;
pub use plan::Plan;
pub use query::{Continuation, Query, QueryPage, Record, RecordState};
pub use watch::{Change, Watched, diff, patch};
