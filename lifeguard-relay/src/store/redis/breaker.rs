//! Remembers for a moment that the store is away, so that not everybody waits to find out.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

/// Open after a failure, for [`REST`]; then somebody tries again.
#[derive(Debug)]
pub(super) struct Breaker {
    start: Instant,
    /// Milliseconds since `start` until which it is open; 0 while all is well.
    until: AtomicU64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { start: Instant::now(), until: AtomicU64::new(0) }
    }
}

impl Breaker {
    pub(super) fn is_open(&self) -> bool {
        self.now() < self.until.load(Relaxed)
    }

    /// Notes a failure; true when all was well before.
    pub(super) fn open(&self) -> bool {
        self.until.swap(self.now() + REST, Relaxed) == 0
    }

    /// Notes a success; true when it was not well before.
    pub(super) fn close(&self) -> bool {
        self.until.swap(0, Relaxed) != 0
    }

    fn now(&self) -> u64 {
        // 2^64 milliseconds are half a billion years.
        Duration::as_millis(&self.start.elapsed()) as u64
    }
}

/// Something that is said once while it goes on, and again when it comes back after [`QUIET`].
#[derive(Debug)]
pub(super) struct Episode {
    start: Instant,
    /// Milliseconds since `start` until which it goes on.
    until: AtomicU64,
}

impl Default for Episode {
    fn default() -> Self {
        Self { start: Instant::now(), until: AtomicU64::new(0) }
    }
}

impl Episode {
    /// Notes that it happened; true for the first time of an episode.
    pub(super) fn note(&self) -> bool {
        let now = Duration::as_millis(&self.start.elapsed()) as u64;
        self.until.swap(now + QUIET, Relaxed) <= now
    }
}

/// Milliseconds in which nobody asks.
const REST: u64 = 500;
/// Milliseconds without it that end an episode.
const QUIET: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_rests_for_half_a_second_after_each_failure() {
        let breaker = Breaker::default();
        assert!(!breaker.is_open());
        assert!(breaker.open() && breaker.is_open());
        assert!(!breaker.open(), "not news");
        tokio::time::advance(Duration::from_millis(REST)).await;
        assert!(!breaker.is_open());
        assert!(breaker.close() && !breaker.close());
    }

    #[tokio::test(start_paused = true)]
    async fn an_episode_is_said_once_and_ends_after_a_quiet_minute() {
        let episode = Episode::default();
        assert!(episode.note() && !episode.note());
        tokio::time::advance(Duration::from_millis(QUIET - 1)).await;
        assert!(!episode.note(), "it goes on");
        tokio::time::advance(Duration::from_millis(QUIET)).await;
        assert!(episode.note(), "it is back");
    }
}
