//! How much a session takes from its application ahead of what arrived. Sans-IO.
//!
//! The reliable lane is one order: whatever is accepted stands before the echo of the next key. A session that
//! accepted all it may hold would keep a mebibyte in front of it, which is half a second on a path of 2 MB/s. So a sender that
//! waits for room is let in only while what is unacknowledged is what the path carries in one round trip and a little
//! more: enough to keep it busy. Without a path nothing is arriving, and all of the room is there for the outage.

use std::time::{Duration, Instant};

/// Measures one path at a time.
#[derive(Debug)]
pub(crate) struct Pace {
    limit: usize,
    /// The shortest round trip on this path: what it takes when nothing waits.
    base: Option<Duration>,
    /// Bytes a second, the fastest of late.
    fastest: f64,
    window: Option<Window>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    /// Acknowledged until then, in bytes.
    from: u64,
    /// Whether the limit held somebody back since: otherwise the speed is the application's.
    limited: bool,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { limit: START, base: None, fastest: 0.0, window: None }
    }

    /// Another path carries the session: nothing is known of it.
    pub(crate) fn moved(&mut self) {
        *self = Self::new();
    }

    pub(crate) fn round_trip(&mut self, sample: Duration) {
        self.base = Some(self.base.map_or(sample, |base| base.min(sample)));
    }

    /// Somebody wants to send and must wait.
    pub(crate) fn held_back(&mut self) {
        if let Some(window) = &mut self.window {
            window.limited = true;
        }
    }

    /// So many bytes of this session are acknowledged in all.
    pub(crate) fn acknowledged(&mut self, now: Instant, total: u64) {
        let window = self.window.get_or_insert(Window { began: now, from: total, limited: false });
        let (elapsed, base) = (now.saturating_duration_since(window.began), self.base.unwrap_or_default());
        if elapsed < WINDOW.max(base) {
            return;
        }
        if window.limited {
            let speed = total.saturating_sub(window.from) as f64 / elapsed.as_secs_f64();
            self.fastest = speed.max(self.fastest * FADE);
            let ahead = self.fastest * (base + AHEAD).as_secs_f64() * GAIN;
            self.limit = (ACK_EVERY + ahead as usize).min(MOST);
        }
        self.window = Some(Window { began: now, from: total, limited: false });
    }

    /// Bytes that may be unacknowledged before a message of this length waits. A key or its echo does not wait for the
    /// bulk that is being sent beside it.
    pub(crate) fn limit(&self, length: usize) -> usize {
        if length <= SMALL { self.limit + SMALL_AHEAD } else { self.limit }
    }
}

/// At first: a path of 100 ms is at full speed within a few round trips, and a slow one not clogged for long.
const START: usize = 256 * 1024;
/// What a receiver lets pass between two acknowledgements: it arrived, and still counts.
const ACK_EVERY: usize = 64 * 1024;
/// What a session holds at most.
const MOST: usize = 1024 * 1024;
/// What may wait beyond one round trip: a sender's task may be late by as much.
const AHEAD: Duration = Duration::from_micros(500);
/// What a person types, and what answers it.
const SMALL: usize = 512;
/// Small messages beyond the limit: more of them are bulk.
const SMALL_AHEAD: usize = 16 * 1024;
/// Above 1, or a path could never show that it carries more.
const GAIN: f64 = 1.25;
/// What is left of an old speed after each window.
const FADE: f64 = 0.8;
/// The shortest measurement: a few acknowledgements on a fast path.
const WINDOW: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    /// A sender that always has more, on a path with this round trip and speed; returns the limit in the end and what
    /// arrived a second.
    fn settle(pace: &mut Pace, round_trip: Duration, speed: f64, seconds: u32) -> (usize, f64) {
        let (start, step) = (Instant::now(), Duration::from_millis(1));
        pace.round_trip(round_trip);
        let mut arrived = 0.0;
        for n in 1..=seconds * 1_000 {
            // A path carries what is ahead once in a round trip, and never more than its speed.
            let carried = (pace.limit(SMALL + 1) as f64 / round_trip.as_secs_f64()).min(speed);
            arrived += carried * step.as_secs_f64();
            pace.held_back();
            pace.acknowledged(start + step * n, arrived as u64);
        }
        (pace.limit(SMALL + 1), arrived / f64::from(seconds))
    }

    #[test]
    fn a_slow_path_holds_little_and_stays_busy() {
        let (limit, carried) = settle(&mut Pace::new(), Duration::from_millis(20), 2e6, 5);
        assert!(
            (100_000..130_000).contains(&limit),
            "{limit}: 60 ms of it, where a mebibyte is half a second"
        );
        assert!(carried > 1.9e6, "{carried}");
    }

    #[test]
    fn a_fast_path_holds_a_few_milliseconds() {
        let (limit, carried) = settle(&mut Pace::new(), Duration::from_micros(500), 100e6, 5);
        assert!((150_000..250_000).contains(&limit), "{limit}");
        assert!(carried > 95e6, "{carried}");
    }

    #[test]
    fn a_long_path_is_filled() {
        let (limit, carried) = settle(&mut Pace::new(), Duration::from_millis(100), 50e6, 5);
        assert_eq!(limit, MOST, "the path would carry more than a session holds");
        assert!(carried > 8e6, "{carried}: most of a mebibyte each round trip");
    }

    #[test]
    fn a_key_goes_ahead_of_waiting_bulk_and_many_are_bulk() {
        let pace = Pace::new();
        assert_eq!(pace.limit(SMALL + 1), START);
        assert_eq!(pace.limit(SMALL), START + SMALL_AHEAD);
    }

    #[test]
    fn what_the_application_does_not_send_says_nothing_about_the_path() {
        let mut pace = Pace::new();
        settle(&mut pace, Duration::from_millis(1), 200e6, 1);
        let start = Instant::now() + Duration::from_secs(10);
        // What was measured until then counts.
        pace.acknowledged(start, 1_000_000_000);
        let limit = pace.limit(SMALL + 1);
        for n in 1..100 {
            pace.acknowledged(start + WINDOW * n, 1_000_000_000 + u64::from(n));
        }
        assert_eq!(pace.limit(SMALL + 1), limit);
        pace.moved();
        assert_eq!(pace.limit(SMALL + 1), START, "another path is another matter");
    }
}
