//! What must be open before the fallback may wake, and who may override the policy.

use std::fmt;

use super::reason::Reason;

/// One guardrail in front of the fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Gate {
    /// The cohort's share of sessions on the fallback.
    Budget,
    /// The roll-out to this cohort.
    Cohort,
    /// The user's right to use it.
    Entitlement,
    /// The application's or operator's switch; off unless somebody turned it on.
    FeatureFlag,
    /// The operator's emergency stop.
    KillSwitch,
}

impl Gate {
    /// Every gate, in the order in which a closed one is named.
    pub const ALL: [Gate; 5] =
        [Gate::KillSwitch, Gate::FeatureFlag, Gate::Entitlement, Gate::Cohort, Gate::Budget];

    /// Returns the reason a session is held when this gate is closed.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Budget => Reason::GateBudget,
            Self::Cohort => Reason::GateCohort,
            Self::Entitlement => Reason::GateEntitlement,
            Self::FeatureFlag => Reason::GateFeatureFlag,
            Self::KillSwitch => Reason::GateKillSwitch,
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Open or closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GateState {
    /// The fallback may not wake.
    Closed,
    /// This gate does not object.
    Open,
}

/// The state of every gate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Gates {
    closed: u8,
}

impl Gates {
    /// Nothing objects.
    pub const fn all_open() -> Self {
        Self { closed: 0 }
    }

    /// Sets one gate.
    pub fn set(&mut self, gate: Gate, state: GateState) {
        match state {
            GateState::Closed => self.closed |= gate.bit(),
            GateState::Open => self.closed &= !gate.bit(),
        }
    }

    /// Returns `self` with one gate set.
    #[must_use]
    pub fn with(mut self, gate: Gate, state: GateState) -> Self {
        self.set(gate, state);
        self
    }

    /// Lists the closed gates, the one a session is held by first.
    pub fn closed(self) -> impl Iterator<Item = Gate> {
        Gate::ALL.into_iter().filter(move |gate| self.closed & gate.bit() != 0)
    }
}

/// The feature flag is closed until somebody opens it; nothing else is known to object.
impl Default for Gates {
    fn default() -> Self {
        Self::all_open().with(Gate::FeatureFlag, GateState::Closed)
    }
}

impl fmt::Debug for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed: ")?;
        f.debug_set().entries(self.closed()).finish()
    }
}

/// What the application or the operator allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Override {
    /// The policy decides.
    #[default]
    Auto,
    /// Direct primaries only: neither TURN nor the fallback.
    DirectOnly,
    /// Every primary, TURN included, but never the fallback.
    NoRelay,
    /// The fallback only. Gates still hold.
    RelayOnly,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_closes_and_opens_alone_and_the_kill_switch_is_named_first() {
        let mut gates = Gates::all_open();
        for gate in Gate::ALL {
            gates.set(gate, GateState::Closed);
        }
        assert_eq!(gates.closed().collect::<Vec<_>>(), Gate::ALL);
        assert_eq!(gates.closed().next(), Some(Gate::KillSwitch));
        gates.set(Gate::KillSwitch, GateState::Open);
        assert_eq!(gates.closed().count(), 4);
    }

    #[test]
    fn the_feature_flag_is_closed_until_somebody_opens_it() {
        assert_eq!(Gates::default().closed().collect::<Vec<_>>(), [Gate::FeatureFlag]);
    }
}
