//! Which of the peer's candidates are tried. The peer chooses the addresses that this machine sends STUN packets to, so
//! they are few, and none of them is an address that only this machine or its link can mean.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::time::{Duration, Instant};
use webrtc::{
    peer_connection::sdp::{sdp_type::RTCSdpType, session_description::RTCSessionDescription},
    sdp::SessionDescription,
};

use crate::config::WebRtcConfig;

/// Decides about each candidate of the peer, and counts what it refuses.
#[derive(Debug)]
pub(super) struct RemoteCandidates {
    loopback: bool,
    link_local: bool,
    taken: usize,
    /// When the last description began a count.
    since: Option<Instant>,
    refused: [usize; Refusal::ALL.len()],
}

/// Why a candidate is not tried: a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The address is one that nobody sends to for a stranger.
    #[error("its address is not one to send to")]
    Address,
    /// Not a candidate, not over UDP, or with a name in place of its address.
    #[error("it is no address over UDP")]
    Form,
    /// There are [`MAX_REMOTE`] already.
    #[error("there are enough of them")]
    Full,
}

impl Refusal {
    const ALL: [Self; 3] = [Self::Address, Self::Form, Self::Full];
}

impl RemoteCandidates {
    pub(super) fn new(config: &WebRtcConfig) -> Self {
        Self {
            loopback: config.loopback,
            link_local: config.link_local,
            taken: 0,
            since: None,
            refused: Default::default(),
        }
    }

    /// Takes what the peer wrote and leaves out the candidates that are not tried. Otherwise it stays as it was.
    ///
    /// # Errors
    ///
    /// Text that is not SDP.
    pub(super) fn describe(
        &mut self,
        kind: RTCSdpType,
        sdp: String,
        now: Instant,
    ) -> Result<RTCSessionDescription, webrtc::Error> {
        if self.since.is_none_or(|since| since + RENEWED_AFTER <= now) {
            (self.taken, self.since) = (0, Some(now));
        }
        let description = match kind {
            RTCSdpType::Offer => RTCSessionDescription::offer,
            _ => RTCSessionDescription::answer,
        };
        let given = description(sdp)?;
        // The library's own reading decides what is a candidate; another reading might miss one.
        let mut read = given.unmarshal()?;
        if self.strip(&mut read) { description(read.marshal()) } else { Ok(given) }
    }

    /// Removes the refused candidates; says whether there were any.
    fn strip(&mut self, description: &mut SessionDescription) -> bool {
        let mut stripped = false;
        let media = description.media_descriptions.iter_mut().map(|media| &mut media.attributes);
        for attributes in media.chain([&mut description.attributes]) {
            attributes.retain(|attribute| {
                let candidate = attribute.is_ice_candidate();
                let kept = !candidate || self.admit(attribute.value.as_deref().unwrap_or_default()).is_ok();
                stripped |= !kept;
                kept
            });
        }
        stripped
    }

    /// Decides about one candidate, in the form of RFC 8839 with or without its `candidate:`.
    ///
    /// # Errors
    ///
    /// Why it must not be used.
    pub(super) fn admit(&mut self, candidate: &str) -> Result<(), Refusal> {
        let verdict = match address(candidate) {
            None => Err(Refusal::Form),
            Some(address) if !self.is_target(address) => Err(Refusal::Address),
            Some(_) if self.taken >= MAX_REMOTE => Err(Refusal::Full),
            Some(_) => Ok(()),
        };
        match verdict {
            Ok(()) => self.taken += 1,
            Err(why) => {
                let count = &mut self.refused[why as usize];
                *count += 1;
                if *count == 1 {
                    tracing::debug!(target: "transport_webrtc", %why, "a remote candidate is not tried");
                }
            }
        }
        verdict
    }

