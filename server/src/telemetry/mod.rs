//! What the operator sees: request ids, spans, counts. Accounts, devices and their addresses are named; no secret, no body, no
//! id of a record or workspace ever enters.

mod logging;
mod metrics;
mod observe;
pub(crate) mod origin;
mod process;

pub use logging::{LogFormat, init as init_logging};
pub use metrics::Metrics;
pub(crate) use observe::{REQUEST_ID, is_probe, observe};
