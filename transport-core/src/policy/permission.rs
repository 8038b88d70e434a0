//! What is allowed: the gates and the application's override.

use super::{
    Reason,
    gate::{Gate, GateState, Gates, Override},
};

/// The gates and the mode, as they stand.
#[derive(Debug, Clone)]
pub(super) struct Permission {
    gates: Gates,
    mode: Override,
}

impl Permission {
    pub(super) fn new(gates: Gates, mode: Override) -> Self {
        Self { gates, mode }
    }

    pub(super) fn set_gate(&mut self, gate: Gate, state: GateState) {
        self.gates.set(gate, state);
    }

    /// Sets the mode; says whether it is another one.
    pub(super) fn set_mode(&mut self, mode: Override) -> bool {
        std::mem::replace(&mut self.mode, mode) != mode
    }

    pub(super) fn mode(&self) -> Override {
        self.mode
    }

    pub(super) fn closed_gates(&self) -> impl Iterator<Item = Gate> + use<> {
        self.gates.closed()
    }

    /// Says whether the policy decides, rather than the application or an operator.
    pub(super) fn is_auto(&self) -> bool {
        self.mode == Override::Auto
    }

    /// Says whether only the fallback may carry the session.
    pub(super) fn is_relay_only(&self) -> bool {
        self.mode == Override::RelayOnly
    }

    /// Says whether the mode has a place for the fallback, gates aside.
    pub(super) fn has_fallback(&self) -> bool {
        !matches!(self.mode, Override::DirectOnly | Override::NoRelay)
    }

    /// Says whether mode and gates let the fallback be dialled.
    pub(super) fn allows_fallback(&self) -> bool {
        self.objection().is_none()
    }

    /// Names what keeps the fallback asleep: the mode first, then the worst closed gate.
    pub(super) fn objection(&self) -> Option<Reason> {
        match self.mode {
            Override::DirectOnly => Some(Reason::PolicyDirectOnly),
            Override::NoRelay => Some(Reason::PolicyNoRelay),
            Override::Auto | Override::RelayOnly => self.closed_gates().next().map(Gate::reason),
        }
    }
}
