//! Who a connection comes from, as far as limits are concerned.

use std::net::{IpAddr, Ipv6Addr};

/// The bits of an IPv6 address that tell one customer's network from another's; the rest its owner chooses freely.
const IPV6_NETWORK_BITS: u32 = 56;

/// The address by which a peer's connections and requests are counted: an IPv4 address as it is (also where it comes mapped into
/// IPv6), of an IPv6 address the /56 network.
#[must_use]
pub fn peer_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let mask = u128::MAX << (u128::BITS - IPV6_NETWORK_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_customer_is_one_peer_however_many_addresses_it_uses() {
        for (address, network) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2ff:a:b:c:d", "2001:db8:1:200::"),
            ("2001:db8:1:2fe::1", "2001:db8:1:200::"),
            ("2001:db8:1:3ff::1", "2001:db8:1:300::"),
        ] {
            let (address, network): (IpAddr, IpAddr) = (address.parse().unwrap(), network.parse().unwrap());
            assert_eq!(peer_network(address), network, "{address}");
        }
    }
}
