//! How many bytes a waiting sender may have unacknowledged. Sans-IO.
//!
//! The reliable lane keeps one order, so everything accepted is delivered before the echo of the next key. With all of
//! a session's mebibyte accepted, that echo waits half a second on a path of 2 MB/s. A sender that waits for room is
//! therefore let in only up to what the path carries in one round trip, and a little more to keep it busy.
//! Without a path nothing arrives, and the whole of the session's room is there for the outage.
//!
//! The path's speed is measured while somebody is held back: then it is busy all the time. One [`SendLimit`] measures
//! one path.

use crate::runtime::{Duration, Instant};

use transport_core::resume::ACK_AT;

/// The limit on the path of this moment.
#[derive(Debug)]
pub(crate) struct SendLimit {
    limit: usize,
    /// The ordinary round trip, without a queue of our own.
    base: Option<Duration>,
    /// The fastest speed of late, in bytes a second.
    fastest: f64,
    /// Each window was faster than the one before so far: the path may carry much more.
    searching: bool,
    /// When a sender was last held back.
    held: Option<Instant>,
    window: Option<Window>,
}

/// A measurement under way. The path is busy for as long as it lasts.
#[derive(Debug)]
struct Window {
    began: Instant,
    /// Bytes acknowledged when it began.
    from: u64,
}

impl SendLimit {
    pub(crate) fn new() -> Self {
        Self { limit: START, base: None, fastest: 0.0, searching: true, held: None, window: None }
    }

    /// Starts over: another path carries the session.
    pub(crate) fn moved(&mut self) {
        *self = Self::new();
    }

    /// Takes a round trip that a ping measured.
    pub(crate) fn round_trip(&mut self, now: Instant, sample: Duration) {
        let queued = self.held.is_some_and(|held| held + sample >= now);
        self.base = Some(match self.base {
            None => sample,
            // A queue of our own is part of it, so only a shorter one counts.
            Some(base) if queued => base.min(sample),
            // The average covers the path's jitter, which the shortest would not. A sample counts for twice the base
            // at most, so that one late answer does not move it.
            Some(base) => (base * 3 + sample.min(base * 2)) / 4,
        });
    }

    /// Notes that a sender is held back. `acknowledged`: bytes of this session in all.
    pub(crate) fn held_back(&mut self, now: Instant, acknowledged: u64) {
        self.held = Some(now);
        let window = self.window.get_or_insert(Window { began: now, from: acknowledged });
        let elapsed = now.saturating_duration_since(window.began);
        let bytes = acknowledged.saturating_sub(window.from);
        // While nothing is acknowledged the window stays open: the path is measured when it moves again.
        if elapsed >= self.window_length() && bytes > 0 {
            self.window = Some(Window { began: now, from: acknowledged });
            self.measured(bytes, elapsed);
        }
    }

    /// Notes that everything sent was acknowledged, which ends the window: from here on the application is the slower
    /// part. `acknowledged`: bytes of this session in all.
    pub(crate) fn drained(&mut self, now: Instant, acknowledged: u64) {
        let Some(window) = self.window.take() else { return };
        let elapsed = now.saturating_duration_since(window.began);
        if elapsed >= BURST.max(self.base.unwrap_or_default()) {
            self.measured(acknowledged.saturating_sub(window.from), elapsed);
        }
    }

    fn measured(&mut self, bytes: u64, elapsed: Duration) {
        let speed = bytes as f64 / elapsed.as_secs_f64();
        self.searching &= speed > self.fastest * GAIN;
        let windows = elapsed.div_duration_f64(self.window_length()).min(1.0);
        self.fastest = speed.max(self.fastest * FADE.powf(windows));
        let gain = if self.searching { SEARCH_GAIN } else { GAIN };
        let round_trip = self.base.unwrap_or_default() + AHEAD;
        let ahead = self.fastest * round_trip.as_secs_f64() * gain;
        self.limit = (ACK_AT as usize + ahead as usize).min(MOST);
    }

