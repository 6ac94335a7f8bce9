//! HTTP.

/// Options.
#[derive(Debug)]
pub struct HttpOptions;
/// Reaches a server over HTTP.
#[derive(Debug)]
pub struct HttpTransport;
