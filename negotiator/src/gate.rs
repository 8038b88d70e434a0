//! The application's and operator's say over the fallback.

use std::fmt;

use async_trait::async_trait;
use tokio::sync::watch;
use transport_core::policy::{Gate, GateState, Gates};

/// Says which guardrails stand in front of the fallback. All open wakes nothing by itself: the quorum
/// must stand too.
#[async_trait]
pub trait FallbackGate: fmt::Debug + Send + Sync + 'static {
    /// Returns the gates as they stand.
    fn gates(&self) -> Gates;

    /// Waits until they changed. May wait for ever.
    ///
    /// # Cancel safety
    ///
    /// Must be cancel safe.
    async fn changed(&self);
}

/// A gate that a program opens and closes: a feature flag, a test, a remote setting.
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

#[async_trait]
impl FallbackGate for SwitchGate {
    fn gates(&self) -> Gates {
        *self.0.borrow()
    }

    async fn changed(&self) {
        let mut gates = self.0.subscribe();
        if gates.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
