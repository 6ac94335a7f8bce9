//! Where a server is: what an address may be, and paths below it. Taking a URL apart is the backend's.

use std::net::IpAddr;

use super::TransportError;
use crate::error::{Error, InvalidCode};
use crate::protocol::{BASE_PATH, Problem};

/// A URL that a backend's parser has taken apart.
pub(super) struct Parts<'u> {
    /// The whole of it, as the parser writes it.
    pub href: &'u str,
    /// Without the colon.
    pub scheme: &'u str,
    /// Without the port; empty if there is none.
    pub host: &'u str,
    /// A user name or a password.
    pub has_credentials: bool,
    /// Anything after the path.
    pub has_query_or_fragment: bool,
}

/// A checked server address.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// Without a slash at the end, with the protocol's base path.
    text: String,
}

impl Address {
    /// The refusal of what no parser can read; `why` does not repeat it: it may hold a password.
    pub fn not_a_url(why: &str) -> Error {
        invalid(format!("the server's address is not a URL ({why}); it looks like `https://sync.example.com`"))
    }

    /// Checks an address: `https`, or `http` where nobody is on the way or the app has said so.
    pub fn check(url: &Parts<'_>, allow_plain_http: bool) -> Result<Self, Error> {
        // The text itself is not repeated in messages: it may hold a password.
        if url.has_credentials {
            return Err(invalid("the server's address must not hold credentials; give the token to the client"));
        }
        if url.has_query_or_fragment {
            return Err(invalid("the server's address must not have a query or a fragment"));
        }
        let host = url.host;
        if host.is_empty() {
            return Err(invalid("the server's address has no host; it looks like `https://sync.example.com`"));
        }
        match url.scheme {
            "https" => {}
            "http" if is_loopback(host) || allow_plain_http => {}
            "http" => {
                return Err(invalid(format!(
                    "plain http to `{host}` would show tokens and data to everyone on the way; use https, or set \
                     `allow_plain_http` in a closed test network"
                )));
            }
            other => return Err(invalid(format!("the server's address must begin with https://, not {other}://"))),
        }
        Ok(Self { text: format!("{}{BASE_PATH}", url.href.trim_end_matches('/')) })
    }

    /// The URL of `path` (with its query) below the base path.
    ///
    /// # Errors
    /// `invalid_path` if it would lead out of it.
    pub fn join(&self, path: &str) -> Result<String, TransportError> {
        let plain =
            path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\#".contains(&byte));
        let route = path.split('?').next().unwrap_or_default();
        // Escaped dots are dots to a URL parser.
        let climbs =
            route.split('/').any(|part| matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | ".."));
        if !plain || climbs {
            return Err(Self::invalid_path());
        }
        Ok(format!("{}{path}", self.text))
    }

    /// The refusal of a path, before anything is sent.
    pub fn invalid_path() -> TransportError {
        TransportError::problem(
            Problem::new(400, "invalid_path", "The request was not sent")
                .detail("a path begins with `/`, is escaped, and stays below the protocol's base path"),
        )
    }
}

fn invalid(why: impl Into<String>) -> Error {
    Error::invalid(InvalidCode::Config, why)
}

/// Names and addresses that never leave the machine (RFC 6761 for `localhost`).
pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}
