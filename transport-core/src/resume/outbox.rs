//! What was accepted from the application and is not yet acknowledged.
//!
//! A message is cut into segments as they are handed out, each as long as the path of that moment deserves: what is
//! under way stands before everything that is accepted later, and only whole segments are acknowledged. Once handed out
//! a segment stays as it is, for the next generation too.

mod little;

use std::{collections::VecDeque, num::NonZeroUsize};

use bytes::Bytes;

pub(super) use self::little::UnderWay;
use super::{Ahead, MAX_MESSAGE, SEGMENT, SEGMENT_OVERHEAD, UNIT, frame::End, inbox::MIN_WINDOW, weight};
use crate::{
    error::{Refusal, Refused},
    time::Instant,
};

/// Unacknowledged segments in order of their numbers, the place up to which they were handed to the
/// present generation, and the messages that are still to be cut.
#[derive(Debug)]
pub(super) struct Outbox {
    segments: VecDeque<Segment>,
    waiting: VecDeque<Waiting>,
    /// Number of the first segment in the box: everything below is acknowledged.
    base: u64,
    /// Number of the next segment to hand out on the present generation.
    cursor: u64,
    /// Everything below went out on the datagram lane at least. At or behind the cursor unless small segments go ahead of
    /// a reliable lane that stands still.
    early: u64,
    /// The number after the last segment that the reliable lane of the present generation took.
    lane_end: u64,
    /// Bytes of the segment at the cursor that already went out in pieces.
    piece: usize,
    /// Everything below was handed out at least once.
    sent: u64,
    /// Everything below was handed out on an older generation too: when it went says nothing about the present path.
    again: u64,
    /// Weight of all segments below `base`.
    base_total: u64,
    /// Weight of all segments ever cut.
    cut_total: u64,
    /// Weight of what waits, cut as long as may be.
    waiting_weight: u64,
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
    /// How often it was repeated on the present generation, and when last.
    repeats: u8,
    repeated_at: Option<Instant>,
}

