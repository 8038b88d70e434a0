//! What stands in the place of `crate::metrics` where nobody counts.

use transport_core::{ConnectError, TransportId};

use crate::{event::NegotiationEvent, runtime::Duration, stats::SessionStats};

/// Counts nothing.
#[derive(Debug)]
pub(super) struct Meter;

impl Meter {
    pub(super) fn new(_is_host: bool) -> Self {
        Self
    }

    pub(super) fn event(&self, _event: &NegotiationEvent) {}

    pub(super) fn attached(&self, _silence: Option<Duration>) {}

    pub(super) fn dialled(&self, _transport: &TransportId) {}

    pub(super) fn dial_abandoned(&self, _transport: &TransportId) {}

    pub(super) fn dial_failed(&self, _error: &ConnectError) {}

    pub(super) fn session(&mut self, _stats: impl FnOnce() -> SessionStats) {}
}
