//! The fallback's token: whether it was asked for ahead of need.

use crate::time::{Duration, Instant};

/// When the token was last asked for, and what came of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Token {
    asked: Option<Instant>,
    state: TokenState,
}

/// Whether the fallback's token was fetched ahead of need.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenState {
    /// Not asked for.
    #[default]
    Absent,
    /// On its way.
    Asked,
    /// Not to be had when last asked for.
    Failed,
    /// At hand, or spent since.
    Ready,
}

impl Token {
    pub(super) fn ask(&mut self, now: Instant) {
        (self.asked, self.state) = (Some(now), TokenState::Asked);
    }

    /// Notes the answer. Nothing is decided by it: a dial without a token fetches one itself.
    pub(super) fn answer(&mut self, state: TokenState) {
        self.state = state;
    }

    pub(super) fn state(&self) -> TokenState {
        self.state
    }

    /// Says whether it was asked for less than `keep` ago.
    pub(super) fn is_fresh(&self, now: Instant, keep: Duration) -> bool {
        self.asked.is_some_and(|at| now.saturating_duration_since(at) < keep)
    }
}
