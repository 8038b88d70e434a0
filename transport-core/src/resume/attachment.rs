//! One generation as a resume machine sees it.

use std::{collections::VecDeque, num::NonZeroUsize};

use bytes::{Bytes, BytesMut};

use super::{
    REPEATED, SEGMENT,
    error::ProtocolError,
    event::Transmit,
    frame::{DATA_OVERHEAD, Data, End, REPEAT_OVERHEAD},
};
use crate::{
    fragment::FRAGMENT_HEADER,
    lane::{Carriage, Profile},
    time::Instant,
};

/// What is known about one attached transport.
#[derive(Debug)]
pub(super) struct Attachment {
    pub(super) since: Instant,
    pub(super) limits: Limits,
    /// The next-expected number this side put into its attach frame, once that was handed out.
    pub(super) told_next: Option<u64>,
    /// The peer's attach frame arrived.
    pub(super) introduced: bool,
    /// Datagrams that overtook it.
    pub(super) early: Early,
    /// A newer generation carries what is sent.
    pub(super) superseded: bool,
    pub(super) drain_sent: bool,
    pub(super) close_sent: bool,
    /// The id of the newest ping to answer: older ones no longer matter.
    pub(super) pong: Option<u64>,
    /// The same of the newest repeat.
    pub(super) heard: Option<u64>,
    /// Frames the transport refused, first to go out again.
    pub(super) returned: VecDeque<Transmit>,
    /// The transport is full; nothing is handed out until it has room.
    pub(super) blocked: bool,
    /// Weight of the segments that came on it.
    pub(super) arrived: u64,
    /// The number the next segment on this generation must have.
    recv_next: Option<u64>,
    /// Pieces of a segment that has not ended.
    partial: BytesMut,
}

/// How much fits into the transport's messages and on its path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Payload bytes of one data frame.
    pub(super) piece: NonZeroUsize,
    /// Bytes of one fragment, header included; `None` when the lane is too narrow for any.
    pub(super) fragment: Option<NonZeroUsize>,
    pub(super) in_flight: usize,
    /// Payload bytes of a segment that may be repeated on the datagram lane; 0 where that loses nothing alone.
    pub(super) repeat: usize,
}

/// Fragments that arrived before their sender said which instance of the peer it is. They are handed on once it turns out
/// to be the one this session is with.
#[derive(Debug, Default)]
pub(super) struct Early {
    fragments: Vec<Bytes>,
    bytes: usize,
}

impl Early {
    /// Keeps a fragment; `false` when too many wait already.
    pub(super) fn push(&mut self, fragment: Bytes) -> bool {
        // With a header, so that a flood of empty ones is bounded too.
        let bytes = self.bytes + FRAGMENT_HEADER + fragment.len();
        if bytes > EARLY {
            return false;
        }
        self.bytes = bytes;
        self.fragments.push(fragment);
        true
    }

    /// Takes what was kept.
    pub(super) fn take(&mut self) -> Vec<Bytes> {
        std::mem::take(self).fragments
    }
}

impl Attachment {
    pub(super) fn new(since: Instant, profile: &Profile) -> Self {
        let room = |max: NonZeroUsize, overhead| NonZeroUsize::new(max.get().saturating_sub(overhead));
        let limits = Limits {
            // Reliable lanes take at least `MIN_RELIABLE_MESSAGE`; one that lies gets single bytes.
            piece: room(profile.reliable.max_message, DATA_OVERHEAD).unwrap_or(NonZeroUsize::MIN),
            fragment: room(profile.datagram.max_message, 1),
            in_flight: profile.in_flight.get(),
            // A lane that is acted out on top of the reliable one stands still with it.
            repeat: match profile.datagram.carriage {
                Carriage::Emulated => 0,
                Carriage::Native => {
                    profile.datagram.max_message.get().saturating_sub(REPEAT_OVERHEAD).min(REPEATED)
                }
            },
        };
        Self {
            since,
            limits,
            told_next: None,
            introduced: false,
            early: Early::default(),
            superseded: false,
            drain_sent: false,
            close_sent: false,
            pong: None,
            heard: None,
            returned: VecDeque::new(),
            blocked: false,
            arrived: 0,
            recv_next: None,
            partial: BytesMut::new(),
        }
    }

    /// Checks that `seq` follows the one before on this generation. Segments below `received` may be
    /// skipped, even half-way: they came late on an older generation, and the peer learnt it.
    pub(super) fn check_order(&mut self, seq: u64, received: u64) -> Result<(), ProtocolError> {
        match self.recv_next {
            Some(expected) if seq > expected && seq <= received => self.partial.clear(),
            Some(expected) if expected != seq => {
                return Err(ProtocolError::SegmentJump { expected, found: seq });
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds a piece; returns the segment once it is whole, and whether its message ends with it.
    pub(super) fn join(&mut self, data: Data) -> Result<Option<(Bytes, bool)>, ProtocolError> {
        if self.partial.len() + data.payload.len() > SEGMENT {
            return Err(ProtocolError::MessageTooLong);
        }
        self.recv_next = Some(data.seq);
        if data.end == End::Nothing {
            self.partial.extend_from_slice(&data.payload);
            return Ok(None);
        }
        let segment = if self.partial.is_empty() {
            data.payload
        } else {
            self.partial.extend_from_slice(&data.payload);
            std::mem::take(&mut self.partial).freeze()
        };
        self.advance(data.seq);
        Ok(Some((segment, data.end == End::Message)))
    }

    /// Notes that `seq` arrived whole.
    pub(super) fn advance(&mut self, seq: u64) {
        self.recv_next = seq.checked_add(1);
    }

    /// Returns the number of the segment that the reliable lane brings next.
    pub(super) fn lane_next(&self) -> u64 {
        self.recv_next.or(self.told_next).unwrap_or(0)
    }

    /// Says whether pieces of a segment wait for the rest.
    pub(super) fn inside_segment(&self) -> bool {
        !self.partial.is_empty()
    }
}

/// Bytes that wait for an introduction. Its sender may send datagrams as soon as it knows this side, so what overtakes
/// its attach frame is what the path holds at most.
pub(super) const EARLY: usize = 64 * 1024;
