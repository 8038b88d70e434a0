//! What every task of the relay shares.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize},
    },
    time::SystemTime,
};

use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{
    activity::Clock,
    admission::Admission,
    config::RelayConfig,
    handle::PeerHandle,
    hop::Way,
    idle::Patience,
    limits::Meter,
    ownership::{Ownership, Place},
    refusal::{HandshakeRefused, HttpRefused, RecentRefusal},
    registry::Registry,
    session::SessionShared,
    stream::Streams,
    tickets::Tickets,
};
use crate::{
    guardrail::Guardrail,
    kill_switch::Verb,
    limit::{ByAddress, Loopback},
    telemetry::metrics::Metrics,
};

/// Whether the relay takes new peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// It does.
    Serving,
    /// It does not, and those it has are leaving.
    Draining,
    /// Nobody is left.
    Stopped,
}

/// The state of one relay.
#[derive(Debug)]
pub(crate) struct Core {
    pub(super) config: RelayConfig,
    pub(super) patience: Patience,
    pub(super) registry: Registry<Arc<PeerHandle>, SessionShared>,
    pub(super) streams: Arc<Streams>,
    pub(super) admission: Admission,
    pub(super) tickets: Tickets,
    /// Counts spare tokens as activations when they are used.
    pub(super) guardrail: Guardrail,
    /// Its part in a pool, if there is one.
    pub(super) ownership: Option<Ownership>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) egress: Meter,
    pub(super) by_address: ByAddress,
    pub(super) clock: Clock,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    pub(super) sockets_open: AtomicUsize,
    pub(super) sockets_total: AtomicU64,
    /// Sockets that are passed on to the owners of their sessions.
    pub(super) passed_on: AtomicUsize,
    /// Peers that other nodes pass on to this one.
    pub(super) passed_here: AtomicUsize,
    pub(super) recent_refusals: Mutex<VecDeque<RecentRefusal>>,
    /// Keys the pseudonyms under which sessions are shown.
    pub(super) pseudonyms: std::hash::RandomState,
}

impl Core {
    pub(super) fn new(config: RelayConfig, admission: Admission, metrics: Arc<Metrics>) -> Self {
        let ownership = Ownership::of(&config, admission.store());
        let guardrail =
            Guardrail::new(admission.store().clone(), metrics.clone(), admission.kill_switch.clone());
        Self {
            patience: config.patience.into(),
            registry: Registry::new(config.max_peers),
            streams: Arc::default(),
            admission,
            guardrail,
            tickets: Tickets::default(),
            ownership,
            metrics,
            egress: Meter::new(config.limits.egress_bytes),
            by_address: ByAddress::new(config.limits.address_connections, Loopback::Counted),
            clock: Clock::start(),
            phase: watch::Sender::new(Phase::Serving),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            sockets_open: AtomicUsize::new(0),
            sockets_total: AtomicU64::new(0),
            passed_on: AtomicUsize::new(0),
            passed_here: AtomicUsize::new(0),
            recent_refusals: Mutex::default(),
            pseudonyms: std::hash::RandomState::new(),
            config,
        }
    }

    pub(super) fn readiness(&self) -> Result<(), &'static str> {
        let paused = self.admission.kill_switch.state().everybody;
        match *self.phase.borrow() {
            Phase::Serving if paused.is_some_and(|pause| pause.verb >= Verb::RefuseNew) => {
                Err("fallback_paused")
            }
            Phase::Serving if self.ownership.as_ref().is_some_and(Ownership::is_cut_off) => Err("cut_off"),
            Phase::Serving => Ok(()),
            Phase::Draining => Err("draining"),
            Phase::Stopped => Err("stopped"),
        }
    }

    /// The way to where a session's peers meet: none when that is here, a refusal when a client has to go there by itself.
    pub(super) async fn way_to(&self, session: Uuid) -> Result<Option<Way>, HandshakeRefused> {
        let Some(ownership) = &self.ownership else { return Ok(None) };
        match ownership.place(session).await {
            Place::Here => Ok(None),
            Place::Behind(way) => Ok(Some(way)),
            Place::Elsewhere => Err(HandshakeRefused::Moved),
        }
    }

    pub(super) fn is_draining(&self) -> bool {
        *self.phase.borrow() != Phase::Serving
    }

    pub(super) fn for_each_peer(&self, mut visit: impl FnMut(&Arc<PeerHandle>)) {
        self.registry.for_each(|session| {
            session.with_roster(|roster| roster.iter().for_each(|(_, _, handle)| visit(handle)));
        });
    }

    /// Answers a request that may not become a socket, and remembers why.
    pub(super) fn refuse(&self, refused: HttpRefused) -> Response {
        self.note_refusal(refused.label());
        self.metrics.handshake_failed(refused.counted_as());
        if let HttpRefused::Token(label) = refused {
            self.metrics.token_refused(label);
        }
        refused.into_response()
    }

    /// Counts a handshake that failed, and remembers why.
    pub(super) fn refused_handshake(&self, refused: &HandshakeRefused) {
        self.note_refusal(refused.label());
        self.metrics.handshake_failed(refused.counted_as());
        if let HandshakeRefused::Token(error) = refused {
            self.metrics.token_refused(error.label());
        }
    }

    fn note_refusal(&self, label: &'static str) {
        let mut recent = self.recent_refusals.lock();
        if recent.len() == KEPT_REFUSALS {
            recent.pop_front();
        }
        recent.push_back(RecentRefusal { at: SystemTime::now(), label });
    }
}

/// Refusals the operator's page shows.
const KEPT_REFUSALS: usize = 32;
