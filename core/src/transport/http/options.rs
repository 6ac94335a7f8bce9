//! Where the server is and how it is spoken to.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;

use crate::error::{Error, InvalidCode};
use crate::protocol::BASE_PATH;
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

/// A checked server address.
#[derive(Clone, Debug)]
pub(super) struct BaseUrl {
    /// Without a slash at the end, with the protocol's base path.
    text: String,
    pub(super) is_loopback: bool,
}

impl BaseUrl {
    pub(super) fn parse(text: &str, allow_plain_http: bool) -> Result<Self, Error> {
        let fail = |why: String| Err(Error::invalid(InvalidCode::Config, why));
        // The text itself is not repeated in messages: it may hold a password.
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => {
                return fail(format!(
                    "the server's address is not a URL ({error}); it looks like `https://sync.example.com`"
                ));
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return fail("the server's address must not hold credentials; give the token to the client".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return fail("the server's address must not have a query or a fragment".to_owned());
        }
        let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
            return fail("the server's address has no host; it looks like `https://sync.example.com`".to_owned());
        };
        let is_loopback = is_loopback(host);
        match url.scheme() {
            "https" => {}
            "http" if is_loopback || allow_plain_http => {}
            "http" => {
                return fail(format!(
                    "plain http to `{host}` would show tokens and data to everyone on the way; use https, or set \
                     `allow_plain_http` in a closed test network"
                ));
            }
            other => return fail(format!("the server's address must begin with https://, not {other}://")),
        }
        let text = format!("{}{BASE_PATH}", url.as_str().trim_end_matches('/'));
        Ok(Self { text, is_loopback })
    }

    /// The URL of `path` (with its query) below the base path; `None` if it would lead out of it.
    pub(super) fn join(&self, path: &str) -> Option<Url> {
        let plain =
            path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\#".contains(&byte));
        let route = path.split('?').next().unwrap_or_default();
        // Escaped dots are dots to the URL parser.
        let climbs =
            route.split('/').any(|part| matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | ".."));
        if !plain || climbs {
            return None;
        }
        Url::parse(&format!("{}{path}", self.text)).ok()
    }
}

/// Names and addresses that never leave the machine (RFC 6761 for `localhost`).
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
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
            let base = BaseUrl::parse(text, false).unwrap();
            assert_eq!((base.is_loopback, base.join("/sync/status").unwrap().as_str()), (loopback, expected));
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
            let error = BaseUrl::parse(text, false).unwrap_err();
            assert_eq!(error.code(), "invalid_config", "{text}");
            assert!(error.to_string().contains(word), "{text}: {error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert!(BaseUrl::parse("http://192.168.1.2:4747", true).is_ok());
    }

    #[test]
    fn a_path_cannot_lead_out_of_the_base_path() {
        let base = BaseUrl::parse("https://example.com", false).unwrap();
        for path in
            ["", "sync", "//evil/..", "/../x", "/a/./b", "/a/%2e%2E/b", "/a b", "/a\\b", "/a#b", "/é", "/a\r\nb"]
        {
            assert_eq!(base.join(path), None, "{path}");
        }
        assert_eq!(base.join("/x?y=../..").unwrap().as_str(), "https://example.com/api/v1/x?y=../..");
    }
}
