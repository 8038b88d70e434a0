//! Which network this is, by the address this machine would send from.

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
};

use parking_lot::Mutex;
use transport_core::policy::NetworkId;

use crate::runtime::{Duration, Instant, now};

/// Names the network of this moment; `None` while there is none. Costs three system calls and sends nothing.
pub(super) fn here() -> Option<NetworkId> {
    let address = outbound()?;
    let mut hasher = DefaultHasher::new();
    address.hash(&mut hasher);
    Some(NetworkId(hasher.finish()))
}

/// The same, looked up once for all sessions of the process that ask within [`FRESH`].
pub(super) fn lately() -> Option<NetworkId> {
    let mut seen = SEEN.lock();
    match *seen {
        Some((at, network)) if now().saturating_duration_since(at) < FRESH => network,
        _ => {
            let network = here();
            *seen = Some((now(), network));
            network
        }
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

/// What was last seen, and when: all sessions of a process are in one place.
static SEEN: Mutex<Option<(Instant, Option<NetworkId>)>> = Mutex::new(None);

/// Shorter than the time between two looks of one session, so that each look of a lone one is a new one.
const FRESH: Duration = Duration::from_millis(400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_looks_from_one_place_see_the_same() {
        assert_eq!(here(), here());
        assert_eq!(lately(), here());
    }
}
