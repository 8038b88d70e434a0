//! What is repeated, and what goes past a reliable lane that stands still: few segments, and small ones.

use super::Outbox;
use crate::{
    resume::frame::{Data, End},
    time::Instant,
};

/// A segment that was handed out and is not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct UnderWay {
    pub(in super::super) seq: u64,
    /// When it last went out, on either lane.
    pub(in super::super) last: Instant,
    pub(in super::super) repeats: u8,
}

impl Outbox {
    /// Returns what is under way, if that is little: a few segments of at most `longest` payload, and no fin. Empty
    /// otherwise.
    pub(in super::super) fn little_under_way(&self, longest: usize) -> impl Iterator<Item = UnderWay> + '_ {
        let handed_out = usize::try_from(self.front() - self.base).unwrap_or(usize::MAX);
        let few = self.piece == 0 && handed_out <= FEW && self.in_flight() <= LITTLE;
        let handed_out = if few { handed_out } else { 0 };
        let small = |segment: &super::Segment| (1..=longest).contains(&segment.payload.len());
        let little = self.segments.iter().take(handed_out).all(small);
        let segments = self.segments.iter().take(if little { handed_out } else { 0 });
        (self.base..).zip(segments).filter_map(|(seq, segment)| {
            let last = segment.repeated_at.or(segment.sent_at)?;
            Some(UnderWay { seq, last, repeats: segment.repeats })
        })
    }

    /// Hands the next segment out on the datagram lane alone, if it is as small as all that is under way and `credit` lets
    /// it go. The reliable lane takes it later, or never when it is acknowledged before.
    pub(in super::super) fn next_early(&mut self, now: Instant, longest: usize, credit: u64) -> Option<Data> {
        let (seq, base) = (self.front(), self.base);
        let (payload, total) = self.segment_at(seq, longest)?;
        let room = seq - base < FEW as u64 && self.in_flight() + payload <= LITTLE;
        let alone = seq == base || self.little_under_way(longest).next().is_some();
        if self.piece > 0 || !(1..=longest).contains(&payload) || total > credit || !room || !alone {
            return None;
        }
        let at = usize::try_from(seq - base).ok()?;
        if at == self.segments.len() {
            // The beginning of a longer message is bulk.
            self.waiting.front().filter(|waiting| waiting.payload.len() <= longest)?;
            self.cut(longest);
        }
        self.segments.get_mut(at)?.sent_at.get_or_insert(now);
        self.early = seq + 1;
        self.sent = self.sent.max(self.early);
        self.repeat(now, seq)
    }

    /// Says whether segments went ahead of the reliable lane that it may have to take after all.
    pub(in super::super) fn is_early(&self) -> bool {
        self.early > self.cursor
    }

    /// Returns the number after the last segment that the reliable lane of the present generation took.
    pub(in super::super) fn lane_end(&self) -> u64 {
        self.lane_end
    }

    /// Takes a segment that is under way once more, whole.
    pub(in super::super) fn repeat(&mut self, now: Instant, seq: u64) -> Option<Data> {
        let at = usize::try_from(seq.checked_sub(self.base)?).ok()?;
        let segment = self.segments.get_mut(at)?;
        segment.repeats = segment.repeats.saturating_add(1);
        segment.repeated_at = Some(now);
        let end = if segment.ends_message { End::Message } else { End::Segment };
        Some(Data { seq, end, ack: None, payload: segment.payload.clone() })
    }
}

/// Segments under way up to which they are repeated. With more of them a reliable lane notices a loss by itself.
const FEW: usize = 32;
/// Their weight.
const LITTLE: usize = 8 * 1024;
