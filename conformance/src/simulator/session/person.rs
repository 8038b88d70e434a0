//! When a person works, rests and closes the lid.

use std::time::Duration;

use rand::Rng;

use super::super::track::Track;

/// Work and rest: about a minute of typing and output, then about three of nothing.
pub(super) fn habits(length: Duration, rng: &mut impl Rng) -> Track<bool> {
    let mut track = Track::constant(true);
    let mut at = Duration::ZERO;
    let mut pause = |mean: f64| Duration::from_secs_f64(-mean * rng.random::<f64>().max(1e-12).ln());
    while at < length {
        let rest = at + pause(60.0);
        at = rest + pause(180.0);
        track.overlay(rest, at, false);
    }
    track
}

/// One to three sleeps of two minutes to eight hours; returns them and their sum in seconds.
pub(super) fn naps(awake: f64, rng: &mut impl Rng) -> (Vec<(Duration, Duration)>, f64) {
    let count = rng.random_range(1..=3);
    let mut naps = Vec::new();
    let mut asleep = 0.0;
    for number in 0..count {
        let worked = awake * (f64::from(number) + rng.random_range(0.2..0.9)) / f64::from(count);
        let nap = (rng.random_range(120f64.ln()..28_800f64.ln())).exp();
        naps.push((Duration::from_secs_f64(worked + asleep), Duration::from_secs_f64(nap)));
        asleep += nap;
    }
    (naps, asleep)
}

/// A normal deviate, near enough: twelve dice.
pub(super) fn gauss(rng: &mut impl Rng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}
