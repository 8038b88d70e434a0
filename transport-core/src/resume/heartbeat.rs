//! Pings: when the next is due, what came back, and since when nothing was heard.

use std::collections::VecDeque;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::time::{Duration, Instant};

/// The pinger of one session. It starts anew with each generation.
#[derive(Debug)]
pub(super) struct Heartbeat {
    busy: Duration,
    idle: Duration,
    random: ChaCha8Rng,
    /// This interval's stretch, 0.8 to 1.2, so that sessions do not ping in step.
    jitter: f64,
    last_ping: Option<Instant>,
    last_heard: Option<Instant>,
    next_id: u64,
    /// Pings on the way, oldest first.
    waiting: VecDeque<(u64, Instant)>,
    rtt: Option<Duration>,
}

impl Heartbeat {
    /// Pings every `busy` while bytes are pending, every `idle` (± a fifth) otherwise.
    pub(super) fn new(busy: Duration, idle: Duration, seed: u64) -> Self {
        Self {
            busy,
            idle,
            random: ChaCha8Rng::seed_from_u64(seed),
            jitter: 1.0,
            last_ping: None,
            last_heard: None,
            next_id: 0,
            waiting: VecDeque::new(),
            rtt: None,
        }
    }

    /// Starts on a new generation: one ping at once, for a first round-trip time.
    pub(super) fn restart(&mut self, now: Instant) {
        self.last_ping = None;
        self.last_heard = Some(now);
        self.waiting.clear();
        self.rtt = None;
    }

    /// Notes that something arrived.
    pub(super) fn heard(&mut self, now: Instant) {
        self.last_heard = Some(self.last_heard.map_or(now, |last| last.max(now)));
    }

    /// Makes the next ping due at once.
    pub(super) fn ask(&mut self) {
        self.last_ping = None;
    }

    /// Returns when the next ping is due; `None` for at once.
    pub(super) fn due(&self, busy: bool) -> Option<Instant> {
        let idle = self.idle.mul_f64(self.jitter);
        self.last_ping.map(|last| last + if busy { self.busy.min(idle) } else { idle })
    }

    /// Takes the id of a ping that is due.
    pub(super) fn ping(&mut self, now: Instant, busy: bool) -> Option<u64> {
        if self.due(busy).is_some_and(|due| now < due) {
            return None;
        }
        self.jitter = self.random.random_range(0.8..1.2);
        self.last_ping = Some(now);
        let id = self.next_id;
        self.next_id += 1;
        if self.waiting.len() == MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back((id, now));
        Some(id)
    }

    /// Matches a pong; returns the round-trip time. Answers to nothing we asked are ignored.
    pub(super) fn pong(&mut self, now: Instant, id: u64) -> Option<Duration> {
        let at = self.waiting.iter().position(|(waiting, _)| *waiting == id)?;
        let (_, sent) = self.waiting.drain(..=at).next_back()?;
        let sample = now.saturating_duration_since(sent);
        // RFC 6298 §2: an eighth of each new sample.
        self.rtt = Some(self.rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8));
        Some(sample)
    }

    pub(super) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    pub(super) fn last_heard(&self) -> Option<Instant> {
        self.last_heard
    }
}

/// Pings that may be under way; an older one no longer tells anything.
const MAX_WAITING: usize = 16;
