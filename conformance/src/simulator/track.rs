//! A value that changes at known times.

use std::time::Duration;

/// Values in the order of time; the first holds from the beginning.
#[derive(Debug, Clone)]
pub(super) struct Track<T> {
    changes: Vec<(Duration, T)>,
}

impl<T: Copy + PartialEq> Track<T> {
    pub(super) fn constant(value: T) -> Self {
        Self { changes: vec![(Duration::ZERO, value)] }
    }

    /// Returns since when the value at `at` has held.
    pub(super) fn since(&self, at: Duration) -> Duration {
        let before = self.changes.iter().rev().find(|(from, _)| *from <= at);
        before.map_or(Duration::ZERO, |(from, _)| *from)
    }

    /// Lays `value` over whatever holds from `from` until `until`.
    pub(super) fn overlay(&mut self, from: Duration, until: Duration, value: T) {
        if until <= from {
            return;
        }
        let after = self.at(until);
        self.changes.retain(|(at, _)| *at < from || *at > until);
        self.changes.push((from, value));
        self.changes.push((until, after));
        self.changes.sort_by_key(|(at, _)| *at);
        self.changes.dedup_by_key(|(_, value)| *value);
        if let Some(first) = self.changes.first_mut() {
            first.0 = Duration::ZERO;
        }
    }

    pub(super) fn at(&self, time: Duration) -> T {
        let after = self.changes.partition_point(|(at, _)| *at <= time);
        self.changes[after.saturating_sub(1)].1
    }

    /// Returns when the value next changes, strictly after `time`.
    pub(super) fn next_change(&self, time: Duration) -> Option<Duration> {
        let after = self.changes.partition_point(|(at, _)| *at <= time);
        self.changes.get(after).map(|(at, _)| *at)
    }

    /// Cuts out the part from `from` and lets it begin at zero.
    pub(super) fn starting_at(&self, from: Duration) -> Self {
        let mut changes = vec![(Duration::ZERO, self.at(from))];
        changes
            .extend(self.changes.iter().filter(|(at, _)| *at > from).map(|(at, value)| (*at - from, *value)));
        Self { changes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_ends_with_what_held_before() {
        let second = Duration::from_secs;
        let mut track = Track::constant(true);
        track.overlay(second(10), second(20), false);
        track.overlay(second(15), second(30), false);
        let values: Vec<bool> =
            [0, 9, 10, 19, 25, 29, 30].into_iter().map(|at| track.at(second(at))).collect();
        assert_eq!(values, [true, true, false, false, false, false, true]);
        assert_eq!(track.next_change(second(10)), Some(second(30)));
        assert!(!track.starting_at(second(12)).at(Duration::ZERO));
    }
}
