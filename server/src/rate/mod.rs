//! How many requests an account, and an address, may make. [`RateOptions`] says it; `layer::limit` holds requests to it.

mod address;
mod layer;
mod limiter;
mod options;

pub(crate) use layer::{RATE_LIMIT, RATE_LIMIT_POLICY, limit, take};
pub(crate) use limiter::{Key, Limiter};
pub use options::{Proxies, RateOptions};
