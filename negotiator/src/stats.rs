//! What a session has carried, in figures.

use serde::Serialize;

use crate::runtime::Duration;

/// Figures of one session at one moment. Counters grow over all its paths, gauges are of now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SessionStats {
    /// Counter: payload bytes of messages accepted from the application.
    pub accepted_bytes: u64,
    /// Counter: of those, acknowledged by the peer.
    pub acknowledged_bytes: u64,
    /// Counter: payload bytes of datagrams accepted from the application. Some may never arrive.
    pub datagram_bytes: u64,
    /// Counter: messages that arrived.
    pub messages_received: u64,
    /// Counter: datagrams of either direction that were dropped: no path, no room, or never complete.
    pub datagrams_dropped: u64,
    /// Counter: pieces of messages sent again after a change of path.
    pub segments_resent: u64,
    /// Counter: small pieces sent again on the datagram lane because their acknowledgement was late.
    pub segments_repeated: u64,
    /// Counter: pieces that arrived twice; the application saw them once.
    pub duplicates: u64,
    /// Counter: links that have carried the session; one more than its changes of path.
    pub links: u64,
    /// Gauge: payload bytes accepted and not acknowledged. What a crash now would leave in doubt.
    pub unacknowledged_bytes: usize,
    /// Gauge: payload bytes that arrived and were not taken by the application.
    pub unread_bytes: usize,
    /// Gauge: round trip of the present path, measured by the session's own pings and smoothed.
    #[serde(rename = "rtt_ms", serialize_with = "millis")]
    pub rtt: Option<Duration>,
}

fn millis<S: serde::Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64() * 1e3).serialize(serializer)
}
