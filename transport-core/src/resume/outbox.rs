//! What was accepted from the application and is not yet acknowledged.

use std::{collections::VecDeque, num::NonZeroUsize};

use bytes::Bytes;

use super::{MAX_MESSAGE, SEGMENT, frame::End, weight};
use crate::{
    error::{Refusal, Refused},
    time::Instant,
};

/// Unacknowledged segments in order of their numbers, and the place up to which they were handed
/// to the present generation.
#[derive(Debug)]
pub(super) struct Outbox {
    segments: VecDeque<Segment>,
    /// Number of the first segment in the box: everything below is acknowledged.
    base: u64,
    /// Number of the next segment to hand out on the present generation.
    cursor: u64,
    /// Bytes of the segment at the cursor that already went out in pieces.
    piece: usize,
    /// Everything below was handed out at least once.
    sent: u64,
    /// Weight of all segments below `base`.
    base_total: u64,
    /// Weight of all segments ever accepted.
    end_total: u64,
    payload_bytes: usize,
    bound: usize,
}

#[derive(Debug)]
struct Segment {
    /// Empty for the fin, which takes a number like a segment.
    payload: Bytes,
    ends_message: bool,
    /// Weight of everything up to and including this one.
    end_total: u64,
    /// When it was handed out on the present generation.
    sent_at: Option<Instant>,
}

/// What goes into the next data frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Data { seq: u64, end: End, payload: Bytes },
    Fin { seq: u64 },
}

impl Outbox {
    /// Makes an empty box that refuses once the weight of what it holds reaches `bound`.
    pub(super) fn new(bound: NonZeroUsize) -> Self {
        Self {
            segments: VecDeque::new(),
            base: 0,
            cursor: 0,
            piece: 0,
            sent: 0,
            base_total: 0,
            end_total: 0,
            payload_bytes: 0,
            bound: bound.get(),
        }
    }

    /// Accepts a message, cut into segments that share its memory, or hands it back.
    pub(super) fn try_push(&mut self, payload: Bytes) -> Result<(), Refused> {
        let why = if payload.is_empty() {
            Refusal::Empty
        } else if payload.len() > MAX_MESSAGE.get() {
            Refusal::TooLarge { limit: MAX_MESSAGE }
        } else if !self.has_room() {
            Refusal::Full
        } else {
            let mut rest = payload;
            while !rest.is_empty() {
                let segment = rest.split_to(SEGMENT.min(rest.len()));
                self.append(segment, rest.is_empty());
            }
            return Ok(());
        };
        Err(Refused::new(payload, why))
    }

    /// Appends the fin.
    pub(super) fn finish(&mut self) {
        self.append(Bytes::new(), true);
    }

    /// Takes back to `next` where the next generation starts, at the lowest to what is still
    /// held. Returns how many segments go out again.
    pub(super) fn rewind(&mut self, next: u64) -> u64 {
        self.cursor = next.clamp(self.base, self.sent);
        self.piece = 0;
        let keep = usize::try_from(self.cursor - self.base).unwrap_or(usize::MAX);
        for segment in self.segments.iter_mut().skip(keep) {
            segment.sent_at = None;
        }
        self.sent - self.cursor
    }

    /// Forgets everything below `received`.
    ///
    /// # Errors
    ///
    /// The number up to which something was handed out, when `received` lies beyond it.
    pub(super) fn acknowledge(&mut self, received: u64) -> Result<(), u64> {
        if received > self.sent {
            return Err(self.sent);
        }
        while self.base < received {
            // `base < received <= sent` are all held: `sent` never passes the end of the box.
            let Some(segment) = self.segments.pop_front() else { break };
            self.base += 1;
            self.base_total = segment.end_total;
            self.payload_bytes -= segment.payload.len();
        }
        if self.cursor < self.base {
            self.cursor = self.base;
            self.piece = 0;
        }
        if self.segments.is_empty() {
            // An idle session must not keep the memory of its busiest moment.
            self.segments.shrink_to(16);
        }
        Ok(())
    }

    /// Takes the next piece of at most `limit` bytes, if flow control lets it go: no more than
    /// `in_flight` of weight on the wire (but always one segment), none beyond `credit`.
    pub(super) fn next(
        &mut self,
        now: Instant,
        limit: NonZeroUsize,
        in_flight: usize,
        credit: u64,
    ) -> Option<Piece> {
        let (seq, from, on_wire) = (self.cursor, self.piece, self.in_flight());
        let base_total = self.base_total;
        let segment = self.at_cursor()?;
        let beyond = on_wire > 0 && segment.end_total - base_total > in_flight as u64;
        if from == 0 && (segment.end_total > credit || beyond) {
            return None;
        }
        segment.sent_at.get_or_insert(now);
        let (payload, ends_message) = (segment.payload.clone(), segment.ends_message);
        let to = payload.len().min(from + limit.get());
        let whole = to == payload.len();
        if whole {
            self.cursor += 1;
            self.piece = 0;
            self.sent = self.sent.max(self.cursor);
        } else {
            self.piece = to;
        }
        if payload.is_empty() {
            return Some(Piece::Fin { seq });
        }
        let end = match (whole, ends_message) {
            (false, _) => End::Nothing,
            (true, false) => End::Segment,
            (true, true) => End::Message,
        };
        Some(Piece::Data { seq, end, payload: payload.slice(from..to) })
    }

    /// Forgets everything: the session is over.
    pub(super) fn clear(&mut self) {
        self.segments = VecDeque::new();
        self.payload_bytes = 0;
        (self.base, self.sent) = (self.cursor, self.cursor);
        self.base_total = self.end_total;
    }

    pub(super) fn has_room(&self) -> bool {
        self.end_total - self.base_total < self.bound as u64
    }

    /// Returns the first number that was never handed out.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns the payload bytes not yet acknowledged.
    pub(super) fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// Says whether anything, the fin included, waits for its acknowledgement.
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Returns the weight of what was handed to the present generation and is not acknowledged.
    pub(super) fn in_flight(&self) -> usize {
        let ahead = usize::try_from(self.cursor - self.base).unwrap_or(usize::MAX);
        let before = ahead.checked_sub(1).and_then(|at| self.segments.get(at));
        let whole = before.map_or(0, |segment| segment.end_total - self.base_total);
        usize::try_from(whole).unwrap_or(usize::MAX) + self.piece
    }

    /// Returns when the oldest segment under way was handed to the present generation.
    pub(super) fn oldest_sent_at(&self) -> Option<Instant> {
        self.segments.front()?.sent_at
    }

    fn append(&mut self, payload: Bytes, ends_message: bool) {
        self.end_total += weight(payload.len());
        self.payload_bytes += payload.len();
        let end_total = self.end_total;
        self.segments.push_back(Segment { payload, ends_message, end_total, sent_at: None });
    }

    fn at_cursor(&mut self) -> Option<&mut Segment> {
        let at = usize::try_from(self.cursor - self.base).ok()?;
        self.segments.get_mut(at)
    }
}
