//! When to try the room again.

use std::time::Duration;

/// Full jitter under a ceiling that grows by a tenth: clients that were cut off together do not return together, and
/// hardly anybody is late by more than two seconds after an outage of ten (ADR 0009).
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Notes a failure and returns how long to wait; `random` is drawn from 0 to 1.
    pub(super) fn next(&mut self, random: f64) -> Duration {
        let ceiling = FIRST.mul_f64(GROWTH.powi(self.failures.min(100).cast_signed())).min(MOST);
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64(random.clamp(0.0, 1.0))
    }

    /// Notes a success.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

const FIRST: Duration = Duration::from_millis(300);
const GROWTH: f64 = 1.1;
const MOST: Duration = Duration::from_secs(7);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_grows_by_a_tenth_to_seven_seconds_and_a_success_resets_it() {
        let mut backoff = Backoff::default();
        let ceilings: Vec<u128> = (0..40).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(ceilings[..4], [300, 330, 363, 399]);
        assert_eq!((ceilings[33], ceilings[34], ceilings[39]), (6_967, 7_000, 7_000));
        backoff.reset();
        assert_eq!(backoff.next(0.5), Duration::from_millis(150));
    }
}
