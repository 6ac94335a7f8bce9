//! Tools for tests: conformance suites and doubles. Exported under the `testing` feature.

mod block_on;
mod faulty_storage;
pub mod storage_model;
pub mod storage_suite;

pub use block_on::block_on;
pub use faulty_storage::FaultyStorage;