    fn is_target(&self, address: IpAddr) -> bool {
        match embedded(address) {
            IpAddr::V4(ip) if ip.is_loopback() => self.loopback,
            IpAddr::V6(ip) if ip.is_loopback() => self.loopback,
            IpAddr::V4(ip) if ip.is_link_local() => self.link_local && ip != METADATA_V4,
            IpAddr::V6(ip) if ip.is_unicast_link_local() => self.link_local,
            IpAddr::V4(ip) => !(ip.octets()[0] == 0 || ip.is_multicast() || ip.is_broadcast()),
            IpAddr::V6(ip) => !(ip.is_unspecified() || ip.is_multicast() || ip == METADATA_V6),
        }
    }
}

/// The sum of what was refused, once.
impl Drop for RemoteCandidates {
    fn drop(&mut self) {
        let [address, form, full] = self.refused;
        if address + form + full > 0 {
            tracing::debug!(target: "transport_webrtc", tried = self.taken, address, form, full, "remote candidates refused");
        }
    }
}

/// Reads the address as the library does: the fifth word, and the third says over what.
fn address(candidate: &str) -> Option<IpAddr> {
    let mut words = candidate.strip_prefix("candidate:").unwrap_or(candidate).split_whitespace();
    let over = words.nth(2)?;
    let address = words.nth(1)?;
    // The port, the word "typ" and the type.
    words.nth(2)?;
    if over.eq_ignore_ascii_case("udp") { address.parse().ok() } else { None }
}

/// The IPv4 address that an IPv6 address stands for, where it does: mapped, compatible, NAT64 and 6to4.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(ip) = address else { return address };
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => address,
        [0, 0, 0, 0, 0, 0 | 0xFFFF, high, low] | [0x64, 0xFF9B, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}

/// Candidates of the peer that one dial tries: more than two machines with several interfaces need. Each costs some
/// eight packets from each local address.
pub(super) const MAX_REMOTE: usize = 20;

/// A later description begins the count anew, for a restart that comes after the old path was found dead.
const RENEWED_AFTER: Duration = Duration::from_secs(5);

