//! The application's and operator's say over the fallback.

use std::fmt;

use tokio::sync::watch;
use transport_core::policy::{Gate, GateState, Gates};

/// Says which guardrails stand in front of the fallback. All open wakes nothing by itself: the quorum
/// must stand too.
pub trait FallbackGate: fmt::Debug + Send + Sync + 'static {
    /// Subscribes to the gates: as they stand now, and each time they are others.
    ///
    /// A receiver remembers what its owner has seen, so no change is missed however late it is looked at; of several
    /// changes the last one counts. Once the sender is gone the gates stay as they are.
    fn watch(&self) -> watch::Receiver<Gates>;
}

/// A gate that a program opens and closes: a feature flag, a test, a remote setting.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use negotiator::{Gate, GateState, Gates, NetworkConfig, SwitchGate};
///
/// let flag = Arc::new(SwitchGate::new(Gates::all_open()));
/// let mut network = NetworkConfig::default();
/// network.gate = Some(flag.clone());
/// // Later, from wherever the flag is set: sessions that need the relay say that they are held, and why.
/// flag.set(Gate::FeatureFlag, GateState::Closed);
/// ```
#[derive(Debug)]
pub struct SwitchGate(watch::Sender<Gates>);

impl SwitchGate {
    /// Starts with these gates.
    pub fn new(gates: Gates) -> Self {
        Self(watch::Sender::new(gates))
    }

    /// Opens or closes one gate.
    pub fn set(&self, gate: Gate, state: GateState) {
        self.0.send_modify(|gates| gates.set(gate, state));
    }
}

impl FallbackGate for SwitchGate {
    fn watch(&self) -> watch::Receiver<Gates> {
        self.0.subscribe()
    }
}
