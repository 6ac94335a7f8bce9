//! The transport over `fetch`, in a page, a worker or Node.
//!
//! One request, one answer: no redirects, no cookies, no cache, no referrer. Every wait has a deadline and every answer a
//! bound; what is no longer wanted is aborted. Answers are decompressed by the host; requests are sent as they are. A
//! server on another origin must list the page's (`unisono-server --cors-origin`); a date in its Retry-After is read by
//! the device's clock, because browsers hide the answer's own.

mod client;
mod exchange;

pub use client::{FetchOptions, FetchTransport};
