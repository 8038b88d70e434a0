//! Who a request is from when proxies stand before the relay.
//!
//! Anybody can write `X-Forwarded-For`; only the entries that trusted proxies appended mean something. So
//! it is read from the right: each trusted hop is passed over, and the first address that is not one of
//! ours is the client. The leftmost entry, which many take, is whatever the client likes.

use std::net::IpAddr;

use http::HeaderMap;

use super::network::Network;

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
}
