//! The network: connections within bounds, and an end that loses no answer.

mod serve;
mod stalling;

pub use serve::{ServeOptions, serve};
