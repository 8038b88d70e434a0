//! Which network this is, and that it is another one, by the address this machine would send from.

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
};

use transport_core::policy::NetworkId;

/// Names the network of this moment, so that what worked here is known again: the same place gives the same
/// name until the peer has moved, which makes it another path. Two networks may share one; that costs a
/// session the order of its first dials.
pub(super) fn here(peer_moves: u32) -> NetworkId {
    let mut hasher = DefaultHasher::new();
    (outbound(), peer_moves).hash(&mut hasher);
    NetworkId(hasher.finish())
}

/// Remembers the address of the last look.
#[derive(Debug)]
pub(super) struct Watch {
    last: Option<IpAddr>,
    /// There was no network at the last look.
    away: bool,
}

impl Watch {
    /// Takes the network of this moment as the one that is known.
    pub(super) fn start() -> Self {
        Self { last: outbound(), away: false }
    }

    /// Looks, and says whether this is another network, or one that is back. Costs three system calls and
    /// sends nothing.
    pub(super) fn moved(&mut self) -> bool {
        self.see(outbound())
    }

    fn see(&mut self, address: Option<IpAddr>) -> bool {
        let Some(address) = address else {
            // Nothing to try while there is nothing to try it with.
            self.away = self.last.is_some();
            return false;
        };
        let other = self.last.replace(address) != Some(address);
        std::mem::take(&mut self.away) || other
    }
}

/// A browser does not say which network it is on: it is always the same one, nothing is known of a place, and the
/// session learns of a move from its links alone.
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
fn outbound() -> Option<IpAddr> {
    None
}

/// Asks the kernel which of our addresses the way to the outside begins with.
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
fn outbound() -> Option<IpAddr> {
    // Addresses for documentation (RFC 5737, RFC 3849): they take the default route and belong to nobody.
    let v4 = from(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into());
    v4.or_else(|| from(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()))
}

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
fn from(local: IpAddr, to: IpAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((local, 0)).ok()?;
    // For UDP this looks a route up and does nothing else.
    socket.connect((to, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_address_is_another_network_and_so_is_one_that_comes_back() {
        let at = |host| Some(IpAddr::from([10, 0, 0, host]));
        let mut watch = Watch { last: at(1), away: false };
        assert!(!watch.see(at(1)));
        assert!(watch.see(at(2)));
        assert!(!watch.see(at(2)));
        assert!(!watch.see(None) && !watch.see(None), "nothing to try there");
        assert!(watch.see(at(2)), "the same, but whatever was open may be gone");
        assert!(!watch.see(at(2)));
    }

    #[test]
    fn a_machine_that_had_no_network_finds_one() {
        let mut watch = Watch { last: None, away: false };
        assert!(!watch.see(None));
        assert!(watch.see(Some(IpAddr::from([10, 0, 0, 1]))));
    }

    #[test]
    fn a_place_has_one_name_until_the_peer_moves() {
        assert_eq!(here(0), here(0));
        assert_ne!(here(0), here(1));
    }

    #[test]
    fn two_looks_from_one_place_see_the_same() {
        assert!(!Watch::start().moved());
    }
}
