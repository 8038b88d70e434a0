//! When to try the room again.

use std::time::Duration;

/// Full jitter over a doubling ceiling: clients that were cut off together do not return together.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Notes a failure and returns how long to wait; `random` is drawn from 0 to 1.
    pub(super) fn next(&mut self, random: f64) -> Duration {
        let ceiling = FIRST.saturating_mul(1 << self.failures.min(10)).min(MOST);
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64(random.clamp(0.0, 1.0))
    }

    /// Notes a success.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

const FIRST: Duration = Duration::from_millis(300);
const MOST: Duration = Duration::from_secs(7);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_to_seven_seconds_and_a_success_resets_it() {
        let mut backoff = Backoff::default();
        let ceilings: Vec<u128> = (0..7).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(ceilings, [300, 600, 1200, 2400, 4800, 7000, 7000]);
        backoff.reset();
        assert_eq!(backoff.next(0.5), Duration::from_millis(150));
    }
}