/// A message that is not cut, or what is left of it.
#[derive(Debug)]
struct Waiting {
    /// Empty for the fin.
    payload: Bytes,
    /// The least a segment of it may hold, but for its last one: the overhead of all of them must fit the smallest window
    /// a peer grants.
    least: usize,
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
            waiting: VecDeque::new(),
            base: 0,
            cursor: 0,
            early: 0,
            lane_end: 0,
            piece: 0,
            sent: 0,
            again: 0,
            base_total: 0,
            cut_total: 0,
            waiting_weight: 0,
            payload_bytes: 0,
            bound: bound.get(),
        }
    }

    /// Accepts a message, or hands it back.
    pub(super) fn try_push(&mut self, payload: Bytes) -> Result<(), Refused> {
        let why = if payload.is_empty() {
            Refusal::Empty
        } else if payload.len() > MAX_MESSAGE.get() {
            Refusal::TooLarge { limit: MAX_MESSAGE }
        } else if !self.has_room() {
            Refusal::Full
        } else {
            self.append(payload);
            return Ok(());
        };
        Err(Refused::new(payload, why))
    }

    /// Appends the fin.
    pub(super) fn finish(&mut self) {
        self.append(Bytes::new());
    }

    /// Takes back to `next` where the next generation starts, at the lowest to what is still
    /// held. Returns how many segments go out again.
    pub(super) fn rewind(&mut self, next: u64) -> u64 {
        self.cursor = next.clamp(self.base, self.sent);
        (self.early, self.lane_end) = (self.cursor, self.cursor);
        self.piece = 0;
        self.again = self.sent;
        let keep = usize::try_from(self.cursor - self.base).unwrap_or(usize::MAX);
        for segment in self.segments.iter_mut().skip(keep) {
            (segment.sent_at, segment.repeats, segment.repeated_at) = (None, 0, None);
        }
        self.sent - self.cursor
    }

    /// Forgets everything below `received`. Returns when the last of it was handed out, unless it had been handed out on
    /// an older generation too, or repeated: nobody knows then what was acknowledged.
    ///
    /// # Errors
    ///
    /// The number up to which something was handed out, when `received` lies beyond it.
    pub(super) fn acknowledge(&mut self, received: u64) -> Result<Option<Instant>, u64> {
        if received > self.sent {
            return Err(self.sent);
        }
        let mut handed_out = None;
        while self.base < received {
            // `base < received <= sent` are all held: `sent` never passes the end of the box.
            let Some(segment) = self.segments.pop_front() else { break };
            handed_out = segment.sent_at.filter(|_| self.base >= self.again && segment.repeats == 0);
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
        Ok(handed_out)
    }

    /// Takes the next piece of at most `limit` bytes, if flow control lets it go: no more than
    /// `ahead` of weight on the wire (but always one segment), none beyond `credit`.
    pub(super) fn next(
        &mut self,
        now: Instant,
        limit: NonZeroUsize,
        ahead: Ahead,
        credit: u64,
    ) -> Option<Piece> {
        let from = self.piece;
        if from == 0 && !self.may_go(ahead, credit) {
            return None;
        }
        let at = usize::try_from(self.cursor - self.base).ok()?;
        if at == self.segments.len() {
            self.cut(ahead.segment);
        }
        let segment = self.segments.get_mut(at)?;
        segment.sent_at.get_or_insert(now);
        let (seq, payload, ends_message) = (self.cursor, segment.payload.clone(), segment.ends_message);
        let to = payload.len().min(from + limit.get());
        let whole = to == payload.len();
        if whole {
            self.cursor += 1;
            self.lane_end = self.cursor;
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

    /// Says whether something waits to be handed out that the peer grants.
    pub(super) fn is_held(&self, credit: u64) -> bool {
        self.piece > 0 || self.segment_at(self.front(), UNIT).is_some_and(|(_, total)| total <= credit)
    }

    /// Says whether the segment at the cursor may begin.
    fn may_go(&self, ahead: Ahead, credit: u64) -> bool {
        self.segment_at(self.cursor, ahead.segment).is_some_and(|(payload, end_total)| {
            let beyond =
                self.in_flight() > 0 && end_total - self.base_total > ahead.bytes_for(payload) as u64;
            end_total <= credit && !beyond
        })
    }

    /// Returns the payload's length of this segment, cut or as it would be, and the weight up to its end.
    fn segment_at(&self, seq: u64, length: usize) -> Option<(usize, u64)> {
        let at = usize::try_from(seq - self.base).ok()?;
        if let Some(segment) = self.segments.get(at) {
            return Some((segment.payload.len(), segment.end_total));
        }
        let cut = self.waiting.front()?.cut(length);
        Some((cut, self.cut_total + weight(cut)))
    }

    /// Cuts the next segment off what waits.
    fn cut(&mut self, length: usize) {
        let Some(waiting) = self.waiting.front_mut() else { return };
        self.waiting_weight -= waiting.weight();
        let payload = waiting.payload.split_to(waiting.cut(length));
        let ends_message = waiting.payload.is_empty();
        if ends_message {
            self.waiting.pop_front();
            if self.waiting.is_empty() {
                self.waiting.shrink_to(16);
            }
        } else {
            self.waiting_weight += waiting.weight();
        }
        self.cut_total += weight(payload.len());
        let end_total = self.cut_total;
        self.segments.push_back(Segment {
            payload,
            ends_message,
            end_total,
            sent_at: None,
            repeats: 0,
            repeated_at: None,
        });
    }

    /// Returns the number of the next segment that went on neither lane.
    fn front(&self) -> u64 {
        self.cursor.max(self.early)
    }

    /// Forgets everything: the session is over.
    pub(super) fn clear(&mut self) {
        (self.segments, self.waiting) = (VecDeque::new(), VecDeque::new());
        self.payload_bytes = 0;
        self.waiting_weight = 0;
        let end = self.front();
        (self.base, self.sent, self.cursor, self.early, self.lane_end) = (end, end, end, end, end);
        self.piece = 0;
        self.base_total = self.cut_total;
    }

    pub(super) fn has_room(&self) -> bool {
        self.cut_total - self.base_total + self.waiting_weight < self.bound as u64
    }

    /// Returns the first number that is not acknowledged.
    pub(super) fn base(&self) -> u64 {
        self.base
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
        self.segments.is_empty() && self.waiting.is_empty()
    }

    /// Returns the weight of what was handed to the present generation and is not acknowledged.
    pub(super) fn in_flight(&self) -> usize {
        let ahead = usize::try_from(self.front() - self.base).unwrap_or(usize::MAX);
        let before = ahead.checked_sub(1).and_then(|at| self.segments.get(at));
        let whole = before.map_or(0, |segment| segment.end_total - self.base_total);
        usize::try_from(whole).unwrap_or(usize::MAX) + self.piece
    }

    /// Returns when the oldest segment under way was handed to the present generation.
    pub(super) fn oldest_sent_at(&self) -> Option<Instant> {
        self.segments.front()?.sent_at
    }

    fn append(&mut self, payload: Bytes) {
        self.payload_bytes += payload.len();
        let least = least(payload.len());
        let waiting = Waiting { payload, least };
        self.waiting_weight += waiting.weight();
        self.waiting.push_back(waiting);
    }
}

impl Waiting {
    /// Returns the length of the next segment, where segments of `length` are wanted.
    fn cut(&self, length: usize) -> usize {
        let (length, rest) = (length.max(self.least).min(SEGMENT), self.payload.len());
        // A little more goes along: as a segment of its own it would cost another round of headers.
        if rest <= (length + length / 4).min(SEGMENT) { rest } else { length }
    }

    fn weight(&self) -> u64 {
        let segments = self.payload.len().div_ceil(SEGMENT).max(1) as u64;
        self.payload.len() as u64 + segments * SEGMENT_OVERHEAD
    }
}

/// The least a segment of a message of this length may hold.
fn least(message: usize) -> usize {
    let room = MIN_WINDOW - SEGMENT_OVERHEAD - message as u64;
    message.div_ceil(usize::try_from(room / SEGMENT_OVERHEAD).unwrap_or(usize::MAX))
}
