//! A network in memory: one primary and one fallback, each of which can be blocked, cut and stalled,
//! under the real policy, resume and seal.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use negotiator::{
    Access, Host, HostConfig, LinkOptions, Membership, Negotiator, NetworkConfig, Rendezvous, Session, Way,
};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use transport_core::{
    ConnectError, ConnectErrorKind, Connector, Generation, PeerId, Target, Transport, TransportId,
    memory::{self, MemoryLink, MemoryTransport, Side},
    signaling::{MemoryRoom, Signaling, SignalingError},
};

pub const PRIMARY: TransportId = TransportId::from_static("primary");
pub const FALLBACK: TransportId = TransportId::from_static("fallback");

/// One kind of path between any two peers.
#[derive(Debug)]
pub struct Road {
    id: TransportId,
    blocked: AtomicBool,
    refused: AtomicBool,
    waiting: Mutex<BTreeMap<(PeerId, PeerId, Generation), oneshot::Sender<MemoryTransport>>>,
    links: Mutex<Vec<MemoryLink>>,
    pub dials: AtomicUsize,
}

impl Road {
    fn new(id: TransportId) -> Arc<Self> {
        Arc::new(Self {
            id,
            blocked: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            waiting: Mutex::default(),
            links: Mutex::default(),
            dials: AtomicUsize::new(0),
        })
    }

    /// Dials hang and open links fall silent, as behind a firewall that drops.
    pub fn block(&self) {
        self.blocked.store(true, Ordering::Relaxed);
        for link in self.links.lock().iter() {
            link.stall(Side::A);
            link.stall(Side::B);
        }
    }

    /// Dials work again; links that fell silent stay dead, as ICE would leave them.
    pub fn heal(&self) {
        self.blocked.store(false, Ordering::Relaxed);
        self.links.lock().clear();
    }

    /// Every open link ends at once, as by a reset.
    pub fn cut(&self) {
        for link in self.links.lock().drain(..) {
            link.cut();
        }
    }

    /// Dials are refused, as by a paused control plane.
    pub fn refuse(&self, refused: bool) {
        self.refused.store(refused, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub struct RoadConnector(pub Arc<Road>);

#[async_trait]
impl Connector for RoadConnector {
    fn id(&self) -> TransportId {
        self.0.id.clone()
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Transport>, ConnectError> {
        let road = &self.0;
        road.dials.fetch_add(1, Ordering::Relaxed);
        if road.refused.load(Ordering::Relaxed) {
            return Err(ConnectError::new(self.id(), "token", ConnectErrorKind::Rejected));
        }
        if road.blocked.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let pair = [target.local, target.peer];
        let key = (*pair.iter().min().unwrap(), *pair.iter().max().unwrap(), target.generation);
        let other = {
            let mut waiting = road.waiting.lock();
            match waiting.remove(&key).filter(|other| !other.is_closed()) {
                Some(other) => {
                    let (a, b, link) = memory::pair(memory::profile(256 * 1024, 16 * 1024));
                    road.links.lock().push(link);
                    let _ = other.send(a);
                    return Ok(Box::new(b));
                }
                None => {
                    let (here, there) = oneshot::channel();
                    waiting.insert(key, here);
                    there
                }
            }
        };
        let gone = |_| ConnectError::new(self.id(), "meet", ConnectErrorKind::Unreachable);
        other.await.map(|transport| Box::new(transport) as _).map_err(gone)
    }
}

/// Both roads and the room in which peers meet.
#[derive(Debug, Clone)]
pub struct Net {
    pub room: MemoryRoom,
    pub primary: Arc<Road>,
    pub fallback: Arc<Road>,
}

impl Net {
    pub fn new() -> Self {
        Self { room: MemoryRoom::default(), primary: Road::new(PRIMARY), fallback: Road::new(FALLBACK) }
    }

    pub async fn host(&self, mut config: HostConfig, access: Access) -> Host {
        if access == Access::ReadOnly {
            config.links = vec![LinkOptions::read_only()];
        }
        Host::meeting_at(config, Arc::new(self.clone())).await.unwrap()
    }

    pub fn viewer(&self, host: &Host, config: NetworkConfig) -> Negotiator {
        Negotiator::meeting_at(host.link().clone(), config, Arc::new(self.clone()))
    }

    /// A host, and one session from both sides.
    pub async fn session(&self, config: NetworkConfig) -> (Host, Session, Session) {
        let host = self.host(host_config(), Access::Full).await;
        let (viewer, hosted) = tokio::join!(self.viewer(&host, config).connect(), host.accept());
        (host, viewer.unwrap(), hosted.unwrap())
    }
}

pub fn host_config() -> HostConfig {
    HostConfig::new("http://memory.invalid")
}

#[async_trait]
impl Rendezvous for Net {
    async fn enter(&self, membership: &Membership) -> Result<Arc<dyn Signaling>, SignalingError> {
        Ok(Arc::new(self.room.join(membership.local)))
    }

    fn ways(&self, _: &Membership) -> Result<Vec<Way>, String> {
        Ok(vec![
            Way::direct(Arc::new(RoadConnector(self.primary.clone()))),
            Way::fallback(Arc::new(RoadConnector(self.fallback.clone()))),
        ])
    }
}
