//! What a WebRTC dial may use, and how long each of its stages may take.

mod env;
mod ice_server;
mod timing;

use std::{fmt, num::NonZeroUsize, ops::RangeInclusive, time::Duration};

use beach_outbound::Outbound;
use transport_core::TransportId;

use crate::{
    error::ConfigError,
    frame::{MAX_FRAME, PREFIX},
};

pub use ice_server::{IceServer, IceUrl, IceUrlError, Scheme, Upstream};
pub use timing::{IceRestart, IceTimeouts, StageDeadlines};

/// Configuration of a [`WebRtcConnector`](crate::WebRtcConnector).
///
/// # Defaults
///
/// No ICE servers, every kind of candidate, the labels and limits below, no loopback or link-local candidates, any
/// free UDP port, streams as the machine is set up ([`Outbound::default`]). mDNS is always off: a name that only the
/// local link resolves helps nobody who needs this transport, and it opens a multicast socket.
///
/// Of the peer's candidates at most 20 are tried in a dial, by a name only those of a browser in a browser, and none with a multicast, unspecified or cloud
/// metadata address. Of this machine's addresses the eight likeliest are offered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WebRtcConfig {
    /// STUN and TURN servers. Default: none.
    pub ice_servers: Vec<IceServer>,
    /// Whether STUN servers are asked for this machine's address behind NAT, those that the control plane names too.
    /// Default: yes. `BEACH_WEBRTC_DISABLE_STUN`.
    pub stun: bool,
    /// Which candidates may be used. Default: [`IcePolicy::All`].
    pub policy: IcePolicy,
    /// Names of the two data channels; both sides must use the same.
    pub labels: ChannelLabels,
    /// Whether the datagram lane gets its own unreliable channel or travels on the reliable one, declared as emulated; both
    /// sides must want one. Default: yes on a machine, no in a browser (`docs/adr/0051-a-pages-datagrams-are-kept.md`).
    /// `BEACH_DC_TERM_UNRELIABLE`.
    pub datagram_channel: bool,
    /// Largest message on a data channel in bytes, our one-byte prefix included; at most
    /// 16,384, the size every browser and every stack takes. Default: 16,384.
    pub max_chunk: NonZeroUsize,
    /// Unacknowledged bytes handed to the reliable data channel before sending pauses. Default:
    /// 262,144. More helps long fat paths; less makes queues honest sooner.
    pub send_buffer: NonZeroUsize,
    /// Bytes that may wait unsent on the reliable lane. Default: 262,144.
    pub reliable_queue: NonZeroUsize,
    /// Bytes that may wait unsent on the datagram lane before the oldest is evicted. Default: 65,536.
    pub datagram_queue: NonZeroUsize,
    /// Time each stage of a dial may take.
    pub deadlines: StageDeadlines,
    /// When ICE gives a silent path up.
    pub ice_timeouts: IceTimeouts,
    /// When a silent path is given up for another one within the same link.
    pub ice_restart: IceRestart,
    /// Interval of the ping that measures RTT and loss; four times that while bulk is under way. Default: 500 ms.
    pub ping_interval: Duration,
    /// Whether loopback addresses are offered as candidates, and tried when the peer offers them: for tests and
    /// demos. Default: no.
    pub loopback: bool,
    /// The same for link-local addresses (169.254.0.0/16, fe80::/10): for two machines on a cable without any
    /// configuration. Default: no.
    pub link_local: bool,
    /// UDP ports to bind, inclusive. Default: any free port.
    pub ports: Option<RangeInclusive<u16>>,
    /// Public address or host name of a 1:1 NAT in front of this machine, offered in place of its
    /// own. Default: none.
    pub public_host: Option<String>,
    /// Opens the streams to TURN servers on TCP and TLS: trust, proxy, deadlines.
    pub outbound: Outbound,
    /// Opens all UDP sockets through this instead of the kernel, one socket per dial. Server
    /// reflexive candidates are not gathered then. For tests and demos; see `impair`.
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    pub udp: Option<std::sync::Arc<dyn crate::wire::UdpWire>>,
}

