//! What a live socket holds, given back however it ends: by close, by error or by panic.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use beach_lifeguard_client::{CloseCode, PeerAddr};

use super::{
    core::Core,
    ending::Ending,
    handle::PeerHandle,
    notice,
    registry::{Joined, Session},
    session::SessionShared,
};
use crate::telemetry::metrics::Carrier;

/// One socket, counted.
#[derive(Debug)]
pub(super) struct OpenSocket {
    relay: Arc<Core>,
    carrier: Carrier,
    /// Another node passes its bytes on.
    passed_here: bool,
}

impl OpenSocket {
    pub(super) fn new(relay: Arc<Core>, carrier: Carrier) -> Self {
        relay.sockets_open.fetch_add(1, Relaxed);
        relay.sockets_total.fetch_add(1, Relaxed);
        Self { relay, carrier, passed_here: false }
    }

    /// Of a client that came to another node.
    pub(super) fn passed_here(relay: Arc<Core>, carrier: Carrier) -> Self {
        relay.passed_here.fetch_add(1, Relaxed);
        relay.metrics.spliced_opened("owner");
        let mut open = Self::new(relay, carrier);
        open.passed_here = true;
        open
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.relay.sockets_open.fetch_sub(1, Relaxed);
        if self.passed_here {
            self.relay.passed_here.fetch_sub(1, Relaxed);
            self.relay.metrics.spliced_closed("owner");
        }
    }
}

/// One admitted peer: its slot in the session, its gauge.
#[derive(Debug)]
pub(super) struct PeerGuard {
    relay: Arc<Core>,
    session: Arc<Session<Arc<PeerHandle>, SessionShared>>,
    address: PeerAddr,
    since: Instant,
    /// A task that panics never says how it ended.
    code: CloseCode,
    open: OpenSocket,
}

impl PeerGuard {
    pub(super) fn new(
        relay: Arc<Core>,
        joined: &Joined<Arc<PeerHandle>, SessionShared>,
        open: OpenSocket,
    ) -> Self {
        relay.metrics.connection_opened(open.carrier);
        if joined.opened {
            relay.metrics.session_opened();
        }
        Self {
            relay,
            session: joined.session.clone(),
            address: joined.address,
            since: Instant::now(),
            code: CloseCode::INTERNAL,
            open,
        }
    }

    /// Notes how the socket ended, and lets everything go.
    pub(super) fn ended(mut self, ending: Ending) {
        self.code = ending.code();
    }
}

impl Drop for PeerGuard {
    fn drop(&mut self) {
        let emptied = self.relay.registry.leave(&self.session, self.address, notice::tell);
        if emptied {
            self.relay.metrics.session_emptied();
        }
        self.relay.metrics.connection_closed(self.open.carrier, self.code, self.since.elapsed());
    }
}
