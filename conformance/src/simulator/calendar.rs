//! What happens to everybody at once: relay outages and pauses by the operator.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::track::Track;

/// The length of a day.
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// The service's history over the whole run.
#[derive(Debug)]
pub(super) struct Calendar {
    /// Whether the relay can be reached.
    pub(super) relay: Track<bool>,
    /// Whether tokens are minted.
    pub(super) minting: Track<bool>,
}

impl Calendar {
    /// Draws two relay outages of 2 to 20 minutes and one pause of 10 to 60 minutes for each week.
    pub(super) fn draw(days: u64, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut relay, mut minting) = (Track::constant(true), Track::constant(true));
        let week = DAY.as_secs_f64() * 7.0;
        for number in 0..days.div_ceil(7) {
            let mut spell = |track: &mut Track<bool>, minutes: std::ops::Range<f64>| {
                let from = week * (number as f64 + rng.random::<f64>());
                let length = rng.random_range(minutes) * 60.0;
                track.overlay(Duration::from_secs_f64(from), Duration::from_secs_f64(from + length), false);
            };
            spell(&mut relay, 2.0..20.0);
            spell(&mut relay, 2.0..20.0);
            spell(&mut minting, 10.0..60.0);
        }
        Self { relay, minting }
    }
}
