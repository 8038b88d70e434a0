//! What a session has carried, at one moment.

use transport_core::Generation;

use crate::runtime::{Duration, Instant};

/// What flowed, for health samples and status lines.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    /// Counter: payload accepted on the reliable lane.
    pub(crate) accepted_bytes: u64,
    /// Counter: payload accepted on the datagram lane.
    pub(crate) datagram_bytes: u64,
    /// Gauge: accepted on the reliable lane and not acknowledged.
    pub(crate) pending_bytes: usize,
    /// Gauge: of those, handed to the path.
    pub(crate) under_way: usize,
    /// Age of the oldest segment under way; zero when nothing is.
    pub(crate) oldest_unacked: Duration,
    /// For how long nothing has come over the link that carries the session.
    pub(crate) last_heard: Duration,
    /// Measured by the session's own pings.
    pub(crate) rtt: Option<Duration>,
    /// The generation that carries the session.
    pub(crate) current: Option<Generation>,
    /// When anything was last heard from the peer, on any link.
    pub(crate) heard: Option<Instant>,
}

impl Traffic {
    /// Payload of the reliable lane that the peer acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.accepted_bytes - self.pending_bytes as u64
    }
}
