//! What a resume machine tells its owner.

use bytes::Bytes;

use crate::{
    close::{CloseCode, Text},
    ids::Generation,
    lane::Lane,
    time::Duration,
};

/// Something the owner must know. Taken with [`Resume::poll_event`](super::Resume::poll_event).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Both sides introduced themselves on this generation: what is sent from here on goes there.
    Attached {
        /// The generation.
        generation: Generation,
        /// Segments that go out again because the other side has not acknowledged them.
        resent_segments: u64,
    },
    /// A datagram arrived whole.
    Datagram(Bytes),
    /// The peer sends nothing more on this older generation. Once the current one is newer here
    /// too, its transport can be closed.
    Drained {
        /// The generation.
        generation: Generation,
    },
    /// The session cannot be resumed. It is over; unacknowledged messages may be lost.
    Expired {
        /// Why.
        why: Expiry,
        /// Payload bytes that were accepted and never acknowledged.
        unacknowledged: usize,
    },
    /// Segments are gone that can never be had again. The session is over.
    Gap {
        /// The first number that is missing.
        from: u64,
        /// The first number that is not.
        to: u64,
    },
    /// The next message, once, in order. Give its credit back with
    /// [`Resume::consumed`](super::Resume::consumed).
    Message(Bytes),
    /// The peer closed the session. Everything it sent before has been delivered.
    PeerClosed {
        /// Why, for programs.
        code: CloseCode,
        /// Why, for a person. Written by the peer.
        reason: Text,
    },
    /// The peer's messages end here; this direction may go on.
    PeerFin,
    /// A ping came back.
    RttSample(Duration),
}

/// Why a session cannot be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Expiry {
    /// The peer came back without its state.
    PeerRestarted,
    /// No generation was attached for the whole resume window.
    Window,
}

impl Expiry {
    /// Returns its name in metrics and logs: a closed set.
    pub const fn label(self) -> &'static str {
        match self {
            Self::PeerRestarted => "peer_restarted",
            Self::Window => "window",
        }
    }
}

/// A frame to send now. See [`Resume::poll_transmit`](super::Resume::poll_transmit).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// The generation whose transport carries it.
    pub generation: Generation,
    /// The lane it goes on.
    pub lane: Lane,
    /// The encoded frame.
    pub payload: Bytes,
}

/// A snapshot. Counters are cumulative since the session began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResumeStats {
    /// Gauge: payload bytes accepted and not acknowledged.
    pub pending_bytes: usize,
    /// Gauge: weight on the wire of the present generation.
    pub in_flight: usize,
    /// Gauge: payload bytes handed to the application and not consumed.
    pub unread_bytes: usize,
    /// Smoothed round-trip time of the present generation.
    pub rtt: Option<Duration>,
    /// The generation that carries what is sent, if any.
    pub current: Option<Generation>,
    /// Generations that became the current one.
    pub attachments: u64,
    /// Messages delivered to the application.
    pub messages_received: u64,
    /// Segments handed out again after a switch.
    pub segments_resent: u64,
    /// Small segments handed out again on the datagram lane because their acknowledgement was late.
    pub segments_repeated: u64,
    /// Segments that came twice and were dropped.
    pub duplicates: u64,
    /// Datagrams dropped: no generation, no room, or never complete.
    pub datagrams_dropped: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_labelled_for_metrics() {
        assert_eq!([Expiry::PeerRestarted, Expiry::Window].map(Expiry::label), ["peer_restarted", "window"]);
    }
}