/// Where clouds tell a machine its credentials.
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xFD00, 0xEC2, 0, 0, 0, 0, 0, 0x254);

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(address: &str) -> String {
        format!("candidate:1 1 udp 2130706431 {address} 40000 typ host")
    }

    fn fresh(change: fn(&mut WebRtcConfig)) -> RemoteCandidates {
        let mut config = WebRtcConfig::default();
        change(&mut config);
        RemoteCandidates::new(&config)
    }

    #[test]
    fn addresses_that_only_this_machine_or_its_link_can_mean_are_refused() {
        let mut remote = fresh(|_| {});
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::127.0.0.1",
            "2002:7f00:1::",
            "169.254.1.1",
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "224.0.0.251",
            "239.255.255.250",
            "ff02::fb",
            "0.0.0.0",
            "0.1.2.3",
            "255.255.255.255",
            "::",
        ] {
            assert_eq!(remote.admit(&candidate(address)), Err(Refusal::Address), "{address}");
        }
        for address in ["192.0.2.1", "10.0.0.1", "192.168.1.1", "100.64.0.1", "2001:db8::1", "fd00::1"] {
            assert_eq!(remote.admit(&candidate(address)), Ok(()), "{address}");
        }
        assert_eq!((remote.refused, remote.taken), ([20, 0, 0], 6));
    }

    #[test]
    fn the_configuration_opens_loopback_and_the_link_each_for_itself() {
        let (mut loopback, mut link) = (fresh(|c| c.loopback = true), fresh(|c| c.link_local = true));
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(loopback.admit(&candidate(address)), Ok(()), "{address}");
            assert_eq!(link.admit(&candidate(address)), Err(Refusal::Address), "{address}");
        }
        for address in ["169.254.1.1", "fe80::1"] {
            assert_eq!(loopback.admit(&candidate(address)), Err(Refusal::Address), "{address}");
            assert_eq!(link.admit(&candidate(address)), Ok(()), "{address}");
        }
        for address in ["0.0.0.0", "224.0.0.1", "169.254.169.254"] {
            assert_eq!(loopback.admit(&candidate(address)), Err(Refusal::Address), "{address}");
            assert_eq!(link.admit(&candidate(address)), Err(Refusal::Address), "{address}");
        }
    }

    #[test]
    fn names_other_transports_and_nonsense_are_refused() {
        let mut remote = fresh(|c| c.loopback = true);
        for line in [
            "",
            "candidate:",
            "candidate:1 1 udp 1 127.0.0.1",
            "candidate:1 1 udp 1 127.0.0.1 9 typ",
            "candidate:1 1 tcp 1 127.0.0.1 9 typ host tcptype passive",
            &candidate("d1a2c3.local"),
            &candidate("host.example"),
            &candidate("fe80::1%eth0"),
            &candidate("127.1"),
        ] {
            assert_eq!(remote.admit(line), Err(Refusal::Form), "{line}");
        }
        assert_eq!(remote.taken, 0);
    }

    #[test]
    fn the_twentieth_is_the_last_and_what_is_refused_takes_no_place() {
        let mut remote = fresh(|_| {});
        for number in 0..400 {
            let expected = if number < MAX_REMOTE { Ok(()) } else { Err(Refusal::Full) };
            assert_eq!(remote.admit(&candidate("127.0.0.1")), Err(Refusal::Address));
            assert_eq!(remote.admit(&candidate("192.0.2.1")), expected, "{number}");
        }
        assert_eq!(remote.refused, [400, 0, 380]);
    }

    /// A description with candidates for each media section, written as carelessly as a reader would still take it.
    fn sdp(candidates: &[String]) -> String {
        let head = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n";
        let media = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n";
        let lines: String = candidates.iter().map(|line| format!("a={line}\r\n")).collect();
        format!("{head}{media}{lines}a=sctp-port:5000\r\n")
    }

    #[test]
    fn candidates_inside_a_description_are_counted_with_those_outside() {
        let now = Instant::now();
        let mut remote = fresh(|_| {});
        let clean = sdp(&[candidate("192.0.2.1")]);
        let kept = remote.describe(RTCSdpType::Offer, clean.clone(), now).unwrap();
        assert_eq!(kept.sdp, clean, "nothing to refuse: not a byte is changed");
        assert_eq!(remote.taken, 1);

        let many: Vec<_> = (0..50).map(|n| candidate(&format!("192.0.2.{n}"))).collect();
        let careless = [format!(" {}", candidate("127.0.0.1")), format!("{} \t", candidate("127.0.0.1"))];
        let kept = remote.describe(RTCSdpType::Answer, sdp(&[&careless[..], &many].concat()), now).unwrap();
        assert_eq!(kept.sdp.matches("candidate:").count(), MAX_REMOTE - 1);
        assert!(!kept.sdp.contains("127.0.0.1"));
        assert!(kept.sdp.contains("a=sctp-port:5000"), "the rest stays");
        assert_eq!(remote.admit(&candidate("192.0.2.1")), Err(Refusal::Full));
    }

    #[test]
    fn a_restart_has_its_own_count_and_a_flood_of_them_has_not() {
        let start = Instant::now();
        let mut remote = fresh(|_| {});
        let full: Vec<_> = (0..MAX_REMOTE).map(|_| candidate("192.0.2.1")).collect();
        let mut tried = |after: Duration| {
            let kept = remote.describe(RTCSdpType::Offer, sdp(&full), start + after).unwrap();
            kept.sdp.matches("candidate:").count()
        };
        assert_eq!(tried(Duration::ZERO), MAX_REMOTE);
        assert_eq!(tried(RENEWED_AFTER - Duration::from_millis(1)), 0);
        assert_eq!(tried(RENEWED_AFTER), MAX_REMOTE);
        assert_eq!(tried(RENEWED_AFTER + Duration::from_secs(1)), 0);
    }
}
