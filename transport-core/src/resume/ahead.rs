//! How much may be under way, and how long segments are.

use super::{SEGMENT, frame::DATA_OVERHEAD};
use crate::secure::SEAL_OVERHEAD;

/// What a path carries at a time, as whoever measures it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// Weight that may be under way.
    pub bytes: usize,
    /// The same when the next segment is a [small](SMALL) one: a key does not wait for an ack of the bulk in front of it.
    pub small: usize,
    /// Payload bytes of a segment.
    pub segment: usize,
}

impl Ahead {
    /// No limit but the transport's own.
    pub const UNLIMITED: Self = Self { bytes: usize::MAX, small: usize::MAX, segment: SEGMENT };

    /// Lets `bytes` be under way: small segments exceed it by a half at most, and a segment is an eighth of it.
    pub const fn of(bytes: usize) -> Self {
        let half = bytes / 2;
        let small = bytes.saturating_add(if half < SMALL_AHEAD { half } else { SMALL_AHEAD });
        Self { bytes, small, segment: SEGMENT }.in_segments(bytes / 8)
    }

    /// Sets the length of segments, rounded to what fills whole packets: between [`UNIT`] and [`SEGMENT`].
    #[must_use]
    pub const fn in_segments(self, length: usize) -> Self {
        let whole = length / UNIT * UNIT;
        let segment = if whole < UNIT { UNIT } else { whole };
        Self { segment: if segment < SEGMENT { segment } else { SEGMENT }, ..self }
    }

    /// The same on a path that holds `in_flight`.
    pub(super) fn within(self, in_flight: usize) -> Self {
        Self { bytes: self.bytes.min(in_flight), small: self.small.min(in_flight), ..self }
    }

    /// Returns what may be under way with a segment of this length.
    pub(super) fn bytes_for(self, payload: usize) -> usize {
        if payload <= SMALL { self.small } else { self.bytes }
    }
}

/// The longest small message: what a person types, and what answers it.
pub const SMALL: usize = 512;

/// Bytes by which small messages may exceed a limit; more of them are bulk.
const SMALL_AHEAD: usize = 16 * 1024;

/// Payload bytes of the shortest segment a longer message is cut into: with everything around it one packet.
pub const UNIT: usize = 1_104;

/// What the least of data channels puts into one packet of 1,280 bytes, IP's header and all: webrtc 0.17.2. What is longer
/// takes a second packet, however little is in it.
const PACKET: usize = 1_163;

/// What a data channel's frame adds to a message.
const CHANNEL_PREFIX: usize = 1;

const _: () = assert!(UNIT + DATA_OVERHEAD + SEAL_OVERHEAD + CHANNEL_PREFIX <= PACKET);
