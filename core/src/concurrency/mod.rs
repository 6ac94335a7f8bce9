//! The concurrency kernels: the few places where tasks meet.
//!
//! Each is one rule about who goes when, and nothing about what is done then. They are made of the primitives of
//! [`platform::sync`](crate::platform::sync) only, so that the model checks in `tests/loom` run this very code through every
//! interleaving of threads and with callers that go away at every await. The rest of the core shares nothing by other means
//! than these, plain locks around plain data, and broadcast channels.

mod bell;
mod closing;
#[cfg(any(feature = "sqlite", feature = "testing", test))]
mod door;
mod rounds;
mod single_flight;
mod turns;

pub use bell::Bell;
pub use closing::Closing;
#[cfg(any(feature = "sqlite", feature = "testing", test))]
pub use door::{Door, Room, Shut};
pub use rounds::{Crew, Rounds};
pub use single_flight::{Numbered, SingleFlight};
pub use turns::Turns;
