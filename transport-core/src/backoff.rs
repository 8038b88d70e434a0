//! How long to wait before the next attempt: one jittered schedule for every crate.
//!
//! The wait is drawn from zero to a ceiling ("full jitter"), and the ceiling grows with each attempt. ADR 0009
//! chose the figures. There is no clock and no global randomness here: the caller brings a seeded generator,
//! or a number it drew.
//!
//! ```
//! use transport_core::backoff::{Backoff, BackoffConfig};
//!
//! let (config, mut backoff) = (BackoffConfig::default(), Backoff::default());
//! let first = backoff.scaled(&config, 0.5);
//! assert_eq!(first, config.base / 2);
//! backoff.reset();
//! ```

use crate::time::Duration;

use rand::Rng;

/// How long to wait between attempts.
///
/// # Defaults
///
/// 0.3 s, a tenth more each time, to 7 s, with full jitter: many clients that lose one relay at the same
/// moment come back spread out (Brooker, "Exponential Backoff and Jitter", 2015), and hardly anybody
/// waits longer than two seconds after an outage of ten (ADR 0009).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BackoffConfig {
    /// Longest first wait. Default 0.3 s: one keepalive of a healthy path. Lower hammers.
    pub base: Duration,
    /// Longest wait of all. Default 7 s: a person is willing to watch for it. Higher heals later.
    pub cap: Duration,
    /// Factor from one wait to the next. Default 1.1. Higher reaches the cap sooner, and waits longer after
    /// short outages.
    pub growth: f64,
}

impl BackoffConfig {
    /// Takes the longest first wait, the longest of all and the factor between two.
    pub const fn new(base: Duration, cap: Duration, growth: f64) -> Self {
        Self { base, cap, growth }
    }

    /// Returns these waits for who has heard nothing for `silence`: up to a twentieth of it, five minutes at most. After an
    /// outage that lasts nobody waits longer than 5 % of it, and a night costs some hundred attempts.
    #[must_use]
    pub fn after(&self, silence: Duration) -> Self {
        Self { cap: self.cap.max((silence / SHARE).min(LONGEST)), ..self.clone() }
    }

    /// Returns the longest wait after `attempts` earlier ones.
    pub fn ceiling(&self, attempts: u32) -> Duration {
        let exponent = i32::try_from(attempts.min(MOST_STEPS)).unwrap_or(i32::MAX);
        let ceiling = self.base.as_secs_f64() * self.growth.powi(exponent);
        Duration::try_from_secs_f64(ceiling).map_or(self.cap, |ceiling| ceiling.min(self.cap))
    }
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self::new(Duration::from_millis(300), Duration::from_secs(7), 1.1)
    }
}

/// The place of one thing that is retried in its schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// Draws the next wait: anything from [`FLOOR`] to the ceiling.
    pub fn draw(&mut self, config: &BackoffConfig, rng: &mut impl Rng) -> Duration {
        rng.random_range(FLOOR..=self.advance(config).max(FLOOR))
    }

    /// Returns the next wait as the given share of its ceiling. The share is drawn by the caller, from 0 to 1.
    pub fn scaled(&mut self, config: &BackoffConfig, share: f64) -> Duration {
        self.advance(config).mul_f64(share.clamp(0.0, 1.0))
    }

    /// Starts over: something worked, or what failed before says nothing any more.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    fn advance(&mut self, config: &BackoffConfig) -> Duration {
        let ceiling = config.ceiling(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        ceiling
    }
}

/// The shortest wait that [`Backoff::draw`] returns. Full jitter may draw zero, and what fails at once would spin.
pub const FLOOR: Duration = Duration::from_millis(50);

/// The longest wait of who has heard nothing for long: nobody watches any more, and a wake or another network ends it.
pub const LONGEST: Duration = Duration::from_secs(300);

/// Waits are this part of a long silence at most.
const SHARE: u32 = 20;

/// Steps after which a ceiling grows no further, so that no exponent overflows: a tenth more each time is [`LONGEST`] before.
const MOST_STEPS: u32 = 96;

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn waits_grow_to_the_cap_stay_jittered_and_start_over_after_a_reset() {
        let config = BackoffConfig::default();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut backoff = Backoff::default();
        let mut longest = FLOOR;
        for step in 0..200_i32 {
            let wait = backoff.draw(&config, &mut rng);
            let ceiling = config.cap.min(config.base.mul_f64(config.growth.powi(step)));
            assert!(wait >= FLOOR && wait <= ceiling, "step {step}: {wait:?}");
            longest = longest.max(wait);
        }
        assert!(longest >= config.cap.mul_f64(0.95), "{longest:?}");
        backoff.reset();
        assert!(backoff.draw(&config, &mut rng) <= config.base);
    }

    #[test]
    fn after_an_outage_of_nine_seconds_ninety_nine_of_a_hundred_wait_two_at_most() {
        let config = BackoffConfig::default();
        let left_after = |seed, outage: Duration| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let (mut backoff, mut away) = (Backoff::default(), Duration::ZERO);
            while away < outage {
                away += backoff.draw(&config, &mut rng);
            }
            away - outage
        };
        let mut left: Vec<_> = (0..2_000).map(|seed| left_after(seed, Duration::from_secs(9))).collect();
        left.sort_unstable();
        assert!(left[1_980] <= Duration::from_secs(2), "{:?}", left[1_980]);
    }

    #[test]
    fn a_long_silence_makes_waits_long_and_a_night_costs_some_hundred_attempts() {
        let config = BackoffConfig::default();
        let cap = |seconds| config.after(Duration::from_secs(seconds)).cap.as_secs();
        assert_eq!([0, 60, 140, 600, 3_600, 6_000, 86_400].map(cap), [7, 7, 7, 30, 180, 300, 300]);
        let night = Duration::from_secs(8 * 3_600);
        for seed in 0..20 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let (mut backoff, mut away, mut attempts) = (Backoff::default(), Duration::ZERO, 0);
            while away < night {
                let wait = backoff.draw(&config.after(away), &mut rng);
                assert!(wait <= config.cap.max(away / 20) && wait <= LONGEST);
                (away, attempts) = (away + wait, attempts + 1);
            }
            assert!((250..500).contains(&attempts), "{attempts}");
        }
    }

    #[test]
    fn a_share_of_one_is_the_ceiling_and_of_zero_no_wait_at_all() {
        let (config, mut backoff) = (BackoffConfig::default(), Backoff::default());
        let ceilings: Vec<u128> = (0..40).map(|_| backoff.scaled(&config, 1.0).as_millis()).collect();
        assert_eq!(ceilings[..4], [300, 330, 363, 399]);
        assert_eq!((ceilings[33], ceilings[34], ceilings[39]), (6_967, 7_000, 7_000));
        assert_eq!(backoff.scaled(&config, 0.0), Duration::ZERO);
        backoff.reset();
        assert_eq!(backoff.scaled(&config, 0.5), Duration::from_millis(150));
    }
}
