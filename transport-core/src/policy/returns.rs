//! What may return: the next look at the direct path, how many were made, and the moves so far.

use crate::time::{Duration, Instant};

use super::{flap::FlapBudget, restore_config::RestoreConfig};

/// The looks and the moves of one session.
#[derive(Debug, Clone, Default)]
pub(super) struct Returns {
    next_look: Option<Instant>,
    /// Looks since the session came onto its rung or the network changed.
    looks: u32,
    /// Returns in a row that did not last.
    failed: u32,
    flap: FlapBudget,
}

impl Returns {
    pub(super) fn plan_look(&mut self, at: Instant) {
        self.next_look = Some(at);
    }

    pub(super) fn plan_none(&mut self) {
        self.next_look = None;
    }

    /// Plans the look that comes when the budget has room for so many moves.
    pub(super) fn plan_affordable(&mut self, moves: u32, now: Instant, config: &RestoreConfig) {
        self.next_look = Some(self.flap.affordable_at(moves, now, config));
    }

    /// Notes a look: the next ones come later.
    pub(super) fn note_look(&mut self) {
        self.looks = self.looks.saturating_add(1);
    }

    /// Another rung, another network, or a wake: looks come at the full cadence again.
    pub(super) fn forget_looks(&mut self) {
        self.looks = 0;
    }

    /// A return did not last: the next dwell is longer.
    pub(super) fn note_failed(&mut self) {
        self.failed = self.failed.saturating_add(1);
    }

    /// A primary lasted, or the network is another one.
    pub(super) fn forget_failed(&mut self) {
        self.failed = 0;
    }

    /// Counts a move from one path to another.
    pub(super) fn note_move(&mut self, now: Instant, config: &RestoreConfig) {
        self.flap.record(now, config);
    }

    pub(super) fn next_look(&self) -> Option<Instant> {
        self.next_look
    }

    /// Returns the longest wait until the next look.
    pub(super) fn cadence(&self, config: &RestoreConfig) -> Duration {
        config.cadence_after(self.looks)
    }

    pub(super) fn failed(&self) -> u32 {
        self.failed
    }

    pub(super) fn affords(&self, moves: u32, now: Instant, config: &RestoreConfig) -> bool {
        self.flap.affords(moves, now, config)
    }

    pub(super) fn is_nearly_spent(&self, now: Instant, config: &RestoreConfig) -> bool {
        self.flap.is_nearly_spent(now, config)
    }

    #[cfg(test)]
    pub(super) fn moves(&self, now: Instant, config: &RestoreConfig) -> u32 {
        self.flap.count(now, config)
    }
}
