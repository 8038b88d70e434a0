//! What the relay plane can be told, with its defaults.

use std::time::Duration;

use beach_lifeguard_client::{frame::MAX_FRAME_BYTES, hello, hello::HELLO_DEADLINE};

use super::{hop::InternalConfig, idle::Patience, outbound::Budget, registry::Wire};
use crate::limit::Rate;

/// The relay plane's configuration. `docs/defaults.md` gives the reason for each number.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RelayConfig {
    /// Where clients reach this node, `wss://…/v2/ws`: makes it a node of the pool that shares its store. Default none:
    /// one relay, which the control plane names by itself.
    pub public_url: Option<String>,
    /// Where this node stands; control planes of the same region prefer it. Default empty.
    pub region: String,
    /// How other nodes of the pool reach this one. Default none: clients that come to the wrong node are sent to the right one.
    pub internal: Option<InternalConfig>,
    /// Origins of pages that may connect, matched exactly. Default none: only programs connect.
    pub allowed_origins: Vec<String>,
    /// Whether the deployed wire, version 1, is served beside version 2. Default yes.
    pub v1: bool,
    /// Whether `/v2/stream` carries what `/v2/ws` does for networks that let no WebSocket through. Default yes.
    pub http_carrier: bool,
    /// Largest v1 message in bytes. Default 1 MiB: deployed clients send whole snapshots.
    pub v1_max_message: usize,
    /// Largest v2 frame in bytes, header included. Default 64 KiB, as in `docs/wire.md`.
    pub max_frame: usize,
    /// Peers in one session. Default 1,024.
    pub max_peers: usize,
    /// Time from the upgrade to the hello. Default 5 s.
    pub hello_deadline: Duration,
    /// Reliable bytes that may wait for one peer. Default 512 KiB. More forgives slower viewers and
    /// costs that much memory for each of them.
    pub reliable_budget: usize,
    /// Datagram bytes that may wait for one peer. Default 64 KiB; the oldest go first.
    pub datagram_budget: usize,
    /// Which code carries the bytes. Default the relay's own.
    #[cfg(feature = "reference-path")]
    pub data_path: DataPath,
    /// Heartbeat, idle limit and write deadline.
    pub patience: PatienceConfig,
    /// How fast senders may be.
    pub limits: LimitsConfig,
    /// How the relay says goodbye.
    pub drain: DrainConfig,
}

/// Which code carries the bytes. Clients cannot tell.
#[cfg(feature = "reference-path")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataPath {
    /// The relay's own: a message goes from the sender's task to the recipient's socket.
    #[default]
    Direct,
    /// A WebSocket library and a queue for each peer: slower, to compare with.
    Reference,
}

/// When silence is the end.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct PatienceConfig {
    /// Silence after which a peer is pinged, and how often clients say hello. Default 15 s; 0 is never.
    pub heartbeat: Duration,
    /// Heartbeats that may go unanswered. Default 3.
    pub missed: u32,
    /// No activity at all for this long ends a connection. Default 120 s; 0 is never.
    pub idle: Duration,
    /// A peer that takes no byte for this long while some wait is slow. Default 5 s.
    pub write_deadline: Duration,
}

/// How fast senders may be. A rate of 0 is no limit.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct LimitsConfig {
    /// Bytes per second from one connection. Default 64 MiB, burst 16 MiB.
    pub connection_bytes: Rate,
    /// Messages per second from one connection. Default 50,000, burst 10,000.
    pub connection_frames: Rate,
    /// Bytes per second from a connection with read-only access: handshakes and acks are small.
    /// Default 16 KiB, burst 64 KiB.
    pub read_only_bytes: Rate,
    /// Bytes per second into one session, from all its peers. Default 128 MiB, burst 32 MiB.
    pub session_bytes: Rate,
    /// Bytes per second out of the relay: the bill. Default 125 MB, a line of 1 Gbit/s.
    pub egress_bytes: Rate,
    /// New WebSocket connections per second from one address. Default 50, burst 200.
    pub address_connections: Rate,
    /// A sender that is held for this long without a break is cut. Default 30 s.
    pub patience: Duration,
}

