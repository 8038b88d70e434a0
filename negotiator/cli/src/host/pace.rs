//! When a viewer is sent its next picture. No IO.
//!
//! A picture that waits is made anew when its turn comes; one that was sent stands in front of everything after it. So
//! no more is under way than the path carries without a queue: how long acknowledgements take says whether there is one.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The pictures under way to one viewer.
#[derive(Debug)]
pub(super) struct Pace {
    under_way: VecDeque<Sent>,
    /// Bytes that may be under way before the next picture waits. A picture may exceed it.
    allowance: usize,
    quickest: Quickest,
    last: Option<Instant>,
    /// Of what was sent before, nothing is concluded: it was sent under a larger allowance.
    lowered: Option<Instant>,
}

#[derive(Debug)]
struct Sent {
    at: Instant,
    bytes: usize,
    /// Bytes under way with it.
    in_all: usize,
    /// The session's bytes up to its end.
    mark: u64,
}

/// What the next picture waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// For nothing.
    Now,
    /// For this moment.
    At(Instant),
    /// For one under way to arrive.
    Arrival,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            under_way: VecDeque::new(),
            allowance: START,
            quickest: Quickest::default(),
            last: None,
            lowered: None,
        }
    }

    /// Says when a new picture may be sent. `at_once`: it answers the viewer's own key, or is the last.
    pub(super) fn due(&self, now: Instant, at_once: bool) -> Due {
        if self.bytes_under_way() >= self.allowance {
            return Due::Arrival;
        }
        match self.last.map(|last| last + FRAME) {
            Some(next) if next > now && !at_once => Due::At(next),
            _ => Due::Now,
        }
    }

    /// Notes that a picture was handed to the session, which counts `mark` bytes up to its end.
    pub(super) fn sent(&mut self, now: Instant, bytes: usize, mark: u64) {
        let in_all = self.bytes_under_way() + bytes;
        self.under_way.push_back(Sent { at: now, bytes, in_all, mark });
        self.last = Some(now);
    }

    /// Notes that a picture was made and showed nothing new: the next waits as after any other.
    pub(super) fn unchanged(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// Another path carries the session: what the former carried says nothing about it.
    pub(super) fn moved(&mut self, now: Instant) {
        (self.allowance, self.quickest, self.lowered) = (START, Quickest::default(), Some(now));
    }

    /// Returns the mark of the oldest picture under way.
    pub(super) fn awaited(&self) -> Option<u64> {
        self.under_way.front().map(|sent| sent.mark)
    }

    /// Notes a round trip that the session measured.
    pub(super) fn round_trip(&mut self, now: Instant, sample: Duration) {
        self.quickest.note(now, sample);
    }

    /// Notes that so many bytes of the session were acknowledged.
    pub(super) fn acknowledged(&mut self, now: Instant, mark: u64) {
        while self.awaited().is_some_and(|awaited| awaited <= mark) {
            let Some(sent) = self.under_way.pop_front() else { return };
            let delay = now.saturating_duration_since(sent.at);
            let queued = delay.saturating_sub(self.quickest.note(now, delay));
            if queued > QUEUE && self.lowered.is_none_or(|lowered| lowered <= sent.at) {
                self.allowance = (self.allowance / 2).max(LEAST);
                self.lowered = Some(now);
            } else if queued <= QUEUE / 2 && sent.in_all >= self.allowance / 2 {
                // Only who uses what is allowed shows that the path carries more.
                self.allowance = (self.allowance + sent.bytes).min(MOST);
            }
        }
    }

    fn bytes_under_way(&self) -> usize {
        self.under_way.iter().map(|sent| sent.bytes).sum()
    }
}

/// The shortest delay of late: the path's own, without a queue. Two spans of time, so that a path that became longer is
/// seen as it is after the second.
#[derive(Debug, Default)]
struct Quickest {
    since: Option<Instant>,
    now: Option<Duration>,
    before: Option<Duration>,
}

impl Quickest {
    /// Takes a delay and returns the shortest.
    fn note(&mut self, now: Instant, sample: Duration) -> Duration {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= SPAN) {
            self.before = self.now.take();
            self.since = Some(now);
        }
        let shortest = self.now.map_or(sample, |shortest| shortest.min(sample));
        self.now = Some(shortest);
        self.before.map_or(shortest, |before| before.min(shortest))
    }
}

/// Time between two pictures, as a terminal draws 60 a second: cheap output stays cheap.
pub(super) const FRAME: Duration = Duration::from_millis(16);

/// The allowance of an unknown path: a screen of text is about as much.
const START: usize = 2 * 1024;

/// The least: a dozen keys' echoes.
const LEAST: usize = 1024;

/// The most: 100 Mbit/s at a round trip of 80 ms.
const MOST: usize = 1024 * 1024;

/// The longest queue of pictures that is let be.
const QUEUE: Duration = Duration::from_millis(40);

