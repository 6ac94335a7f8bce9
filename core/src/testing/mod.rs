//! Tools for tests: conformance suites and doubles. Exported under the `testing` feature.

mod environment;
mod random;
mod script;
mod transport;

pub use environment::{TEST_EPOCH_MS, TestEnvironment};
pub use random::SeededRandom;
pub use script::{Asked, Call, CallKind, Fault};
pub use transport::ScriptedTransport;
