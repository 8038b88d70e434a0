//! The jittered schedule of retries.

use std::time::Duration;

use rand::Rng;

use super::config::{ConfigError, ensure};

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

impl Default for BackoffConfig {
    fn default() -> Self {
        Self { base: Duration::from_millis(300), cap: Duration::from_secs(7), growth: 1.1 }
    }
}

impl BackoffConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        ensure(self.base >= FLOOR, "backoff.base", "is at least 50 ms")?;
        ensure(self.cap >= self.base, "backoff.cap", "is at least backoff.base")?;
        ensure(self.growth.is_finite() && self.growth >= 1.0, "backoff.growth", "is at least 1")
    }
}

/// The place of one rung in its schedule.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Backoff {
    steps: u32,
}

impl Backoff {
    /// Draws the next wait: anything from [`FLOOR`] to the step's ceiling.
    pub(crate) fn next(&mut self, config: &BackoffConfig, rng: &mut impl Rng) -> Duration {
        let exponent = i32::try_from(self.steps.min(64)).unwrap_or(64);
        let ceiling = config.base.as_secs_f64() * config.growth.powi(exponent);
        let ceiling = Duration::from_secs_f64(ceiling.min(config.cap.as_secs_f64()));
        self.steps = self.steps.saturating_add(1);
        rng.random_range(FLOOR..=ceiling.max(FLOOR))
    }

    /// Starts over: the network changed, the device woke, or a dial succeeded.
    pub(crate) fn reset(&mut self) {
        self.steps = 0;
    }
}

/// The shortest wait. Full jitter may draw zero, and a rung that fails at once would spin.
const FLOOR: Duration = Duration::from_millis(50);

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
            let wait = backoff.next(&config, &mut rng);
            let ceiling = config.cap.min(config.base.mul_f64(config.growth.powi(step)));
            assert!(wait >= FLOOR && wait <= ceiling, "step {step}: {wait:?}");
            longest = longest.max(wait);
        }
        assert!(longest >= config.cap.mul_f64(0.95), "{longest:?}");
        backoff.reset();
        assert!(backoff.next(&config, &mut rng) <= config.base);
    }

    #[test]
    fn after_an_outage_of_nine_seconds_ninety_nine_of_a_hundred_wait_two_at_most() {
        let config = BackoffConfig::default();
        let left_after = |seed, outage: Duration| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let (mut backoff, mut away) = (Backoff::default(), Duration::ZERO);
            while away < outage {
                away += backoff.next(&config, &mut rng);
            }
            away - outage
        };
        let mut left: Vec<_> = (0..2_000).map(|seed| left_after(seed, Duration::from_secs(9))).collect();
        left.sort_unstable();
        assert!(left[1_980] <= Duration::from_secs(2), "{:?}", left[1_980]);
    }
}
