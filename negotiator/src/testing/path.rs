//! One kind of path in memory, and what can be wrong with it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use transport_core::{
    ConnectError, ConnectErrorKind, Connector, Generation, PeerId, Role, Target, Transport, TransportId,
    memory::{self, MemoryLink, MemoryTransport, Side},
};

use super::delayed::Delayed;
use crate::runtime::Duration;

/// One kind of path between any host and any viewer. Clones are the same path.
///
/// Faults hold for links that are open and for those made later, unless said otherwise.
#[derive(Debug, Clone)]
pub struct MemoryPath(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: TransportId,
    /// Set by faults, read by dials.
    faults: Mutex<Faults>,
    /// Read by open links too.
    delay: watch::Sender<Duration>,
    /// Who came first to a dial.
    waiting: Mutex<BTreeMap<(PeerId, PeerId, Generation), oneshot::Sender<MemoryTransport>>>,
    links: Mutex<Vec<MemoryLink>>,
    dials: AtomicUsize,
}

#[derive(Debug, Default)]
struct Faults {
    blocked: bool,
    refused: bool,
    loss: Option<(f64, u64)>,
}

impl MemoryPath {
    pub(super) fn new(id: TransportId) -> Self {
        Self(Arc::new(Inner {
            id,
            faults: Mutex::default(),
            delay: watch::Sender::new(Duration::ZERO),
            waiting: Mutex::default(),
            links: Mutex::default(),
            dials: AtomicUsize::new(0),
        }))
    }

    /// Has dials hang and open links fall silent, as behind a firewall that drops.
    pub fn block(&self) {
        self.0.faults.lock().blocked = true;
        self.stall(&[Role::Host, Role::Viewer]);
    }

    /// Has open links carry nothing from `side` any more, and dials hang.
    pub fn block_from(&self, side: Role) {
        self.0.faults.lock().blocked = true;
        self.stall(&[side]);
    }

    /// Lets new dials through. Links that fell silent stay dead, as where the way back was forgotten.
    pub fn heal(&self) {
        self.0.faults.lock().blocked = false;
        self.0.links.lock().clear();
    }

    /// Lets everything through again, with what was held up on open links.
    pub fn restore(&self) {
        self.0.faults.lock().blocked = false;
        for link in self.0.links.lock().iter() {
            link.heal(Side::A);
            link.heal(Side::B);
        }
    }

    /// Ends every open link at once, as a reset does; what was on the way is lost. Dials go on working.
    pub fn cut(&self) {
        for link in self.0.links.lock().drain(..) {
            link.cut();
        }
    }

    /// Has dials be refused, as by a service that says no.
    pub fn refuse(&self, refused: bool) {
        self.0.faults.lock().refused = refused;
    }

    /// Has each message take `one_way`, in either direction. Default: none.
    pub fn delay(&self, one_way: Duration) {
        self.0.delay.send_replace(one_way);
    }

    /// Loses each datagram with probability `rate` (0 to 1), drawn from `seed`. What is sent reliably arrives.
    pub fn lose_datagrams(&self, rate: f64, seed: u64) {
        self.0.faults.lock().loss = Some((rate, seed));
        for link in self.0.links.lock().iter() {
            lose(link, rate, seed);
        }
    }

    /// Returns how many dials were made, those of both sides counted.
    pub fn dials(&self) -> usize {
        self.0.dials.load(Ordering::Relaxed)
    }

    /// Returns what dials this path for `side`: a rung for a ladder of one's own.
    pub fn connector(&self, side: Role) -> Arc<dyn Connector> {
        Arc::new(PathConnector { path: self.0.clone(), side })
    }

    fn stall(&self, from: &[Role]) {
        for link in self.0.links.lock().iter() {
            from.iter().for_each(|role| link.stall(side_of(*role)));
        }
    }
}

#[derive(Debug)]
struct PathConnector {
    path: Arc<Inner>,
    side: Role,
}

#[async_trait]
impl Connector for PathConnector {
    fn id(&self) -> TransportId {
        self.path.id.clone()
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Transport>, ConnectError> {
        let path = &self.path;
        path.dials.fetch_add(1, Ordering::Relaxed);
        let (blocked, refused) = {
            let faults = path.faults.lock();
            (faults.blocked, faults.refused)
        };
        if refused {
            return Err(ConnectError::new(self.id(), "ask", ConnectErrorKind::Rejected));
        }
        if blocked {
            std::future::pending::<()>().await;
        }
        let key = (target.local.min(target.peer), target.local.max(target.peer), target.generation);
        let other = {
            let mut waiting = path.waiting.lock();
            match waiting.remove(&key).filter(|other| !other.is_closed()) {
                Some(other) => {
                    let (ours, theirs) = path.open(self.side);
                    // Given up meanwhile: this end hears that the other was dropped.
                    let _ = other.send(theirs);
                    return Ok(Box::new(Delayed::new(ours, path.delay.subscribe())));
                }
                None => {
                    let (here, there) = oneshot::channel();
                    waiting.insert(key, here);
                    there
                }
            }
        };
        let gone = |_| ConnectError::new(self.id(), "meet", ConnectErrorKind::Unreachable);
        let ours = other.await.map_err(gone)?;
        Ok(Box::new(Delayed::new(ours, path.delay.subscribe())))
    }
}

impl Inner {
    /// Opens a link: the end of `side`, and the other.
    fn open(&self, side: Role) -> (MemoryTransport, MemoryTransport) {
        let (host, viewer, link) = memory::pair(memory::profile(QUEUE, MAX_MESSAGE));
        if let Some((rate, seed)) = self.faults.lock().loss {
            lose(&link, rate, seed);
        }
        self.links.lock().push(link);
        match side {
            Role::Host => (host, viewer),
            Role::Viewer => (viewer, host),
        }
    }
}

fn lose(link: &MemoryLink, rate: f64, seed: u64) {
    link.lose_datagrams(Side::A, rate, seed);
    link.lose_datagrams(Side::B, rate, seed.wrapping_add(1));
}

/// The first end of a link is the host's.
fn side_of(role: Role) -> Side {
    match role {
        Role::Host => Side::A,
        Role::Viewer => Side::B,
    }
}

/// What a link holds in each direction, and how long a message on it may be: as WebRTC.
const QUEUE: usize = 256 * 1024;
const MAX_MESSAGE: usize = 16 * 1024;
