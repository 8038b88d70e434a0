//! Two peers of one session, signaling in memory, real WebRTC over loopback.
#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses its part; a helper may fail")]

pub(crate) mod coturn;
pub(crate) mod raw;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use beach_outbound::{Outbound, OutboundConfig};
use bytes::Bytes;
use tokio::task::JoinSet;
use transport_core::{
    ConnectError, Connector, DialRole, Generation, PeerId, SessionId, Target, Transport,
    secure::{Identity, LinkSecret},
    signaling::{
        Exchange, LinkChannel, MemoryRoom, MemorySignaling, Sealer, Signaling, SignalingError, SignalingEvent,
    },
};
use transport_webrtc::{IceServer, WebRtcConfig, WebRtcConnector, impair::ImpairedUdp};

pub(crate) type Link = Box<dyn Transport>;

/// Which of the two peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Offerer = 0,
    Answerer = 1,
}

pub(crate) struct Peers {
    pub(crate) room: MemoryRoom,
    envelopes: Arc<AtomicUsize>,
    pub(crate) exchanges: [Arc<Exchange>; 2],
    ids: [PeerId; 2],
    session: SessionId,
    pumps: JoinSet<()>,
}

impl Peers {
    pub(crate) fn new() -> Self {
        let (room, link) = (MemoryRoom::default(), LinkSecret::random().unwrap());
        let [viewer, host] = [Identity::random().unwrap(), Identity::random().unwrap()];
        let (session, envelopes) = (SessionId::of_host(&host.public()), Arc::<AtomicUsize>::default());
        let mut sealers =
            [Sealer::joiner(viewer, host.public(), link.clone()), Sealer::host(host, Arc::new(link))];
        let ids = [sealers[0].local(), sealers[1].local()];
        // The host was spoken to before: either side may speak first about a dial.
        let knock = sealers[0].seal(SystemTime::now(), ids[1], b"knock").unwrap();
        sealers[1].open(SystemTime::now(), ids[0], &knock).unwrap();
        let exchanges = sealers.map(|sealer| {
            let signaling = Counted { inner: room.join(sealer.local()), envelopes: envelopes.clone() };
            Exchange::new(Arc::new(signaling), sealer, SystemTime::now)
        });
        let mut pumps = JoinSet::new();
        for exchange in exchanges.clone() {
            pumps.spawn(async move { while exchange.next().await.is_ok() {} });
        }
        Self { room, envelopes, exchanges, ids, session, pumps }
    }

    /// Envelopes that were sent so far.
    pub(crate) fn envelopes(&self) -> usize {
        self.envelopes.load(Ordering::Relaxed)
    }

    pub(crate) fn target(&self, side: Side, generation: u32) -> Target {
        let role = if side == Side::Offerer { DialRole::Offerer } else { DialRole::Answerer };
        let (local, peer) = (self.ids[side as usize], self.ids[1 - side as usize]);
        let target = Target::new(self.session, local, peer, role, Generation(generation));
        let channel = self.exchanges[side as usize].open_link(&target, transport_webrtc::ID);
        target.with_signaling(channel)
    }

    /// The bare link channel, for tests that play a peer themselves.
    pub(crate) fn link(&self, side: Side, generation: u32) -> Arc<LinkChannel> {
        self.target(side, generation).signaling.unwrap()
    }

    /// Dials from both sides at once.
    pub(crate) async fn dial(
        &self,
        generation: u32,
        offerer: WebRtcConfig,
        answerer: WebRtcConfig,
    ) -> (Result<Link, ConnectError>, Result<Link, ConnectError>) {
        let (a, b) = (connector(offerer), connector(answerer));
        let (to_b, to_a) = (self.target(Side::Offerer, generation), self.target(Side::Answerer, generation));
        tokio::join!(a.connect(&to_b), b.connect(&to_a))
    }

    pub(crate) async fn connect(&self, offerer: WebRtcConfig, answerer: WebRtcConfig) -> (Link, Link) {
        let (a, b) = self.dial(1, offerer, answerer).await;
        (a.unwrap_or_else(|e| panic!("{}", e.chain())), b.unwrap_or_else(|e| panic!("{}", e.chain())))
    }
}

pub(crate) fn connector(config: WebRtcConfig) -> WebRtcConnector {
    WebRtcConnector::new(config).unwrap()
}

/// Counts what goes through the room.
#[derive(Debug)]
struct Counted {
    inner: MemorySignaling,
    envelopes: Arc<AtomicUsize>,
}

#[async_trait]
impl Signaling for Counted {
    async fn send(&self, to: PeerId, envelope: Bytes) -> Result<(), SignalingError> {
        self.envelopes.fetch_add(1, Ordering::Relaxed);
        self.inner.send(to, envelope).await
    }

    async fn recv(&self) -> Result<SignalingEvent, SignalingError> {
        self.inner.recv().await
    }
}

/// Kernel sockets, loopback only.
pub(crate) fn plain() -> WebRtcConfig {
    let mut config = WebRtcConfig::default();
    config.loopback = true;
    config
}

/// Loopback through `udp`.
pub(crate) fn impaired(udp: &ImpairedUdp) -> WebRtcConfig {
    let mut config = plain();
    config.udp = Some(Arc::new(udp.clone()));
    config
}

/// Through `server` only.
pub(crate) fn through(server: IceServer, coturn: &coturn::Coturn) -> WebRtcConfig {
    let mut config = plain();
    config.ice_servers = vec![server];
    let mut outbound = OutboundConfig::default();
    outbound.trust.add_roots("coturn", &coturn.root).unwrap();
    config.outbound = Outbound::new(outbound).unwrap();
    config.relayed()
}

/// Waits until `ready`, at most `patience`; says whether it came.
pub(crate) async fn eventually(patience: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let deadline = tokio::time::Instant::now() + patience;
    while !ready() {
        if tokio::time::Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    true
}

/// Tasks of this runtime that are alive.
pub(crate) fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}
