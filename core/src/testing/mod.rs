//! Tools for tests: conformance suites and doubles. Exported under the `testing` feature.

mod block_on;
mod environment;
mod faulty_storage;
mod random;
mod script;
pub mod sim;
pub mod storage_model;
pub mod storage_suite;
mod transport;

pub use block_on::block_on;
pub use environment::{TEST_EPOCH_MS, TestEnvironment};
pub use faulty_storage::FaultyStorage;
pub use random::SeededRandom;
pub use script::{Asked, Call, CallKind, Fault};
pub use transport::ScriptedTransport;
