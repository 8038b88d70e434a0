//! The relay plane: admit, route, fan out, recycle.

mod admission;
mod config;
mod direct;
mod drain;
mod fanout;
mod greet;
mod guard;
mod handle;
mod hold;
mod idle;
mod inbound;
mod limits;
mod outbound;
mod peer;
mod port;
mod pulse;
mod reference;
mod refusal;
mod registry;
mod run;
mod session;
mod snapshot;
mod sweep;
mod upgrade;
mod ws;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::SystemTime,
};

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use beach_lifeguard_client::{CloseCode, token::TokenVerifier};
use parking_lot::Mutex;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::limits::network_of;
pub use self::{
    admission::Admission,
    config::{DrainConfig, LimitsConfig, PatienceConfig, RelayConfig},
    drain::Phase,
    limits::Rate,
    peer::DataPath,
    snapshot::{RecentRefusal, SessionLine, Snapshot},
};
use self::{
    guard::OpenSocket,
    handle::PeerHandle,
    idle::Patience,
    limits::{ByAddress, Meter},
    pulse::Clock,
    refusal::{HandshakeRefused, HttpRefused},
    registry::Registry,
    session::SessionShared,
};
use crate::{
    app,
    listen::{self, Gate, ListenConfig},
    telemetry::metrics::Metrics,
};

/// The relay plane of one process. Cheap to clone; all clones are the same relay.
#[derive(Debug, Clone)]
pub struct Relay {
    shared: Arc<Shared>,
}

/// What every task of the relay shares.
#[derive(Debug)]
pub(crate) struct Shared {
    config: RelayConfig,
    patience: Patience,
    registry: Registry<Arc<PeerHandle>, SessionShared>,
    admission: Admission,
    metrics: Arc<Metrics>,
    egress: Meter,
    by_address: ByAddress,
    clock: Clock,
    phase: watch::Sender<Phase>,
    tasks: TaskTracker,
    stop: CancellationToken,
    sockets_open: AtomicUsize,
    sockets_total: AtomicU64,
    recent_refusals: Mutex<VecDeque<RecentRefusal>>,
    /// Keys the pseudonyms under which sessions are shown.
    pseudonyms: std::hash::RandomState,
}

impl Relay {
    /// Makes a relay. Needs a Tokio runtime: its sweep starts at once.
    pub fn new(config: RelayConfig, admission: Admission, metrics: Arc<Metrics>) -> Self {
        let shared = Arc::new(Shared {
            patience: config.patience.into(),
            registry: Registry::new(config.max_peers),
            admission,
            metrics,
            egress: Meter::new(config.limits.egress_bytes),
            by_address: ByAddress::new(config.limits.address_connections),
            clock: Clock::start(),
            phase: watch::Sender::new(Phase::Serving),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            sockets_open: AtomicUsize::new(0),
            sockets_total: AtomicU64::new(0),
            recent_refusals: Mutex::default(),
            pseudonyms: std::hash::RandomState::new(),
            config,
        });
        shared.tasks.spawn(sweep::run(shared.clone()));
        shared.tasks.spawn(drain::obey_kill_switch(shared.clone()));
        Self { shared }
    }

    /// The routes of the relay plane: `/v2/ws` and, while v1 is on, `/ws`. To be served by
    /// [`crate::listen::serve`], which is where the sockets come from.
    pub fn routes(&self) -> Router {
        Router::new()
            .route(beach_lifeguard_client::RELAY_PATH, get(upgrade::v2))
            .route(beach_lifeguard_client::v1::RELAY_PATH, get(upgrade::v1))
            .with_state(self.shared.clone())
    }

    /// Serves the relay plane alone, with health endpoints, until `stop`; then drains.
    pub async fn run(&self, listener: TcpListener, gate: Arc<Gate>, stop: CancellationToken) {
        let app = app::public(self.routes(), app::relay_readiness(self, &self.shared.admission.kill_switch));
        let accept = CancellationToken::new();
        let serving = tokio::spawn(listen::serve(
            listener,
            None,
            app,
            ListenConfig::default(),
            gate,
            accept.clone(),
            TaskTracker::new(),
        ));
        stop.cancelled().await;
        self.drain(CloseCode::RESTART).await;
        accept.cancel();
        let _ = serving.await;
        self.shutdown(CloseCode::RESTART).await;
    }

    /// Trusts other keys from here on; peers that are inside stay.
    pub fn trust(&self, verifier: TokenVerifier) {
        self.shared.admission.trust(verifier);
    }

    /// Sockets that are open now, admitted or not.
    pub fn live_sockets(&self) -> usize {
        self.shared.sockets_open.load(Relaxed)
    }

    /// Sockets that were ever opened.
    pub fn total_connections(&self) -> u64 {
        self.shared.sockets_total.load(Relaxed)
    }

    /// Whether the relay takes new peers, drains, or has stopped.
    pub fn phase(&self) -> Phase {
        *self.shared.phase.borrow()
    }
}

impl Shared {
    fn is_draining(&self) -> bool {
        *self.phase.borrow() != Phase::Serving
    }

    fn count_socket(self: &Arc<Self>) -> OpenSocket {
        OpenSocket::new(self.clone())
    }

    fn for_each_peer(&self, mut visit: impl FnMut(&Arc<PeerHandle>)) {
        self.registry.for_each(|session| {
            session.with_roster(|roster| roster.iter().for_each(|(_, _, handle)| visit(handle)));
        });
    }

    /// Answers a request that may not become a socket, and remembers why.
    fn refuse(&self, refused: HttpRefused) -> Response {
        self.note_refusal(refused.label());
        self.metrics.handshake_failed(refused.counted_as());
        if let HttpRefused::Token(label) = refused {
            self.metrics.token_refused(label);
        }
        refused.into_response()
    }

    /// Counts a handshake that failed, and remembers why.
    fn refused_handshake(&self, refused: &HandshakeRefused) {
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