impl Default for WebRtcConfig {
    fn default() -> Self {
        Self {
            ice_servers: Vec::new(),
            stun: true,
            policy: IcePolicy::All,
            labels: ChannelLabels::default(),
            datagram_channel: OWN_CHANNEL,
            max_chunk: MAX_CHUNK,
            send_buffer: DEFAULT_RELIABLE_BYTES,
            reliable_queue: DEFAULT_RELIABLE_BYTES,
            datagram_queue: DEFAULT_DATAGRAM_BYTES,
            deadlines: StageDeadlines::default(),
            ice_timeouts: IceTimeouts::default(),
            ice_restart: IceRestart::default(),
            ping_interval: Duration::from_millis(500),
            loopback: false,
            link_local: false,
            ports: None,
            public_host: None,
            outbound: Outbound::default(),
            #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
            udp: None,
        }
    }
}

impl WebRtcConfig {
    /// Returns the name of the transport these settings make: `webrtc`, or `webrtc-turn` when only
    /// relayed candidates may be used.
    pub fn id(&self) -> TransportId {
        match self.policy {
            IcePolicy::All => crate::ID,
            IcePolicy::RelayOnly => crate::TURN_ID,
        }
    }

    /// Returns these settings for the first rung of a ladder: nothing is relayed. Of its servers at most four are kept, to be
    /// asked for this machine's address: STUN servers, and TURN servers over UDP, which answer the same question on the
    /// same port (RFC 8656 §7) and need no credentials for it.
    #[must_use]
    pub fn direct(mut self) -> Self {
        self.policy = IcePolicy::All;
        let mut urls = Vec::new();
        for url in self.ice_servers.iter().flat_map(|server| &server.urls).filter_map(IceUrl::as_stun) {
            if self.stun && urls.len() < MOST_STUN && !urls.contains(&url) {
                urls.push(url);
            }
        }
        self.ice_servers = if urls.is_empty() { Vec::new() } else { vec![IceServer::new(urls)] };
        self
    }

    /// Returns these settings for the rung through TURN: relayed candidates only.
    #[must_use]
    pub fn relayed(mut self) -> Self {
        self.policy = IcePolicy::RelayOnly;
        self
    }

    /// Says whether any TURN server is configured.
    pub fn has_turn(&self) -> bool {
        self.turn_urls().next().is_some()
    }

    pub(crate) fn turn_urls(&self) -> impl Iterator<Item = (&IceServer, &IceUrl)> {
        self.ice_servers
            .iter()
            .flat_map(|server| server.urls.iter().map(move |url| (server, url)))
            .filter(|(_, url)| matches!(url.scheme, Scheme::Turn | Scheme::Turns))
    }

    /// Checks what no type can.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if self.max_chunk.get() > MAX_FRAME || self.max_chunk.get() < MIN_CHUNK {
            return Err(ConfigError::MaxChunk);
        }
        if self.labels.ctrl == self.labels.term || self.labels.ctrl.is_empty() || self.labels.term.is_empty()
        {
            return Err(ConfigError::Labels);
        }
        if self.labels.ctrl.len().max(self.labels.term.len()) > MAX_LABEL {
            return Err(ConfigError::Labels);
        }
        if self.ports.as_ref().is_some_and(|ports| ports.is_empty() || *ports.start() == 0) {
            return Err(ConfigError::Ports);
        }
        if self.policy == IcePolicy::RelayOnly && !self.has_turn() {
            return Err(ConfigError::RelayWithoutTurn);
        }
        if self.turn_urls().any(|(server, _)| server.username.is_empty() || server.credential.is_empty()) {
            return Err(ConfigError::TurnCredentials);
        }
        if self.ping_interval.is_zero() {
            return Err(ConfigError::PingInterval);
        }
        Ok(())
    }
}

/// Which ICE candidates may be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum IcePolicy {
    /// Host, server reflexive and relayed.
    #[default]
    All,
    /// Relayed only: the rung `webrtc-turn`.
    RelayOnly,
}

/// Names of the data channels.
///
/// # Defaults
///
/// `beach/ctrl/1` and `beach/term/1`; the number is the version of what travels on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelLabels {
    /// The reliable, ordered channel. `BEACH_DC_CTRL_LABEL`.
    pub ctrl: String,
    /// The unordered channel without retransmission. `BEACH_DC_TERM_LABEL`.
    pub term: String,
}

