//! The relay plane: admit, route, fan out, recycle.

mod activity;
mod admission;
mod config;
mod core;
mod direct;
mod drain;
mod ending;
mod fanout;
mod greet;
mod guard;
mod handle;
mod hop;
mod idle;
mod inbound;
mod isolation;
mod limits;
mod notice;
mod outbound;
mod ownership;
mod peer;
mod pool;
#[cfg(feature = "reference-path")]
mod reference;
mod refusal;
mod registry;
mod routes;
mod run;
mod session;
mod snapshot;
mod spare;
mod stream;
mod sweep;
mod throttle;
mod tickets;
mod writer;
mod ws;

use std::sync::{Arc, atomic::Ordering::Relaxed};

use axum::{
    Router,
    routing::{get, post},
};
use beach_lifeguard_client::{CloseCode, stream::STREAM_PATH, token::TokenVerifier};
use tokio::net::TcpListener;

#[cfg(feature = "reference-path")]
pub use self::config::DataPath;
use self::core::Core;
pub(crate) use self::limits::Meter;
pub use self::{
    admission::Admission,
    config::{DrainConfig, LimitsConfig, PatienceConfig, RelayConfig},
    core::Phase,
    hop::{InternalConfig, PoolKey, ShortKey},
    pool::PoolNode,
    refusal::RecentRefusal,
    snapshot::{SessionLine, Snapshot},
};
pub use crate::limit::Rate;
use crate::{
    cors::cross_origin, kill_switch::KillSwitch, listen::Connections, store::SessionTotals,
    telemetry::metrics::Metrics,
};

/// The relay plane of one process. Cheap to clone; all clones are the same relay.
#[derive(Debug, Clone)]
pub struct Relay {
    core: Arc<Core>,
}

impl Relay {
    /// Makes a relay. Needs a Tokio runtime: its sweep starts at once.
    pub fn new(config: RelayConfig, admission: Admission, metrics: Arc<Metrics>) -> Self {
        let core = Arc::new(Core::new(config, admission, metrics));
        core.tasks.spawn(sweep::run(core.clone()));
        core.tasks.spawn(drain::obey_kill_switch(core.clone()));
        core.tasks.spawn(tickets::run(core.clone()));
        if core.ownership.is_some() {
            core.tasks.spawn(ownership::run(core.clone()));
        }
        Self { core }
    }

    /// The routes of the relay plane, `/v2/ws`, `/v2/stream` and `/ws`, to be mounted by this service or by another. Limits
    /// and caps by address need [`crate::listen::serve`]; another listener brings its own.
    pub fn router(&self) -> Router {
        let stream = Router::new()
            .route(STREAM_PATH, post(stream::open))
            .route(&format!("{STREAM_PATH}/{{id}}/{{number}}"), post(stream::upload));
        // A WebSocket needs no such word: there `may_connect` is all.
        let stream = match cross_origin(&self.core.config.allowed_origins) {
            Some(pages) => stream.layer(pages),
            None => stream,
        };
        Router::new()
            .route(beach_lifeguard_client::RELAY_PATH, get(routes::v2))
            .merge(stream)
            .route(beach_lifeguard_client::v1::RELAY_PATH, get(routes::v1))
            .with_state(self.core.clone())
    }

    /// Takes in what other nodes of the pool pass on to this one, until the relay stops. Without
    /// [`internal`](RelayConfig::internal) or without a pool it ends at once. Keep the address off the public network: bytes
    /// between nodes are not encrypted once more.
    pub async fn serve_internal(&self, listener: TcpListener, connections: Arc<Connections>) {
        let node = self.core.ownership.as_ref().map(ownership::Ownership::node);
        if let Some(part) = self.core.config.internal.clone().zip(node) {
            hop::serve(self.core.clone(), listener, connections, part).await;
        }
    }

    /// Trusts other keys from here on; peers that are inside stay.
    pub fn trust(&self, verifier: TokenVerifier) {
        self.core.admission.trust(verifier);
    }

    /// Whether the relay takes new peers, drains, or has stopped.
    pub fn phase(&self) -> Phase {
        *self.core.phase.borrow()
    }

    /// Whether it takes new peers, or why it does not: as `/readyz` says, and as it tells its pool.
    ///
    /// # Errors
    ///
    /// The label of the reason.
    pub fn readiness(&self) -> Result<(), &'static str> {
        self.core.readiness()
    }

    /// The kill switch it obeys.
    pub fn kill_switch(&self) -> &KillSwitch {
        &self.core.admission.kill_switch
    }

    /// Sockets that are open now, admitted or not.
    pub fn live_sockets(&self) -> usize {
        self.core.sockets_open.load(Relaxed)
    }

    /// Sockets that were ever opened.
    pub fn total_connections(&self) -> u64 {
        self.core.sockets_total.load(Relaxed)
    }

    /// Looks at everything once. Costs time in proportion to the peers; for people, not for the data path.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.core)
    }

    /// The relays of its pool that live, this one first; none without a pool.
    pub async fn pool(&self) -> Vec<PoolNode> {
        pool::nodes(&self.core).await
    }

    /// Figures of those sessions in which everybody agreed to telemetry, by their real names: for the store,
    /// not for people.
    pub fn session_totals(&self) -> Vec<SessionTotals> {
        snapshot::session_totals(&self.core)
    }

    /// Lets everybody go: unready at once, a notice to each peer, a close with `code` for whoever is still there
    /// after the grace time. Returns how many had to be closed.
    ///
    /// The relay stays unready until [`resume`](Self::resume).
    pub async fn drain(&self, code: CloseCode) -> usize {
        drain::drain(&self.core, code).await
    }

    /// Takes new peers again after a drain that was not the end.
    pub fn resume(&self) {
        drain::resume(&self.core);
    }

    /// Orders everything to end and waits for nothing.
    pub(crate) fn abandon(&self) {
        drain::stop(&self.core, CloseCode::RESTART);
    }

    /// Ends every task of the relay. Peers that are still there are closed with `code`.
    pub async fn shutdown(&self, code: CloseCode) {
        drain::shutdown(&self.core, code).await;
    }
}
