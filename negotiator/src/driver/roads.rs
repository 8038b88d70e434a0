//! Two roads in memory between a host and a viewer, for tests in virtual time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use transport_core::{
    ConnectError, ConnectErrorKind, Connector, Generation, Target, Transport, TransportId,
    memory::{self, MemoryLink, MemoryTransport, Side},
    signaling::{MemoryRoom, Signaling, SignalingError},
};

use crate::{Host, HostConfig, Membership, Negotiator, NetworkConfig, Rendezvous, Session, Way};

pub(super) const PRIMARY: TransportId = TransportId::from_static("primary");
pub(super) const FALLBACK: TransportId = TransportId::from_static("fallback");

/// One kind of path between the two sides; its links fall silent when it is blocked.
#[derive(Debug)]
pub(super) struct Road {
    id: TransportId,
    blocked: AtomicBool,
    waiting: Mutex<BTreeMap<Generation, oneshot::Sender<MemoryTransport>>>,
    links: Mutex<Vec<MemoryLink>>,
    dialled: AtomicUsize,
}

impl Road {
    fn new(id: TransportId) -> Arc<Self> {
        let (waiting, links) = (Mutex::default(), Mutex::default());
        let (blocked, dialled) = (AtomicBool::new(false), AtomicUsize::new(0));
        Arc::new(Self { id, blocked, waiting, links, dialled })
    }

    /// Lets nothing through from these sides, and no new link.
    pub(super) fn block(&self, sides: &[Side]) {
        self.blocked.store(true, Ordering::Relaxed);
        for (link, side) in
            self.links.lock().iter().flat_map(|link| sides.iter().map(move |side| (link, side)))
        {
            link.stall(*side);
        }
    }

    /// Lets new links through; the old ones stay dead.
    pub(super) fn heal(&self) {
        self.blocked.store(false, Ordering::Relaxed);
        self.links.lock().clear();
    }

    /// Lets everything through again, what was on the way included.
    pub(super) fn restore(&self) {
        for link in self.links.lock().iter() {
            link.heal(Side::A);
            link.heal(Side::B);
        }
        self.blocked.store(false, Ordering::Relaxed);
    }

    /// How many dials it has seen, of either side.
    pub(super) fn dialled(&self) -> usize {
        self.dialled.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct RoadConnector(Arc<Road>);

#[async_trait]
impl Connector for RoadConnector {
    fn id(&self) -> TransportId {
        self.0.id.clone()
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Transport>, ConnectError> {
        self.0.dialled.fetch_add(1, Ordering::Relaxed);
        if self.0.blocked.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let other = {
            let mut waiting = self.0.waiting.lock();
            if let Some(other) = waiting.remove(&target.generation) {
                let (a, b, link) = memory::pair(memory::profile(256 * 1024, 16 * 1024));
                self.0.links.lock().push(link);
                let _ = other.send(a);
                return Ok(Box::new(b));
            }
            let (here, there) = oneshot::channel();
            waiting.insert(target.generation, here);
            there
        };
        let gone = |_| ConnectError::new(self.id(), "meet", ConnectErrorKind::Unreachable);
        other.await.map(|transport| Box::new(transport) as _).map_err(gone)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Net {
    room: MemoryRoom,
    pub(super) primary: Arc<Road>,
    pub(super) fallback: Arc<Road>,
}

#[async_trait]
impl Rendezvous for Net {
    async fn enter(&self, membership: &Membership) -> Result<Arc<dyn Signaling>, SignalingError> {
        Ok(Arc::new(self.room.join(membership.local)))
    }

    fn ways(&self, _: &Membership) -> Result<Vec<Way>, String> {
        let connector = |road: &Arc<Road>| Arc::new(RoadConnector(road.clone()));
        Ok(vec![Way::direct(connector(&self.primary)), Way::fallback(connector(&self.fallback))])
    }
}

impl Net {
    pub(super) fn new() -> Self {
        Self { room: MemoryRoom::default(), primary: Road::new(PRIMARY), fallback: Road::new(FALLBACK) }
    }

    /// Brings a viewer to a host: host, viewer's session, host's session.
    pub(super) async fn meet(&self) -> (Host, Session, Session) {
        let config = HostConfig::new("http://memory.invalid");
        let host = Host::meeting_at(config, Arc::new(self.clone())).await.unwrap();
        let viewer =
            Negotiator::meeting_at(host.link().clone(), NetworkConfig::default(), Arc::new(self.clone()));
        let (viewer, hosted) = tokio::join!(viewer.connect(), host.accept());
        (host, viewer.unwrap(), hosted.unwrap())
    }
}
