//! Where the session stands, and the reason of its last change.

use super::{Reason, Standing};

/// The standing and its reason. Both change together, in [`move_to`](Self::move_to).
#[derive(Debug, Clone)]
pub(super) struct Status {
    standing: Standing,
    reason: Reason,
}

impl Status {
    pub(super) fn new() -> Self {
        Self { standing: Standing::Idle, reason: Reason::FirstConnect }
    }

    /// Changes the standing and returns the one before.
    pub(super) fn move_to(&mut self, standing: Standing, reason: Reason) -> Standing {
        self.reason = reason;
        std::mem::replace(&mut self.standing, standing)
    }

    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    pub(super) fn reason(&self) -> Reason {
        self.reason
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.standing, Standing::Closed | Standing::GaveUp)
    }

    /// Says whether the flap budget keeps the session on the fallback.
    pub(super) fn rests(&self) -> bool {
        self.reason == Reason::FlapBudget
    }
}
