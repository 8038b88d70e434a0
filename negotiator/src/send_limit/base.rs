//! The round trip of a path without a queue.

use std::sync::LazyLock;

use crate::runtime::{Duration, Instant};

/// The shortest round trip of late, and how much longer they ordinarily are.
///
/// A path that changes gets another one, so the shortest counts for a while only. A queue of our own makes every round
/// trip longer for as long as it stands; what is measured with one shortens the base and never lengthens it.
#[derive(Debug, Default)]
pub(super) struct Base {
    shortest: Option<Duration>,
    /// When it was last measured without a queue. That a busy path shows it again proves nothing: the queue of others may be
    /// part of it.
    seen: Option<Instant>,
    jitter: Duration,
}

impl Base {
    /// Returns it; zero before anything was measured.
    pub(super) fn shortest(&self) -> Duration {
        self.shortest.unwrap_or_default()
    }

    /// Returns by how much round trips ordinarily are longer.
    pub(super) fn jitter(&self) -> Duration {
        self.jitter
    }

    /// Takes what a ping measured; `queued`: behind bytes of our own.
    pub(super) fn ping(&mut self, now: Instant, sample: Duration, queued: bool) {
        if queued {
            return self.acknowledged(now, sample);
        }
        let shortest = *self.shortest.get_or_insert(sample);
        let longer = sample.saturating_sub(shortest).min(JITTER_AT_MOST);
        self.jitter = (self.jitter * 3 + longer) / 4;
        if self.is_old(now) {
            // One late answer alone is not believed.
            self.seen_empty(now, sample.min(shortest * 2));
        } else {
            self.acknowledged(now, sample);
        }
    }

    /// Takes for how long a segment was under way.
    pub(super) fn acknowledged(&mut self, now: Instant, sample: Duration) {
        self.shortest = Some(self.shortest.map_or(sample, |shortest| shortest.min(sample)));
        self.seen.get_or_insert(now);
    }

    /// Takes what was measured on a path without bytes of our own: that is it, even if it is longer.
    pub(super) fn seen_empty(&mut self, now: Instant, sample: Duration) {
        self.shortest = Some(sample);
        self.seen = Some(now);
    }

    /// Says whether it is so old that it must be measured again. That comes at the same moments for all sessions of a
    /// process: where they share an uplink, all of them let it run empty, and none takes the others' queue for the way.
    pub(super) fn is_old(&self, now: Instant) -> bool {
        let lasting = if self.shortest() > LONG { LASTING * 4 } else { LASTING };
        let turn = |at: Instant| at.saturating_duration_since(*START).as_millis() / lasting.as_millis();
        self.seen.is_some_and(|seen| turn(now) > turn(seen))
    }

    /// Lets it count as long again: it cannot be measured now.
    pub(super) fn keep(&mut self, now: Instant) {
        self.seen = Some(now);
    }
}

/// How long the shortest round trip counts, and four times as long on a long way, where measuring it takes longer.
const LASTING: Duration = Duration::from_secs(8);

/// A long way.
const LONG: Duration = Duration::from_millis(100);

/// What all sessions of a process count from.
pub(super) static START: LazyLock<Instant> = LazyLock::new(crate::runtime::now);

/// The most that is taken for ordinary.
const JITTER_AT_MOST: Duration = Duration::from_millis(25);
