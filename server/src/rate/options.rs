//! What an operator says about rates.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::str::FromStr;

/// Requests that are answered within a minute; more get `429 rate_limited`. As many may come at once after a quiet minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateOptions {
    /// Of one account, whatever its credentials and devices; no limit if absent.
    pub account: Option<NonZeroU32>,
    /// Of one address, before its credentials are looked at (of IPv6: of one /56 network); no limit if absent.
    pub address: Option<NonZeroU32>,
    /// Proxies whose word on a caller's address is taken.
    pub proxies: Proxies,
}

/// A list of networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<Network>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Proxies {
    /// Takes a network in: an address, or one with the length of its prefix (`10.0.0.0/8`).
    ///
    /// # Errors
    /// In words, if it is none.
    pub fn add(&mut self, network: &str) -> Result<(), String> {
        let wrong = || format!("{network} is neither an address nor a network such as 10.0.0.0/8");
        let (address, bits) = network.split_once('/').map_or((network, None), |(address, bits)| (address, Some(bits)));
        let address = IpAddr::from_str(address).map_err(|_| wrong())?.to_canonical();
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        if bits > most {
            return Err(wrong());
        }
        self.0.push(Network { address, bits });
        Ok(())
    }

    /// Whether one of them has this address.
    pub(super) fn have(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| prefix(network.address, network.bits) == prefix(address, network.bits))
    }
}

/// The first bits of an address, which tell networks of one family apart.
pub(super) fn prefix(address: IpAddr, bits: u32) -> (bool, u128) {
    let (is_v4, value, width) = match address {
        IpAddr::V4(address) => (true, u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (false, address.to_bits(), 128),
    };
    (is_v4, value.checked_shr(width - bits.min(width)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_named_by_its_address_or_its_network() {
        let mut proxies = Proxies::default();
        for network in ["192.0.2.1", "10.0.0.0/8", "2001:db8::/32", "::1"] {
            proxies.add(network).unwrap();
        }
        let have = |address: &str| proxies.have(address.parse().unwrap());
        for inside in ["192.0.2.1", "10.255.0.1", "::ffff:10.1.2.3", "2001:db8:ffff::1", "::1"] {
            assert!(have(inside), "{inside}");
        }
        for outside in ["192.0.2.2", "11.0.0.1", "2001:db9::1", "::2", "::"] {
            assert!(!have(outside), "{outside}");
        }
        for wrong in ["", "proxy", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0/8"] {
            assert!(Proxies::default().add(wrong).is_err(), "{wrong}");
        }
        let mut all = Proxies::default();
        all.add("0.0.0.0/0").unwrap();
        assert!(all.have("203.0.113.9".parse().unwrap()) && !all.have("2001:db8::1".parse().unwrap()));
    }
}
