//! One transport of the ladder, and what tells networks apart.

use crate::ids::TransportId;

use super::gate::Override;

/// One transport of the ladder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rung {
    /// The transport's registered name.
    pub transport: TransportId,
    /// Whether it carries sessions by right or as a last resort.
    pub class: Class,
    /// Whether a third machine carries the bytes.
    pub reach: Reach,
}

impl Rung {
    /// A primary from endpoint to endpoint.
    pub const fn direct(transport: TransportId) -> Self {
        Self { transport, class: Class::Primary, reach: Reach::Direct }
    }

    /// A primary through somebody's relay, such as TURN.
    pub const fn turn(transport: TransportId) -> Self {
        Self { transport, class: Class::Primary, reach: Reach::Relayed }
    }

    /// The last resort.
    pub const fn fallback(transport: TransportId) -> Self {
        Self { transport, class: Class::Fallback, reach: Reach::Relayed }
    }

    /// Says whether it is a primary from endpoint to endpoint.
    pub(super) fn is_direct(&self) -> bool {
        self.class == Class::Primary && self.reach == Reach::Direct
    }

    /// Says whether a primary may be dialled under an override.
    pub(super) fn is_allowed_primary(&self, mode: Override) -> bool {
        self.class == Class::Primary
            && match mode {
                Override::Auto | Override::NoRelay => true,
                Override::DirectOnly => self.reach == Reach::Direct,
                Override::RelayOnly => false,
            }
    }
}

/// By right, or as a last resort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Sleeps until a quorum of failures stands on every primary and every gate is open.
    Fallback,
    /// Carries sessions by right.
    Primary,
}

/// How the bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reach {
    /// From endpoint to endpoint.
    Direct,
    /// Through a third machine.
    Relayed,
}

/// Tells one network from another: a fingerprint the application chooses, such as a hash of the
/// default gateway. Only equality matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkId(pub u64);
