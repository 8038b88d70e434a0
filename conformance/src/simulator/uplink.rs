//! A way onto the Internet that is narrower than what is sent: who shares it, and what waits in its queue.

use std::time::Duration;

use rand::Rng;

use super::{population::Kind, track::Track};

/// What one session gets of a narrow or crowded uplink.
#[derive(Debug, Clone)]
pub(super) struct Uplink {
    /// Bytes per second for this session; it changes with the number of viewers that share the uplink.
    rate: Track<u64>,
    /// A program prints more than the uplink carries.
    flood: Track<bool>,
    /// What others keep waiting in the router's queue, as time.
    bloat: Track<Duration>,
}

/// What a session that is flooded shows at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    /// Bytes ahead of the path.
    pub(super) under_way: usize,
    /// How long the oldest of them has waited.
    pub(super) oldest: Duration,
    /// How long ago the last acknowledgement came.
    pub(super) last_heard: Duration,
    /// Acknowledged in the last half second, as bytes per second.
    pub(super) goodput: u64,
}

impl Uplink {
    /// Draws the uplink of a kind of network that has a narrow one.
    pub(super) fn draw(kind: Kind, length: Duration, rng: &mut impl Rng) -> Option<Self> {
        let kbits = |low: f64, high: f64, rng: &mut dyn rand::RngCore| {
            (rng.random_range(low.ln()..high.ln()).exp() * 125.0) as u64
        };
        let mut uplink = match kind {
            Kind::Bloated => Self::of(kbits(1_000.0, 20_000.0, rng)),
            Kind::Narrow => Self::of(kbits(64.0, 1_000.0, rng)),
            Kind::Shared => Self::of(kbits(256.0, 2_000.0, rng)),
            _ => return None,
        };
        for (from, until) in spells(length, 180.0, 5.0..60.0, rng) {
            uplink.flood.overlay(from, until, true);
        }
        if kind == Kind::Shared {
            let whole = uplink.rate.at(Duration::ZERO);
            for (from, until) in spells(length, 60.0, 30.0..600.0, rng) {
                uplink.rate.overlay(from, until, whole / rng.random_range(2..=4));
            }
        }
        if kind == Kind::Bloated {
            for (from, until) in spells(length, 200.0, 5.0..120.0, rng) {
                let queue = Duration::from_secs_f64(rng.random_range(0.2..2.4));
                uplink.bloat.overlay(from, until, queue);
            }
        }
        Some(uplink)
    }

    fn of(rate: u64) -> Self {
        Self {
            rate: Track::constant(rate),
            flood: Track::constant(false),
            bloat: Track::constant(Duration::ZERO),
        }
    }

    /// Returns what others add to a round trip.
    pub(super) fn bloat(&self, at: Duration) -> Duration {
        self.bloat.at(at)
    }

    /// Returns for how long a queue has been growing in which the first answer still waits.
    pub(super) fn growing(&self, at: Duration) -> Option<Duration> {
        let age = at.saturating_sub(self.bloat.since(at));
        (age < self.bloat.at(at)).then_some(age)
    }

    /// Describes the flow at a moment of a flood, or of the queue that it left; `piece` bytes arrive at a time.
    pub(super) fn flow(&self, at: Duration, piece: usize) -> Option<Flow> {
        let rate = self.rate.at(at);
        let queue = seconds(AHEAD as f64 / rate as f64);
        let began = self.flood.since(at);
        let (began, under_way) = if self.flood.at(at) {
            (began, AHEAD)
        } else if began > Duration::ZERO && at - began < queue {
            let left = (queue - (at - began)).as_secs_f64() * rate as f64;
            (self.flood.since(began.saturating_sub(Duration::from_nanos(1))), left as usize)
        } else {
            return None;
        };
        let gap = piece as f64 / rate as f64;
        let age = (at - began).as_secs_f64();
        let pieces = |age: f64| (age.max(0.0) / gap).floor();
        let arrived = pieces(age) - pieces(age - SAMPLE);
        Some(Flow {
            under_way,
            oldest: queue.min(at - began),
            last_heard: seconds(age % gap),
            goodput: (arrived * piece as f64 / SAMPLE) as u64,
        })
    }

    /// Says whether a sample could say something else than that all is well.
    pub(super) fn is_loaded(&self, at: Duration) -> bool {
        self.bloat(at) > Duration::ZERO || self.flow(at, 1).is_some()
    }

    /// Returns the next time after `at` when anything changes.
    pub(super) fn next_change(&self, at: Duration) -> Option<Duration> {
        let rate = self.rate.next_change(at).into_iter();
        rate.chain(self.flood.next_change(at)).chain(self.bloat.next_change(at)).min()
    }
}

/// Draws spells with exponential gaps of `every` seconds on average and uniform lengths in seconds.
pub(super) fn spells(
    length: Duration,
    every: f64,
    lengths: std::ops::Range<f64>,
    rng: &mut impl Rng,
) -> Vec<(Duration, Duration)> {
    let mut spells = Vec::new();
    let mut at = 0.0;
    loop {
        at += -every * rng.random::<f64>().max(1e-12).ln();
        if at >= length.as_secs_f64() {
            return spells;
        }
        let until = at + rng.random_range(lengths.clone());
        spells.push((Duration::from_secs_f64(at), Duration::from_secs_f64(until)));
        at = until;
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.max(0.0))
}

/// How far a sender runs ahead that has no measure of its path, in bytes.
const AHEAD: usize = 128 * 1024;
/// Between two samples, in seconds.
const SAMPLE: f64 = 0.5;

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn sixty_four_kilobits_answer_every_two_seconds_with_sixteen_waiting() {
        let mut uplink = Uplink::of(8_000);
        uplink.flood.overlay(seconds(10.0), seconds(70.0), true);
        assert!(uplink.flow(seconds(9.9), 16 * 1024).is_none());
        let flow = uplink.flow(seconds(42.0), 16 * 1024).unwrap();
        assert_eq!((flow.under_way, flow.oldest.as_millis()), (AHEAD, 16_384));
        assert!(flow.last_heard < seconds(2.1), "{flow:?}");
        let draining = uplink.flow(seconds(80.0), 16 * 1024).unwrap();
        assert!((40_000..60_000).contains(&draining.under_way), "{draining:?}");
        assert!(uplink.flow(seconds(87.0), 16 * 1024).is_none());
    }

    #[test]
    fn only_the_narrow_kinds_have_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for (kind, ..) in Kind::SHARES {
            let drawn = Uplink::draw(kind, seconds(3_600.0), &mut rng);
            assert_eq!(drawn.is_some(), kind.is_narrow() || kind == Kind::Bloated, "{kind:?}");
        }
    }
}
