//! How a session returns to the direct path, and how often it may move.

use crate::time::Duration;

use crate::backoff::BackoffConfig;

use super::invalid::{ConfigError, ensure};

/// When a session on the fallback looks for the direct path, and how sure it must be to go back.
///
/// # Defaults
///
/// Dial every 60 s; after ten failures slower, to 5 min. Move after 5 s of health, and never so
/// often that ten minutes could see more than three moves. Loss is measured first, for 6 s at most.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RestoreConfig {
    /// Longest time from one look to the next. Default 60 s: with a dial of 5 s and the dwell, a
    /// healed path is in use again within 75 s. Lower costs dials on networks that never heal.
    pub cadence: Duration,
    /// Looks at the full cadence before it slows down. Default 10: most outages are over by then.
    pub steady: u32,
    /// Factor from one slow look to the next. Default 1.5.
    pub growth: f64,
    /// Longest time between looks on a network that stays bad. Default 5 min.
    pub cap: Duration,
    /// How long a direct path must be healthy before the session moves to it. Default 5 s: longer
    /// than ICE takes to notice a dead path. Doubles with every return that did not last.
    pub dwell: Duration,
    /// How long the dwell of a path that is looked at waits for a first measurement of its loss. Default 6 s: eight pings
    /// in half a second each, and 2 s for those that are lost.
    pub measured: Duration,
    /// Dwell of a direct path that merely connected late, or after a wake. Default 1 s.
    pub late_dwell: Duration,
    /// A direct path that has not been healthy for its dwell by then is let go. Default 30 s.
    pub patience: Duration,
    /// Moves within [`flap_window`](Self::flap_window). Default 3; at least 3, which is what one
    /// fall, one return and one more fall need.
    pub flap_moves: u32,
    /// The window of the flap budget. Default 10 min.
    pub flap_window: Duration,
}

impl Default for RestoreConfig {
    fn default() -> Self {
        Self {
            cadence: Duration::from_secs(60),
            steady: 10,
            growth: 1.5,
            cap: Duration::from_secs(300),
            dwell: Duration::from_secs(5),
            measured: Duration::from_secs(6),
            late_dwell: Duration::from_secs(1),
            patience: Duration::from_secs(30),
            flap_moves: 3,
            flap_window: Duration::from_secs(600),
        }
    }
}

impl RestoreConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        ensure(self.cadence >= Duration::from_secs(1), "restore.cadence", "is at least 1 s")?;
        ensure(self.growth.is_finite() && self.growth >= 1.0, "restore.growth", "is at least 1")?;
        ensure(self.cap >= self.cadence, "restore.cap", "is at least restore.cadence")?;
        ensure(!self.late_dwell.is_zero(), "restore.late_dwell", "is longer than nothing")?;
        ensure(self.dwell >= self.late_dwell, "restore.dwell", "is at least restore.late_dwell")?;
        ensure(self.patience > self.dwell, "restore.patience", "is longer than restore.dwell")?;
        ensure(self.patience > self.measured, "restore.patience", "is longer than restore.measured")?;
        ensure((3..=64).contains(&self.flap_moves), "restore.flap_moves", "is 3 to 64")?;
        ensure(!self.flap_window.is_zero(), "restore.flap_window", "is longer than nothing")
    }

    /// Returns the dwell after `failed` returns that did not last.
    pub(super) fn dwell_after(&self, failed: u32) -> Duration {
        self.dwell.saturating_mul(1 << failed.min(8)).min(self.patience / 2).max(self.dwell)
    }

    /// Returns the longest wait before look number `looks`, the first being 0.
    pub(super) fn cadence_after(&self, looks: u32) -> Duration {
        BackoffConfig::new(self.cadence, self.cap, self.growth).ceiling(looks.saturating_sub(self.steady))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_keep_their_cadence_for_a_while_and_then_slow_down_to_the_cap() {
        let config = RestoreConfig::default();
        assert_eq!(config.cadence_after(0), Duration::from_secs(60));
        assert_eq!(config.cadence_after(10), Duration::from_secs(60));
        assert_eq!(config.cadence_after(11), Duration::from_secs(90));
        assert_eq!(config.cadence_after(u32::MAX), Duration::from_secs(300));
    }

    #[test]
    fn dwell_doubles_with_every_return_that_did_not_last_and_stays_below_patience() {
        let config = RestoreConfig::default();
        let dwells: Vec<u64> = (0..5).map(|failed| config.dwell_after(failed).as_secs()).collect();
        assert_eq!(dwells, [5, 10, 15, 15, 15]);
    }
}
