//! Who a request is from when proxies stand before the relay.
//!
//! Anybody can write `X-Forwarded-For`; only the entries that trusted proxies appended mean something. So
//! it is read from the right: each trusted hop is passed over, and the first address that is not one of
//! ours is the client. The leftmost entry, which many take, is whatever the client likes.

use std::{fmt, net::IpAddr, str::FromStr};

use http::HeaderMap;

/// A range of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    bits: u128,
    /// Of 128: IPv4 addresses are taken as IPv4-mapped IPv6 ones (RFC 4291 §2.5.5.2).
    prefix: u32,
}

impl Network {
    /// Whether `address` is in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        let differ = self.bits ^ bits(address);
        self.prefix == 0 || differ >> (128 - self.prefix) == 0
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| BadNetwork)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u32 = prefix.map_or(Ok(width), str::parse).map_err(|_| BadNetwork)?;
        if prefix > width {
            return Err(BadNetwork);
        }
        Ok(Self { bits: bits(address), prefix: 128 - width + prefix })
    }
}

/// A text that is no range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadNetwork;

impl fmt::Display for BadNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an address or a range like 10.0.0.0/8")
    }
}

/// The client behind `peer`, as far as `trusted` proxies vouch for it.
pub(super) fn client_behind(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_ours = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let values: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    let mut hops = values.iter().flat_map(|value| value.split(',')).rev();
    let mut client = peer;
    while is_ours(client) {
        // A hop that is not an address was not written by a proxy of ours: whoever it is stays the client.
        let Some(Ok(hop)) = hops.next().map(|hop| hop.trim().parse()) else { break };
        client = hop;
    }
    client
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"].map(|text| text.parse().unwrap());
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        client_behind(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn the_header_counts_only_as_far_as_proxies_of_ours_wrote_it() {
        // Nobody of ours: the header is the client's own invention.
        assert_eq!(behind("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(behind("10.1.2.3", &["198.51.100.1"]), "198.51.100.1");
        // The leftmost entry is what the client sent to our outermost proxy.
        assert_eq!(behind("10.1.2.3", &["1.2.3.4, 198.51.100.1, 10.9.9.9"]), "198.51.100.1");
        assert_eq!(behind("10.1.2.3", &["1.2.3.4", "198.51.100.1", "2001:db8::7"]), "198.51.100.1");
        assert_eq!(behind("10.1.2.3", &["unknown"]), "10.1.2.3");
        assert_eq!(behind("192.0.2.1", &[]), "192.0.2.1");
        assert_eq!(behind("192.0.2.2", &["1.2.3.4"]), "192.0.2.2");
    }

    #[test]
    fn ranges_are_read_strictly() {
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", "host/8"] {
            assert_eq!(bad.parse::<Network>(), Err(BadNetwork), "{bad:?}");
        }
        let all: Network = "::/0".parse().unwrap();
        assert!(all.contains("10.1.1.1".parse().unwrap()) && all.contains("::1".parse().unwrap()));
        let v4: Network = "0.0.0.0/0".parse().unwrap();
        assert!(v4.contains("10.1.1.1".parse().unwrap()) && !v4.contains("2001:db8::1".parse().unwrap()));
    }
}