/// How the relay says goodbye.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct DrainConfig {
    /// Time between the notice and the first departure. Default 5 s.
    pub grace: Duration,
    /// Clients leave, and come back elsewhere, spread evenly over this time after it. Who stays a second longer is
    /// closed. Default 10 s.
    pub spread: Duration,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            public_url: None,
            region: String::new(),
            internal: None,
            allowed_origins: Vec::new(),
            v1: true,
            http_carrier: true,
            v1_max_message: 1 << 20,
            max_frame: MAX_FRAME_BYTES,
            max_peers: 1_024,
            hello_deadline: HELLO_DEADLINE,
            reliable_budget: 512 * 1024,
            datagram_budget: 64 * 1024,
            #[cfg(feature = "reference-path")]
            data_path: DataPath::default(),
            patience: PatienceConfig::default(),
            limits: LimitsConfig::default(),
            drain: DrainConfig::default(),
        }
    }
}

impl Default for PatienceConfig {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(15),
            missed: 3,
            idle: Duration::from_secs(120),
            write_deadline: Duration::from_secs(5),
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        const MIB: u32 = 1 << 20;
        Self {
            connection_bytes: Rate { per_second: 64 * MIB, burst: 16 * MIB },
            connection_frames: Self::frames(50_000),
            read_only_bytes: Rate { per_second: 16 * 1024, burst: 64 * 1024 },
            session_bytes: Self::session(128 * MIB),
            egress_bytes: Self::egress(125_000_000),
            address_connections: Self::connections(50),
            patience: Duration::from_secs(30),
        }
    }
}

/// The bursts that go with rates of which only one number is set.
impl LimitsConfig {
    /// Messages from one connection: a fifth of a second's at once.
    pub(crate) fn frames(per_second: u32) -> Rate {
        Rate { per_second, burst: per_second.div_ceil(5) }
    }

    /// Bytes into one session: a quarter of a second's at once.
    pub(crate) fn session(per_second: u32) -> Rate {
        Rate { per_second, burst: per_second.div_ceil(4) }
    }

    /// Bytes out of the relay: a second's at once.
    pub(crate) fn egress(per_second: u32) -> Rate {
        Rate { per_second, burst: per_second }
    }

    /// New connections from one address: four seconds' at once.
    pub(crate) fn connections(per_second: u32) -> Rate {
        Rate { per_second, burst: per_second.saturating_mul(4) }
    }
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self { grace: Duration::from_secs(5), spread: Duration::from_secs(10) }
    }
}

impl RelayConfig {
    pub(super) fn budget(&self, wire: Wire) -> Budget {
        // Below its budget a peer takes one message of any legal size; v2's fit the budget many times.
        let slack = match wire {
            Wire::V1 => self.v1_max_message,
            Wire::V2 => V2_SLACK,
        };
        Budget { reliable: self.reliable_budget, datagram: self.datagram_budget, slack }
    }

    pub(super) fn hello_limits(&self) -> hello::Limits {
        let bytes = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        hello::Limits {
            frame_bytes: bytes(self.max_frame),
            reliable_bytes: bytes(self.reliable_budget),
            datagram_bytes: bytes(self.datagram_budget),
            // A quarter stays free for other senders and for what the relay itself has to say.
            in_flight_bytes: bytes(self.reliable_budget / 4 * 3),
        }
    }
}

impl From<PatienceConfig> for Patience {
    fn from(config: PatienceConfig) -> Self {
        let PatienceConfig { heartbeat, missed, idle, write_deadline } = config;
        Self { heartbeat, missed, idle, write_deadline }
    }
}

/// What the control frames of the relay may add to a full budget; 528 KiB in all.
const V2_SLACK: usize = 16 * 1024;
