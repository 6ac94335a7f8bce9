//! Where the server is and how it is spoken to.

use std::time::Duration;

use reqwest::Url;

use crate::error::Error;
use crate::transport::address::{Address, Parts, is_loopback};
use crate::transport::ndjson::FeedLimits;

/// When request and response bodies are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Unless the server is on this machine, where bytes are cheaper than cycles.
    #[default]
    Auto,
    /// Always, if a body gains by it.
    On,
    /// Never.
    Off,
}

/// Options of [`HttpTransport`](super::HttpTransport).
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// How long a request (or a feed's chunk) may take where the
    /// [`RequestContext`](crate::transport::RequestContext) says nothing. A body that keeps coming gets more: a second
    /// for every 16 KiB.
    pub deadline: Duration,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// When bodies are compressed.
    pub compression: Compression,
    /// Allows `http://` to hosts other than this machine. Tokens and data are then readable on the way: for tests in a
    /// closed network only.
    pub allow_plain_http: bool,
    /// Largest answer that is read, in bytes after decompression; a feed is bounded by `feed` instead.
    pub max_response_bytes: usize,
    /// What is accepted from a feed.
    pub feed: FeedLimits,
    /// What the server's log shows of this client.
    pub user_agent: String,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            compression: Compression::Auto,
            allow_plain_http: false,
            max_response_bytes: 128 << 20,
            feed: FeedLimits::default(),
            user_agent: concat!("unisono/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Reads a server's address, and tells whether that is this machine.
pub(super) fn parse(text: &str, allow_plain_http: bool) -> Result<(Address, bool), Error> {
    let url = Url::parse(text).map_err(|error| Address::not_a_url(&error.to_string()))?;
    let parts = Parts {
        href: url.as_str(),
        scheme: url.scheme(),
        host: url.host_str().unwrap_or_default(),
        has_credentials: !url.username().is_empty() || url.password().is_some(),
        has_query_or_fragment: url.query().is_some() || url.fragment().is_some(),
    };
    Ok((Address::check(&parts, allow_plain_http)?, is_loopback(parts.host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_and_loopback_are_accepted_and_keep_their_path_prefix() {
        for (text, loopback, expected) in [
            ("https://sync.example.com", false, "https://sync.example.com/api/v1/sync/status"),
            ("https://sync.example.com/", false, "https://sync.example.com/api/v1/sync/status"),
            ("https://example.com:8443/unisono/", false, "https://example.com:8443/unisono/api/v1/sync/status"),
            ("http://127.0.0.1:4747", true, "http://127.0.0.1:4747/api/v1/sync/status"),
            ("http://127.8.9.1", true, "http://127.8.9.1/api/v1/sync/status"),
            ("http://[::1]:1/", true, "http://[::1]:1/api/v1/sync/status"),
            ("http://localhost:4747", true, "http://localhost:4747/api/v1/sync/status"),
            ("http://a.localhost", true, "http://a.localhost/api/v1/sync/status"),
        ] {
            let (base, is_loopback) = parse(text, false).unwrap();
            assert_eq!((is_loopback, base.join("/sync/status").unwrap().as_str()), (loopback, expected));
        }
    }

    #[test]
    fn other_addresses_are_refused_with_advice_and_without_repeating_secrets() {
        for (text, word) in [
            ("http://sync.example.com", "allow_plain_http"),
            ("http://localhost.example.com", "allow_plain_http"),
            ("http://192.168.1.2:4747", "allow_plain_http"),
            ("ftp://example.com", "https://"),
            ("sync.example.com", "https://"),
            ("", "https://"),
            ("https://", "https://"),
            ("https://user:hunter2@example.com", "token"),
            ("https://example.com/?token=hunter2", "query"),
            ("https://example.com/#x", "fragment"),
        ] {
            let error = parse(text, false).unwrap_err();
            assert_eq!(error.code(), "invalid_config", "{text}");
            assert!(error.to_string().contains(word), "{text}: {error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert!(parse("http://192.168.1.2:4747", true).is_ok());
    }

    #[test]
    fn a_path_cannot_lead_out_of_the_base_path() {
        let (base, _) = parse("https://example.com", false).unwrap();
        for path in
            ["", "sync", "//evil/..", "/../x", "/a/./b", "/a/%2e%2E/b", "/a b", "/a\\b", "/a#b", "/é", "/a\r\nb"]
        {
            assert_eq!(base.join(path).unwrap_err().code(), "invalid_path", "{path}");
        }
        assert_eq!(base.join("/x?y=../..").unwrap().as_str(), "https://example.com/api/v1/x?y=../..");
    }
}
