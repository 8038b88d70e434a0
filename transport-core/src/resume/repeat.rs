//! Small segments that go out again on the datagram lane, because their acknowledgement is late.
//!
//! A reliable lane that lost a packet may need a second until it sends it again (SCTP), and holds everything behind it back
//! meanwhile. A key and its echo do not wait for that: they are repeated until the peer says it heard them, and the peer
//! knows them by their numbers ([ADR 0027](../../../docs/adr/0027-keys-are-repeated.md)).

use std::collections::VecDeque;

use super::{MOST_REPEATS, frame::Heard, lateness::Lateness, outbox::UnderWay, weight};
use crate::time::{Duration, Instant};

/// The repeats of one side of a session.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// The peer reads them.
    taken: bool,
    lateness: Lateness,
    /// When an acknowledgement last said something new.
    progress: Option<Instant>,
    /// Until when the peer's reliable lane counts as standing behind a lost packet.
    behind_until: Option<Instant>,
    /// When what was spent so far is earned.
    earned_at: Option<Instant>,
    next_id: u64,
    /// The newest one that was heard.
    newest: Option<u64>,
    /// Repeats on the way, oldest first.
    waiting: VecDeque<(u64, Instant)>,
}

impl Repeats {
    /// Another path carries the session.
    pub(super) fn restart(&mut self) {
        *self =
            Self { taken: self.taken, earned_at: self.earned_at, next_id: self.next_id, ..Self::default() };
    }

    /// The peer says that it reads repeats.
    pub(super) fn allow(&mut self) {
        self.taken = true;
    }

    pub(super) fn allowed(&self) -> bool {
        self.taken
    }

    /// Notes that something was acknowledged; `round_trip` if it is certain.
    ///
    /// One that took longer than an acknowledgement may take stood behind something that is not repeated, and says
    /// nothing of the path. When the path itself became slower, what is repeated tells.
    pub(super) fn acknowledged(&mut self, now: Instant, round_trip: Option<Duration>) {
        self.progress = Some(now);
        if let Some(sample) = round_trip.filter(|sample| *sample <= self.lateness.patience(None)) {
            self.lateness.sample(sample);
        }
    }

    /// Takes what the peer says to a repeat. `lane_end`: the number after the last segment that the reliable lane took.
    pub(super) fn heard(&mut self, now: Instant, heard: &Heard, lane_end: u64) {
        if let Some(at) = self.waiting.iter().position(|(id, _)| *id == heard.id)
            && let Some((_, sent)) = self.waiting.drain(..=at).next_back()
        {
            self.lateness.sample(now.saturating_duration_since(sent));
        }
        if self.newest.is_none_or(|newest| newest < heard.id) {
            self.newest = Some(heard.id);
            let behind = heard.lane < heard.ack.received.min(lane_end);
            self.behind_until = behind.then(|| now + BEHIND);
        }
    }

    /// Returns when this segment is to be repeated, if ever. `ping`: the round trip that a ping measured.
    pub(super) fn due(&self, segment: &UnderWay, ping: Option<Duration>) -> Option<Instant> {
        if segment.repeats >= MOST_REPEATS {
            return None;
        }
        let late = if segment.repeats == 0 && self.behind_until.is_some_and(|until| segment.last < until) {
            // It would wait for the one before it.
            segment.last
        } else {
            let since = self.progress.map_or(segment.last, |progress| progress.max(segment.last));
            since + self.lateness.patience(ping) * (1 + u32::from(segment.repeats)).max(2) / 2
        };
        // A clock may be younger than that: a page's begins with the page.
        let affordable = self.earned_at.and_then(|earned| earned.checked_sub(BURST));
        Some(affordable.map_or(late, |at| at.max(late)))
    }

    /// Says until when the peer's reliable lane stands behind a lost packet, if it does.
    pub(super) fn behind(&self, now: Instant) -> Option<Instant> {
        self.behind_until.filter(|until| now < *until)
    }

    /// Until when [`behind`](Self::behind) may say so.
    pub(super) fn behind_until(&self) -> Option<Instant> {
        self.behind_until
    }

    /// Advances the clock.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.behind_until = self.behind(now);
    }

    /// Pays for a repeat of so many bytes.
    pub(super) fn spend(&mut self, now: Instant, payload: usize) {
        let cost = Duration::from_secs_f64(weight(payload) as f64 / RATE);
        self.earned_at = Some(self.earned_at.map_or(now, |earned| earned.max(now)) + cost);
    }

    /// Numbers what goes on the datagram lane now.
    pub(super) fn number(&mut self, now: Instant) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        if self.waiting.len() == MOST_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back((id, now));
        id
    }
}

/// Weight that may be repeated in a second: half of 64 kbit/s, thirty keys.
const RATE: f64 = 4.0 * 1024.0;
/// What may be spent at once, in time.
const BURST: Duration = Duration::from_secs(1);
/// For how long the peer's word counts that its reliable lane is behind: the shortest retransmission timer of SCTP.
const BEHIND: Duration = Duration::from_secs(1);
/// Repeats that may be on the way; what an older one took no longer tells anything.
const MOST_WAITING: usize = 16;
