//! What a live transport knows about itself.

use crate::time::Duration;

/// A snapshot of one transport. Counters are cumulative since the link opened.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// The datagram lane.
    pub datagram: LaneStats,
    /// The reliable lane.
    pub reliable: LaneStats,
    /// Smoothed round-trip time, where the transport measures one.
    pub rtt: Option<Duration>,
    /// Share of packets lost, 0 to 1, where the transport can know.
    pub loss: Option<f32>,
}

/// Counters of one lane, and its queue depth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaneStats {
    /// Messages accepted from the application.
    pub accepted_messages: u64,
    /// Bytes accepted from the application.
    pub accepted_bytes: u64,
    /// Messages handed to the path.
    pub sent_messages: u64,
    /// Bytes handed to the path, payload only.
    pub sent_bytes: u64,
    /// Messages received from the path.
    pub received_messages: u64,
    /// Bytes received from the path, payload only.
    pub received_bytes: u64,
    /// Messages evicted, dropped or rejected. Always 0 on the reliable lane.
    pub dropped_messages: u64,
    /// Gauge: bytes accepted and not yet handed to the path.
    pub queued_bytes: usize,
}
