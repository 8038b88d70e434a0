//! Failures within a sliding window.

use std::collections::VecDeque;

use crate::time::{Duration, Instant};

/// The failures of one rung, as they were noted. Remembers at most [`KEPT`] of them.
#[derive(Debug, Clone, Default)]
pub(super) struct FailureWindow {
    at: VecDeque<Instant>,
}

impl FailureWindow {
    /// Notes a failure.
    pub(super) fn record(&mut self, at: Instant) {
        if self.at.len() == KEPT {
            self.at.pop_front();
        }
        self.at.push_back(at);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.at.clear();
    }

    /// Counts the failures younger than `window`; one that is exactly as old is outside.
    pub(super) fn count(&self, now: Instant, window: Duration) -> u32 {
        let inside = self.at.iter().filter(|at| now.saturating_duration_since(**at) < window);
        inside.count() as u32
    }
}

/// More than any quorum the configuration accepts, so forgetting never opens a gate.
pub(super) const KEPT: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an anchor for a hand-driven clock")]
    fn a_failure_counts_just_inside_the_window_and_not_at_its_edge() {
        let start = Instant::now();
        let window = Duration::from_secs(90);
        let mut failures = FailureWindow::default();
        failures.record(start);
        failures.record(start + Duration::from_secs(1));
        assert_eq!(failures.count(start + window - Duration::from_nanos(1), window), 2);
        assert_eq!(failures.count(start + window, window), 1);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an anchor for a hand-driven clock")]
    fn memory_is_bounded() {
        let start = Instant::now();
        let mut failures = FailureWindow::default();
        for _ in 0..1_000 {
            failures.record(start);
        }
        assert_eq!(failures.count(start, Duration::from_secs(1)), KEPT as u32);
    }
}