    fn window_length(&self) -> Duration {
        WINDOW.max(self.base.unwrap_or_default())
    }

    /// Returns how many bytes may be unacknowledged before a message of this length waits. A small one may go beyond:
    /// a key or its echo does not wait for bulk beside it.
    pub(crate) fn limit(&self, length: usize) -> usize {
        if length <= SMALL { self.limit + SMALL_AHEAD } else { self.limit }
    }
}

/// The limit of an unknown path: 6 ms at 20 MB/s. A faster one is found by doubling.
const START: usize = 128 * 1024;
/// The highest limit: what a session holds.
const MOST: usize = 1024 * 1024;
/// Added to a round trip: a sender's task may run this late.
const AHEAD: Duration = Duration::from_micros(500);
/// The longest small message: what a person types, and what answers it.
const SMALL: usize = 512;
/// Bytes by which small messages may exceed the limit; more of them are bulk.
const SMALL_AHEAD: usize = 16 * 1024;
/// Factor on the measured speed. Above 1, or a path could never show that it carries more.
const GAIN: f64 = 1.25;
/// The same while each window is faster than the one before by [`GAIN`].
const SEARCH_GAIN: f64 = 2.0;
/// Factor on the fastest speed with each slower window. A relay lets a burst through far above the speed it keeps up;
/// remembered for long, the burst would make the queue in the relay as much longer.
const FADE: f64 = 0.5;
/// The shortest window: some acknowledgements on a fast path.
const WINDOW: Duration = Duration::from_millis(10);
/// The shortest burst that is measured: a relay at its limit lets a shorter one through at any speed.
const BURST: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::now;

    /// A sender that always has more, on a path with this round trip and speed; returns the limit in the end and what
    /// arrived a second.
    fn settle(sent_ahead: &mut SendLimit, round_trip: Duration, speed: f64, seconds: u32) -> (usize, f64) {
        let (start, step) = (now(), Duration::from_millis(1));
        sent_ahead.round_trip(start, round_trip);
        let mut arrived = 0.0;
        for n in 1..=seconds * 1_000 {
            // A path carries what is ahead once in a round trip, and never more than its speed.
            let carried = (sent_ahead.limit(SMALL + 1) as f64 / round_trip.as_secs_f64()).min(speed);
            arrived += carried * step.as_secs_f64();
            sent_ahead.held_back(start + step * n, arrived as u64);
        }
        (sent_ahead.limit(SMALL + 1), arrived / f64::from(seconds))
    }

    #[test]
    fn a_slow_path_holds_little_and_stays_busy() {
        let (limit, carried) = settle(&mut SendLimit::new(), Duration::from_millis(20), 2e6, 5);
        assert!((60_000..75_000).contains(&limit), "{limit}: 35 ms of it, where a mebibyte is half a second");
        assert!(carried > 1.9e6, "{carried}");
    }

    #[test]
    fn a_fast_path_holds_two_milliseconds() {
        let (limit, carried) = settle(&mut SendLimit::new(), Duration::from_micros(500), 100e6, 5);
        assert!((100_000..200_000).contains(&limit), "{limit}");
        assert!(carried > 95e6, "{carried}");
    }

    #[test]
    fn a_long_path_is_filled_by_doubling() {
        let path = |seconds| settle(&mut SendLimit::new(), Duration::from_millis(100), 50e6, seconds);
        assert_eq!(path(1).0, MOST, "within ten round trips: the path would carry more than a session holds");
        let (limit, carried) = path(5);
        assert_eq!(limit, MOST);
        assert!(carried > 8e6, "{carried}: most of a mebibyte each round trip");
    }

    #[test]
    fn the_speed_of_a_burst_is_forgotten_within_four_windows() {
        let mut sent_ahead = SendLimit::new();
        let (burst, _) = settle(&mut sent_ahead, Duration::from_micros(500), 500e6, 1);
        let start = now() + Duration::from_secs(10);
        sent_ahead.window = None;
        for n in 0..=40 {
            sent_ahead.held_back(start + Duration::from_millis(1) * n, 70_000 * u64::from(n));
        }
        let limit = sent_ahead.limit(SMALL + 1);
        assert!(limit < burst / 3, "{limit} of {burst}");
    }

    #[test]
    fn bursts_that_drain_are_measured_unless_they_are_short() {
        let (mut sent_ahead, ms) = (SendLimit::new(), Duration::from_millis);
        let start = now();
        sent_ahead.held_back(start, 0);
        sent_ahead.drained(start + ms(1), 100_000);
        assert_eq!(sent_ahead.limit(SMALL + 1), START);
        sent_ahead.held_back(start + ms(100), 100_000);
        sent_ahead.drained(start + ms(104), 500_000);
        let limit = sent_ahead.limit(SMALL + 1);
        assert!((100_000..150_000).contains(&limit), "{limit}: 100 MB/s, and the first try is doubled");
        sent_ahead.drained(start + ms(500), 900_000);
        assert_eq!(sent_ahead.limit(SMALL + 1), limit, "nobody waited");
    }

    #[test]
    fn a_path_that_stands_still_is_measured_when_it_moves_again() {
        let mut sent_ahead = SendLimit::new();
        let (limit, _) = settle(&mut sent_ahead, Duration::from_millis(5), 20e6, 1);
        let start = now() + Duration::from_secs(10);
        sent_ahead.window = None;
        for n in 0..=500 {
            sent_ahead.held_back(start + Duration::from_millis(1) * n, 0);
        }
        assert_eq!(sent_ahead.limit(SMALL + 1), limit);
        sent_ahead.held_back(start + Duration::from_millis(501), 100_000);
        assert!(sent_ahead.limit(SMALL + 1) > limit / 2, "one window of it, however long");
    }

    #[test]
    fn the_ordinary_round_trip_counts_and_a_queue_of_our_own_does_not() {
        let (mut sent_ahead, now, ms) = (SendLimit::new(), now(), Duration::from_millis);
        sent_ahead.round_trip(now, ms(10));
        sent_ahead.round_trip(now, ms(14));
        assert_eq!(sent_ahead.base, Some(ms(11)));
        sent_ahead.round_trip(now, ms(5_000));
        assert_eq!(
            sent_ahead.base,
            Some(Duration::from_micros(13_750)),
            "one that was very late is not ordinary"
        );
        sent_ahead.held_back(now, 0);
        sent_ahead.round_trip(now + ms(50), ms(50));
        assert_eq!(sent_ahead.base, Some(Duration::from_micros(13_750)), "a queue was part of it");
        sent_ahead.round_trip(now + ms(9), ms(9));
        assert_eq!(sent_ahead.base, Some(ms(9)));
        sent_ahead.round_trip(now + ms(30), ms(13));
        assert_eq!(sent_ahead.base, Some(ms(10)), "asked after the last who waited");
    }

    #[test]
    fn a_key_goes_ahead_of_waiting_bulk_and_many_are_bulk() {
        let sent_ahead = SendLimit::new();
        assert_eq!(sent_ahead.limit(SMALL + 1), START);
        assert_eq!(sent_ahead.limit(SMALL), START + SMALL_AHEAD);
    }

    #[test]
    fn what_the_application_does_not_send_says_nothing_about_the_path() {
        let mut sent_ahead = SendLimit::new();
        let (limit, _) = settle(&mut sent_ahead, Duration::from_millis(1), 200e6, 1);
        let start = now() + Duration::from_secs(10);
        sent_ahead.window = None;
        for n in 0..100 {
            sent_ahead.drained(start + WINDOW * n, 1_000_000_000 + u64::from(n));
        }
        assert_eq!(sent_ahead.limit(SMALL + 1), limit);
        sent_ahead.moved();
        assert_eq!(sent_ahead.limit(SMALL + 1), START, "another path is another matter");
    }
}
