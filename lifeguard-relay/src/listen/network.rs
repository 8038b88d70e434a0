//! Networks: ranges of addresses that are configured, and the unit in which clients are counted.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

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

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = Ipv6Addr::from_bits(self.bits);
        match address.to_ipv4_mapped() {
            Some(v4) if self.prefix >= 96 => write!(f, "{v4}/{}", self.prefix - 96),
            _ => write!(f, "{address}/{}", self.prefix),
        }
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

/// The unit in which addresses are counted: one IPv4 address, or one IPv6 /64, because whoever has one
/// address of a /64 has all of them (RFC 4291 §2.5.4).
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

/// A network in which a client is counted, and how many times the limit of one address it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    network: IpAddr,
    pub(crate) share: u32,
}

impl Scope {
    /// How much wider a scope may be than one address, the narrowest first: an IPv6 /56 and a /48 beside a /64.
    pub(crate) const SHARES: [u32; 3] = [1, 4, 16];
}

/// The scopes of an address: itself or its /64, and for IPv6 the /56 and the /48 that one subscriber or one site commonly
/// has (RFC 6177 §2). Without them one subscriber would be 256 clients, and one site 65,536.
pub(crate) fn scopes_of(address: IpAddr) -> impl Iterator<Item = Scope> {
    let network = network_of(address);
    let [own, subscriber, site] = Scope::SHARES;
    let wider = match network {
        IpAddr::V4(_) => None,
        IpAddr::V6(v6) => Some([(56, subscriber), (48, site)].map(|(prefix, share)| {
            let network = v6.to_bits() & (u128::MAX << (128 - prefix));
            Scope { network: Ipv6Addr::from_bits(network).into(), share }
        })),
    };
    std::iter::once(Scope { network, share: own }).chain(wider.into_iter().flatten())
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

    #[test]
    fn an_address_is_counted_in_its_network_and_in_those_its_owner_may_have_more_of() {
        let scopes = |address: &str| {
            scopes_of(address.parse().unwrap())
                .map(|scope| (scope.network.to_string(), scope.share))
                .collect::<Vec<_>>()
        };
        let v4 = [("192.0.2.1".to_owned(), 1)];
        assert_eq!(scopes("192.0.2.1"), v4);
        assert_eq!(scopes("::ffff:192.0.2.1"), v4);
        let v6 = [("2001:db8:1:1234::", 1), ("2001:db8:1:1200::", 4), ("2001:db8:1::", 16)];
        assert_eq!(scopes("2001:db8:1:1234::5"), v6.map(|(network, share)| (network.to_owned(), share)));
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
