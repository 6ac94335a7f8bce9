//! What the operator sees: request ids, spans, counts. No secret, no body, no id of a record or scope ever enters.

mod logging;
mod metrics;
mod observe;

pub use logging::{LogFormat, init as init_logging};
pub use metrics::Metrics;
pub(crate) use observe::{REQUEST_ID, observe};
