//! The verdict for the fallback: whether it stands, and on which grounds it was last reached.

use super::Reason;

/// The verdict that put a session on the fallback.
#[derive(Debug, Clone)]
pub(super) struct FallbackVerdict {
    stands: bool,
    /// It was reached on another network than this one.
    elsewhere: bool,
    grounds: Reason,
}

impl FallbackVerdict {
    pub(super) fn none() -> Self {
        Self { stands: false, elsewhere: false, grounds: Reason::PrimariesFailed }
    }

    /// Notes why the fallback is dialled. The verdict stands only once the fallback is in use.
    pub(super) fn consider(&mut self, grounds: Reason) {
        self.grounds = grounds;
        self.elsewhere &= self.stands;
    }

    /// The fallback is in use.
    pub(super) fn uphold(&mut self) {
        self.stands = true;
    }

    /// A primary is in use, a session without the fallback is on another network, or the fallback is no longer allowed.
    pub(super) fn overturn(&mut self) {
        self.stands = false;
    }

    /// The network is another one, and the fallback still in use: nothing was found wanting here.
    pub(super) fn carry_over(&mut self) {
        self.elsewhere = true;
    }

    /// Says whether it stands, and on evidence of this network.
    pub(super) fn stands_here(&self) -> bool {
        self.stands && !self.elsewhere
    }

    /// Says whether a session that loses the fallback may dial it again without a new quorum.
    pub(super) fn stands(&self) -> bool {
        self.stands
    }

    pub(super) fn grounds(&self) -> Reason {
        self.grounds
    }
}
