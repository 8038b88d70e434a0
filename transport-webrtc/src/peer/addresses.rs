//! This machine's addresses, and which of them are offered to the peer.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use tokio::net::UdpSocket;
use webrtc::util::ifaces::ifaces;

use crate::config::WebRtcConfig;

/// Returns this machine's addresses: when they change, it moved to another network.
pub(crate) fn local_addresses() -> BTreeSet<IpAddr> {
    named().map(|(_, address)| address).filter(|ip| !ip.is_loopback()).collect()
}

/// Returns the addresses that are offered: all of them, or the likeliest on a machine with many.
pub(super) async fn offered_addresses(config: &WebRtcConfig) -> BTreeSet<IpAddr> {
    let outbound = [outbound(V4).await, outbound(V6).await];
    likeliest(named().collect(), outbound, config.loopback, config.link_local)
}

/// Returns which of our IPv4 addresses the kernel would send from.
pub(super) async fn outbound_ip() -> IpAddr {
    outbound(V4).await.unwrap_or(Ipv4Addr::LOCALHOST.into())
}

/// Sorts by likelihood and takes the first [`MAX_OFFERED`]: those that lead out, the others, those of containers and
/// virtual machines; each in the order of the interfaces.
fn likeliest(
    mut all: Vec<(String, IpAddr)>,
    outbound: [Option<IpAddr>; 2],
    loopback: bool,
    link_local: bool,
) -> BTreeSet<IpAddr> {
    all.retain(|(_, address)| match address {
        ip if ip.is_loopback() => loopback,
        IpAddr::V4(ip) => !ip.is_link_local() || link_local,
        IpAddr::V6(ip) => !ip.is_unicast_link_local() || link_local,
    });
    all.sort_by_key(|(name, address)| match address {
        ip if ip.is_loopback() || outbound.contains(&Some(*ip)) => 0,
        _ if VIRTUAL.iter().any(|prefix| name.starts_with(prefix)) => 2,
        _ => 1,
    });
    all.into_iter().map(|(_, address)| address).take(MAX_OFFERED).collect()
}

fn named() -> impl Iterator<Item = (String, IpAddr)> {
    let interfaces = ifaces().unwrap_or_default();
    interfaces.into_iter().filter_map(|interface| Some((interface.name, interface.addr?.ip())))
}

/// Asks the kernel which of our addresses it would send from; nothing is sent.
async fn outbound((from, to): (IpAddr, IpAddr)) -> Option<IpAddr> {
    let socket = UdpSocket::bind((from, 0)).await.ok()?;
    socket.connect((to, 9)).await.ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Any address, and one that belongs to nobody and takes the default route: TEST-NET-1 (RFC 5737) and the prefix for
/// documentation (RFC 3849).
const V4: (IpAddr, IpAddr) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
const V6: (IpAddr, IpAddr) =
    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, 1)));

/// Addresses offered. With the reflexive and relayed ones that come after them they stay within what a peer tries.
const MAX_OFFERED: usize = 8;

/// How the interfaces of containers and virtual machines begin.
const VIRTUAL: [&str; 10] =
    ["br-", "cali", "cni", "docker", "flannel", "lxc", "podman", "veth", "vmnet", "virbr"];

#[cfg(test)]
mod tests {
    use super::*;

    fn on(name: &str, address: &str) -> (String, IpAddr) {
        (name.to_owned(), address.parse().unwrap())
    }

    #[test]
    fn a_machine_with_few_addresses_offers_them_all() {
        let all = vec![
            on("lo", "127.0.0.1"),
            on("eth0", "192.0.2.2"),
            on("eth0", "fe80::1"),
            on("docker0", "172.17.0.1"),
        ];
        let offered = |loopback, link| likeliest(all.clone(), [None, None], loopback, link);
        let strings = |offered: BTreeSet<IpAddr>| offered.iter().map(IpAddr::to_string).collect::<Vec<_>>();
        assert_eq!(strings(offered(false, false)), ["172.17.0.1", "192.0.2.2"]);
        assert_eq!(strings(offered(true, false)), ["127.0.0.1", "172.17.0.1", "192.0.2.2"]);
        assert_eq!(strings(offered(false, true)), ["172.17.0.1", "192.0.2.2", "fe80::1"]);
    }

    #[test]
    fn among_many_the_way_out_comes_first_and_containers_last() {
        let mut all: Vec<_> = (0..60).map(|n| on("veth1", &format!("172.17.{n}.1"))).collect();
        all.extend((0..60).map(|n| on("eth1", &format!("10.0.{n}.1"))));
        all.extend([on("lo", "127.0.0.1"), on("docker0", "192.0.2.7"), on("eth0", "2001:db8::7")]);
        let out = [Some("192.0.2.7".parse().unwrap()), Some("2001:db8::7".parse().unwrap())];
        let offered = likeliest(all, out, true, false);
        assert_eq!(offered.len(), MAX_OFFERED);
        for address in ["127.0.0.1", "192.0.2.7", "2001:db8::7", "10.0.0.1", "10.0.4.1"] {
            assert!(offered.contains(&address.parse().unwrap()), "{address}");
        }
    }
}
