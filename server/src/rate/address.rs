//! Whose request it is, as far as addresses tell.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName};

use super::options::Proxies;
use crate::net::peer_network;

/// Where proxies say for whom they ask.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The caller's network. What a proxy adds stands at the right of the header, so it is read from there, and only as far as
/// trusted proxies have written it: what stands left of them anybody may have made up.
pub(super) fn caller(peer: IpAddr, headers: &HeaderMap, proxies: &Proxies) -> IpAddr {
    let mut caller = peer.to_canonical();
    let values: Vec<_> = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    for entry in values.iter().rev().flat_map(|value| value.rsplit(',')) {
        if !proxies.have(caller) {
            break;
        }
        let Ok(address) = entry.trim().parse::<IpAddr>() else { break };
        caller = address.to_canonical();
    }
    peer_network(caller)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn of(peer: &str, forwarded: &[&'static str]) -> String {
        let mut proxies = Proxies::default();
        ["10.0.0.0/8", "192.0.2.1"].iter().for_each(|network| proxies.add(network).unwrap());
        let mut headers = HeaderMap::new();
        headers.extend(forwarded.iter().map(|value| (Some(FORWARDED_FOR), HeaderValue::from_static(value))));
        caller(peer.parse().unwrap(), &headers, &proxies).to_string()
    }

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        for (peer, forwarded, caller) in [
            ("203.0.113.7", &[][..], "203.0.113.7"),
            // Nobody trusted has written it.
            ("203.0.113.7", &["198.51.100.1"], "203.0.113.7"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            // What the caller itself has sent stands at the left.
            ("10.0.0.1", &["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.2.3.4", "198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.2.3.4, 198.51.100.1, 192.0.2.1, 10.9.9.9"], "198.51.100.1"),
            ("10.0.0.1", &["1.2.3.4, nonsense"], "10.0.0.1"),
            ("10.0.0.1", &["nonsense, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
        ] {
            assert_eq!(of(peer, forwarded), caller, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn an_ipv6_customer_is_one_caller_however_many_addresses_it_uses() {
        for (address, network) in [
            ("2001:db8:1:2ff:a:b:c:d", "2001:db8:1:200::"),
            ("2001:db8:1:2fe::1", "2001:db8:1:200::"),
            ("2001:db8:1:3ff::1", "2001:db8:1:300::"),
        ] {
            assert_eq!(of(address, &[]), network);
        }
    }
}