impl Default for ChannelLabels {
    fn default() -> Self {
        Self { ctrl: "beach/ctrl/1".to_owned(), term: "beach/term/1".to_owned() }
    }
}

/// A secret that is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credential(String);

impl Credential {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Says whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

const MAX_CHUNK: NonZeroUsize = NonZeroUsize::new(MAX_FRAME).unwrap();
const DEFAULT_RELIABLE_BYTES: NonZeroUsize = NonZeroUsize::new(256 * 1024).unwrap();
const DEFAULT_DATAGRAM_BYTES: NonZeroUsize = NonZeroUsize::new(64 * 1024).unwrap();

/// webrtc-sctp 0.17.2 reads no packet in which more follows behind word of a datagram that was given up (FORWARD-TSN), and a
/// browser sends such packets: one lost datagram can hold up all that is behind it. So a page gives none up.
const OWN_CHANNEL: bool = !cfg!(all(target_family = "wasm", target_os = "unknown"));

/// The contract's smallest reliable message, plus our prefix.
const MIN_CHUNK: usize = transport_core::lane::MIN_RELIABLE_MESSAGE + PREFIX;

/// A label travels in the channel's open message, which must fit one packet.
const MAX_LABEL: usize = 128;

/// STUN servers that one dial asks at most: each costs a socket for IPv4 and one for IPv6.
const MOST_STUN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cross_field_rule_names_its_field() {
        let check = |change: fn(&mut WebRtcConfig)| {
            let mut config = WebRtcConfig::default();
            change(&mut config);
            config.validate()
        };
        assert_eq!(check(|_| {}), Ok(()));
        assert_eq!(
            check(|c| c.max_chunk = NonZeroUsize::new(MAX_FRAME + 1).unwrap()),
            Err(ConfigError::MaxChunk)
        );
        assert_eq!(check(|c| c.max_chunk = NonZeroUsize::new(1200).unwrap()), Err(ConfigError::MaxChunk));
        assert_eq!(check(|c| c.max_chunk = NonZeroUsize::new(1201).unwrap()), Ok(()));
        assert_eq!(check(|c| c.labels.term = c.labels.ctrl.clone()), Err(ConfigError::Labels));
        assert_eq!(check(|c| c.ports = Some(0..=9)), Err(ConfigError::Ports));
        assert_eq!(check(|c| c.policy = IcePolicy::RelayOnly), Err(ConfigError::RelayWithoutTurn));
        assert_eq!(
            check(|c| c.ice_servers = vec![IceServer::new(["turn:host".parse().unwrap()])]),
            Err(ConfigError::TurnCredentials)
        );
    }

    #[test]
    fn credentials_are_never_shown() {
        let server = IceServer::new(["turn:host".parse().unwrap()]).with_credentials("user", "hunter2");
        let config = WebRtcConfig { ice_servers: vec![server], ..WebRtcConfig::default() };
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn the_direct_rung_asks_turn_servers_for_an_address_and_the_relayed_one_has_its_own_name() {
        let urls = ["stun:a", "turn:a", "turn:b", "turns:c", "turn:d?transport=tcp", "stun:e:1", "turn:e:1"];
        let server = IceServer::new(urls.map(|url| url.parse().unwrap())).with_credentials("user", "secret");
        let config = WebRtcConfig { ice_servers: vec![server], ..WebRtcConfig::default() };
        let direct = config.clone().direct();
        assert!(!direct.has_turn() && direct.ice_servers[0].username.is_empty(), "{direct:?}");
        let asked: Vec<String> = direct.ice_servers[0].urls.iter().map(ToString::to_string).collect();
        assert_eq!(asked, ["stun:a:3478", "stun:b:3478", "stun:e:1"]);
        let silent = WebRtcConfig { stun: false, ..config.clone() };
        assert_eq!(silent.direct().ice_servers, []);
        assert_eq!(config.id().as_str(), "webrtc");
        assert_eq!(config.relayed().id().as_str(), "webrtc-turn");
    }
}
