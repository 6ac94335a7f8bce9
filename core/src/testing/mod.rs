//! Tools for tests: conformance suites and doubles. Exported under the `testing` feature.

mod environment;
mod random;

pub use environment::{TEST_EPOCH_MS, TestEnvironment};
pub use random::SeededRandom;