/// How long a quickest delay counts at least; at most twice that.
const SPAN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    /// A path with a round trip and a speed, and a program that changes the screen all the time.
    struct Flood {
        pace: Pace,
        start: Instant,
        clock: Duration,
        /// When the path has carried everything so far.
        busy_until: Duration,
        /// Acknowledgements to come: when, up to which mark.
        acks: VecDeque<(Duration, u64)>,
        mark: u64,
        pictures: usize,
        longest_queue: Duration,
    }

    impl Flood {
        fn run(round_trip: Duration, speed: f64, picture: usize, length: Duration) -> Self {
            let mut flood = Self {
                pace: Pace::new(),
                start: Instant::now(),
                clock: Duration::ZERO,
                busy_until: Duration::ZERO,
                acks: VecDeque::new(),
                mark: 0,
                pictures: 0,
                longest_queue: Duration::ZERO,
            };
            flood.pace.round_trip(flood.start, round_trip);
            while flood.clock < length {
                flood.clock += Duration::from_millis(1);
                let now = flood.start + flood.clock;
                while flood.acks.front().is_some_and(|(at, _)| *at <= flood.clock) {
                    let (_, mark) = flood.acks.pop_front().unwrap();
                    flood.pace.acknowledged(now, mark);
                }
                if flood.pace.due(now, false) == Due::Now {
                    flood.mark += picture as u64;
                    flood.pace.sent(now, picture, flood.mark);
                    flood.pictures += 1;
                    let carried = Duration::from_secs_f64(picture as f64 / speed);
                    let queue = flood.busy_until.saturating_sub(flood.clock);
                    if flood.clock > length / 4 {
                        flood.longest_queue = flood.longest_queue.max(queue);
                    }
                    flood.busy_until = flood.busy_until.max(flood.clock) + carried;
                    flood.acks.push_back((flood.busy_until + round_trip, flood.mark));
                }
            }
            flood
        }
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_fast_path_gets_sixty_pictures_a_second_whatever_its_round_trip() {
        for round_trip in [1, 40, 200] {
            let flood = Flood::run(MS * round_trip, 2e6, 3_000, MS * 10_000);
            assert!(flood.pictures > 550, "{} with {round_trip} ms", flood.pictures);
        }
    }

    #[test]
    fn a_narrow_path_queues_at_most_a_picture_and_a_little() {
        for (speed, fewest) in [(8_000.0, 25), (32_000.0, 90), (125_000.0, 170)] {
            let flood = Flood::run(MS * 40, speed, 2_000, MS * 10_000);
            let picture = Duration::from_secs_f64(2_000.0 / speed);
            assert!(flood.longest_queue <= picture + QUEUE, "{:?} at {speed}", flood.longest_queue);
            assert!(flood.pictures > fewest, "{} at {speed}", flood.pictures);
        }
    }

    #[test]
    fn pictures_are_a_frame_apart_and_the_answer_to_a_key_is_not() {
        let (mut pace, start) = (Pace::new(), Instant::now());
        assert_eq!(pace.due(start, false), Due::Now);
        pace.sent(start, 50, 50);
        assert_eq!(pace.due(start + MS, false), Due::At(start + FRAME));
        assert_eq!(pace.due(start + MS, true), Due::Now);
        assert_eq!(pace.due(start + FRAME, false), Due::Now);
    }

    #[test]
    fn a_picture_larger_than_the_allowance_goes_alone() {
        let (mut pace, start) = (Pace::new(), Instant::now());
        pace.sent(start, 100_000, 100_000);
        assert_eq!((pace.due(start + FRAME, true), pace.awaited()), (Due::Arrival, Some(100_000)));
        pace.acknowledged(start + MS * 500, 99_999);
        assert_eq!(pace.due(start + MS * 500, true), Due::Arrival);
        pace.acknowledged(start + MS * 500, 100_000);
        assert_eq!((pace.due(start + MS * 500, true), pace.awaited()), (Due::Now, None));
    }

    #[test]
    fn who_types_into_a_quiet_shell_says_nothing_about_the_path() {
        let (mut pace, start) = (Pace::new(), Instant::now());
        for nth in 0..1_000 {
            let now = start + MS * 100 * nth;
            pace.sent(now, 50, u64::from(nth + 1) * 50);
            pace.acknowledged(now + MS * 20, u64::from(nth + 1) * 50);
        }
        assert_eq!(pace.allowance, START);
    }

    #[test]
    fn a_path_that_became_longer_is_seen_as_it_is_after_a_while() {
        let mut quickest = Quickest::default();
        let start = Instant::now();
        assert_eq!(quickest.note(start, MS), MS);
        assert_eq!(quickest.note(start + SPAN, MS * 80), MS);
        assert_eq!(quickest.note(start + SPAN * 2, MS * 90), MS * 80);
    }
}
