//! Hybrid logical clocks: stamps that respect causality and stay near real time.
//!
//! After Kulkarni et al., "Logical Physical Clocks and Consistent Snapshots in Globally Distributed Databases" (2014),
//! with the counter's overflow carried into the milliseconds.

mod hlc;
mod stamp;

pub(crate) use hlc::OFFSET_NOISE_MS;
pub use hlc::{ClockState, HybridClock};
pub use stamp::Stamp;
