//! What a live transport knows about itself.

use crate::time::Duration;

/// A snapshot of one transport. Counters are cumulative since the link opened. Made with [`Stats::new`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
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

impl Stats {
    /// Makes the statistics of a transport that measures neither round trips nor loss.
    pub fn new(datagram: LaneStats, reliable: LaneStats) -> Self {
        Self { datagram, reliable, rtt: None, loss: None }
    }

    /// Adds the measured round-trip time.
    #[must_use]
    pub fn with_rtt(mut self, rtt: Option<Duration>) -> Self {
        self.rtt = rtt;
        self
    }

    /// Adds the measured share of packets lost.
    #[must_use]
    pub fn with_loss(mut self, loss: Option<f32>) -> Self {
        self.loss = loss;
        self
    }
}

/// Counters of one lane, and its queue depth. Starts from [`LaneStats::default`], all zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneStats {
    /// Messages accepted from the application.
    pub accepted_messages: u64,
    /// Bytes accepted from the application.
    pub accepted_bytes: u64,
    /// Messages handed to the path.
    pub sent_messages: u64,
    /// Bytes handed to the path, payload only.
    pub sent_bytes: u64,
    /// Messages that `recv` handed out. One that came and was evicted is not among them.
    pub received_messages: u64,
    /// Bytes that `recv` handed out, payload only.
    pub received_bytes: u64,
    /// Messages evicted, dropped or rejected. Always 0 on the reliable lane.
    pub dropped_messages: u64,
    /// Gauge: bytes accepted and not yet handed to the path.
    pub queued_bytes: usize,
}
