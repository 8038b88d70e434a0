//! The fallback's token: whether it was asked for ahead of need.

use crate::time::{Duration, Instant};

/// When the token was last asked for. What came of it decides nothing: a dial without a token fetches one itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Token {
    asked: Option<Instant>,
}

impl Token {
    pub(super) fn ask(&mut self, now: Instant) {
        self.asked = Some(now);
    }

    /// Says whether it was asked for less than `keep` ago.
    pub(super) fn is_fresh(&self, now: Instant, keep: Duration) -> bool {
        self.asked.is_some_and(|at| now.saturating_duration_since(at) < keep)
    }
}
