//! Which of the peer's candidates are tried. The peer chooses the addresses that this machine sends STUN packets to, so
//! they are few, and none of them is an address that only this machine or its link can mean.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
use webrtc::{
    peer_connection::sdp::{sdp_type::RTCSdpType, session_description::RTCSessionDescription},
    sdp::SessionDescription,
};

use crate::{
    config::WebRtcConfig,
    runtime::{Duration, Instant},
};

/// Decides about each candidate of the peer, and counts what it refuses.
#[derive(Debug)]
pub(crate) struct RemoteCandidates {
    loopback: bool,
    link_local: bool,
    /// Names that browsers hide behind are tried: where this is one, which asks its own link for them.
    hidden: bool,
    taken: usize,
    /// When the last description began a count.
    since: Option<Instant>,
    refused: [usize; Refusal::ALL.len()],
}

/// Why a candidate is not tried: a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The address is one that nobody sends to for a stranger.
    #[error("its address is not one to send to")]
    Address,
    /// Not a candidate, not over UDP, or with a name in place of its address: browsers hide behind names that end in
    /// `.local`, and are found by the checks they send. Two browsers find each other by these names only.
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
    pub(crate) fn new(config: &WebRtcConfig) -> Self {
        Self {
            loopback: config.loopback,
            link_local: config.link_local,
            hidden: cfg!(all(target_family = "wasm", target_os = "unknown")),
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
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    pub(crate) fn describe(
        &mut self,
        kind: RTCSdpType,
        sdp: String,
        now: Instant,
    ) -> Result<RTCSessionDescription, webrtc::Error> {
        self.renew(now);
        let description = match kind {
            RTCSdpType::Offer => RTCSessionDescription::offer,
            _ => RTCSessionDescription::answer,
        };
        let given = description(sdp)?;
        // The library's own reading decides what is a candidate; another reading might miss one.
        let mut read = given.unmarshal()?;
        if self.strip(&mut read) { description(read.marshal()) } else { Ok(given) }
    }

    /// Returns what the peer wrote without the candidates that are not tried. It need not be SDP.
    #[cfg(any(test, all(target_family = "wasm", target_os = "unknown")))]
    pub(crate) fn without_refused(&mut self, sdp: &str, now: Instant) -> String {
        self.renew(now);
        let mut kept = |line: &&str| match line.trim().strip_prefix("a=").map(str::trim_start) {
            Some(attribute) if attribute.starts_with("candidate:") => self.admit(attribute).is_ok(),
            _ => true,
        };
        sdp.split_inclusive('\n').filter(|line| kept(line)).collect()
    }

    /// Begins a count, unless the last one began a moment ago.
    fn renew(&mut self, now: Instant) {
        if self.since.is_none_or(|since| since + RENEWED_AFTER <= now) {
            (self.taken, self.since) = (0, Some(now));
        }
    }

    /// Removes the refused candidates; says whether there were any.
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
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
    pub(crate) fn admit(&mut self, candidate: &str) -> Result<(), Refusal> {
        let verdict = match target(candidate).map(|word| (word, word.parse())) {
            Some((_, Ok(address))) if !self.is_target(address) => Err(Refusal::Address),
            Some((word, Err(_))) if !(self.hidden && is_hidden(word)) => Err(Refusal::Form),
            None => Err(Refusal::Form),
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

/// Reads what stands for the address as the library does: the fifth word, and the third says over what.
fn target(candidate: &str) -> Option<&str> {
    let mut words = candidate.strip_prefix("candidate:").unwrap_or(candidate).split_whitespace();
    let over = words.nth(2)?;
    let target = words.nth(1)?;
    // The port, the word "typ" and the type.
    words.nth(2)?;
    over.eq_ignore_ascii_case("udp").then_some(target)
}

/// Says whether a name is one that a browser made up: a UUID on its own link. Nothing else answers to it.
fn is_hidden(name: &str) -> bool {
    name.strip_suffix(".local").is_some_and(|name| {
        name.len() == 36 && name.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
    })
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
pub(crate) const MAX_REMOTE: usize = 20;

/// A later description begins the count anew, for a restart that comes after the old path was found dead.
const RENEWED_AFTER: Duration = Duration::from_secs(5);

/// Where clouds tell a machine its credentials.
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xFD00, 0xEC2, 0, 0, 0, 0, 0, 0x254);

#[cfg(test)]
mod tests;
