//! Who a request is from when proxies stand before the relay.
//!
//! Anybody can write `X-Forwarded-For`; only the entries that trusted proxies appended mean something. So
//! it is read from the right: each trusted hop is passed over, and the first address that is not one of
//! ours is the client. The leftmost entry, which many take, is whatever the client likes.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderValue};

use super::network::Network;

/// The client behind `peer`, as far as `trusted` proxies vouch for it.
///
/// An entry that cannot be read names nobody, but a proxy of ours wrote it, so `peer` is not the client either:
/// such a request counts as [`UNREADABLE`], an address that is never trusted and never exempt.
pub(super) fn client_behind(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_ours = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let values: Vec<&[u8]> = headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes).collect();
    let mut hops = values.iter().flat_map(|value| value.split(|byte| *byte == b',')).rev();
    let mut client = peer;
    while is_ours(client) {
        let Some(hop) = hops.next() else { break };
        client = address_in(hop).unwrap_or(UNREADABLE);
        if client == UNREADABLE {
            break;
        }
    }
    client
}

/// Reads one entry: an address, with or without a port, in brackets or not.
fn address_in(hop: &[u8]) -> Option<IpAddr> {
    let hop = str::from_utf8(hop).ok()?.trim();
    if let Ok(address) = hop.parse::<IpAddr>() {
        return Some(address);
    }
    if let Ok(socket) = hop.parse::<SocketAddr>() {
        return Some(socket.ip());
    }
    let bare = hop.strip_prefix('[')?.strip_suffix(']')?;
    bare.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// Of the discard prefix (RFC 6666): nobody connects from it.
const UNREADABLE: IpAddr = IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0));

#[cfg(test)]
mod tests {
    use super::*;

    fn behind<T: AsRef<[u8]>>(peer: &str, forwarded: &[T]) -> String {
        let trusted = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"].map(|text| text.parse().unwrap());
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_bytes(value.as_ref()).unwrap());
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
        assert_eq!(behind::<&str>("192.0.2.1", &[]), "192.0.2.1");
        assert_eq!(behind("192.0.2.2", &["1.2.3.4"]), "192.0.2.2");
    }

    #[test]
    fn a_port_is_not_part_of_who_the_client_is() {
        assert_eq!(behind("10.1.2.3", &["198.51.100.1:40000"]), "198.51.100.1");
        assert_eq!(behind("10.1.2.3", &["[2001:db9::7]:443, 10.9.9.9:80"]), "2001:db9::7");
        assert_eq!(behind("10.1.2.3", &["[2001:db9::7]"]), "2001:db9::7");
    }

    #[test]
    fn what_cannot_be_read_is_nobody_and_never_the_proxy() {
        let unreadable = UNREADABLE.to_string();
        for hop in ["unknown", "", "198.51.100.1:port", "[::1", "198.51.100.1 198.51.100.2"] {
            assert_eq!(behind("10.1.2.3", &[hop]), unreadable, "{hop:?}");
        }
        // A byte that is no text spoils its own entry and none to the right of it.
        assert_eq!(behind("10.1.2.3", &[&b"caf\xE9"[..]]), unreadable);
        assert_eq!(behind("10.1.2.3", &[&b"caf\xE9, 198.51.100.1"[..]]), "198.51.100.1");
        assert_eq!(behind("10.1.2.3", &[&b"caf\xE9, 10.9.9.9"[..]]), unreadable);
        // Nor does it hide behind a proxy that everybody trusts.
        let all = ["::/0".parse().unwrap()];
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("127.0.0.1, unknown"));
        assert_eq!(client_behind([10, 1, 2, 3].into(), &headers, &all), UNREADABLE);
    }
}
