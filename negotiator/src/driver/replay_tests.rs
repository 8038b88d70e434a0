//! What the judges of a real session were told is told to fresh ones: they ask for the same.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};
use transport_core::{
    ConnectError, ConnectErrorKind, Connector, Generation, Target, Transport, TransportId,
    judge::{Action, Event},
    memory::{self, MemoryLink, MemoryTransport, Side},
    signaling::{MemoryRoom, Message, Signaling, SignalingError},
};

use super::trace;
use crate::{Host, HostConfig, Membership, Negotiator, NetworkConfig, Rendezvous, Way};

const PRIMARY: TransportId = TransportId::from_static("primary");
const FALLBACK: TransportId = TransportId::from_static("fallback");

/// One kind of path between the two sides; its links fall silent when it is blocked.
#[derive(Debug)]
struct Road {
    id: TransportId,
    blocked: AtomicBool,
    waiting: Mutex<BTreeMap<Generation, oneshot::Sender<MemoryTransport>>>,
    links: Mutex<Vec<MemoryLink>>,
}

impl Road {
    fn new(id: TransportId) -> Arc<Self> {
        let (waiting, links) = (Mutex::default(), Mutex::default());
        Arc::new(Self { id, blocked: AtomicBool::new(false), waiting, links })
    }

    fn block(&self) {
        self.blocked.store(true, Ordering::Relaxed);
        for link in self.links.lock().drain(..) {
            link.stall(Side::A);
            link.stall(Side::B);
        }
    }

    fn heal(&self) {
        self.blocked.store(false, Ordering::Relaxed);
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
struct Net {
    room: MemoryRoom,
    primary: Arc<Road>,
    fallback: Arc<Road>,
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

#[tokio::test(start_paused = true)]
async fn a_fresh_judge_asks_for_what_the_one_of_a_real_session_asked_for() {
    let net = Net { room: MemoryRoom::default(), primary: Road::new(PRIMARY), fallback: Road::new(FALLBACK) };
    let config = HostConfig::new("http://memory.invalid");
    let host = Host::meeting_at(config, Arc::new(net.clone())).await.unwrap();
    let viewer = Negotiator::meeting_at(host.link().clone(), NetworkConfig::default(), Arc::new(net.clone()));
    let (viewer, hosted) = tokio::join!(viewer.connect(), host.accept());
    let (viewer, hosted) = (viewer.unwrap(), hosted.unwrap());
    let talk = tokio::spawn({
        let (viewer, hosted) = (viewer.clone(), hosted.clone());
        async move {
            while viewer.send("up".into()).await.is_ok() && hosted.recv().await.is_ok() {
                sleep(Duration::from_millis(100)).await;
            }
        }
    });
    for (path, heals) in [(FALLBACK, false), (PRIMARY, true)] {
        if heals {
            net.primary.heal()
        } else {
            net.primary.block()
        }
        let moved = async {
            while viewer.status().path.as_ref() != Some(&path) {
                viewer.changed().await;
            }
        };
        timeout(Duration::from_secs(90), moved).await.expect("the session moves");
    }
    viewer.close().await;
    host.close().await;
    talk.abort();

    let records = trace::finished();
    assert_eq!(records.len(), 2, "one of each side");
    for record in records {
        let told = |wanted: fn(&Event) -> bool| {
            record.steps.iter().any(|step| step.event.as_ref().is_some_and(wanted))
        };
        assert!(told(|event| matches!(event, Event::LinkEnded { .. })));
        // The leader hears nothing when it notices a dead path before the follower complains.
        let leads = record.steps.iter().any(|step| {
            step.actions.iter().any(|action| matches!(action, Action::Say(Message::Dial { .. })))
        });
        assert!(leads || told(|event| matches!(event, Event::Heard(Message::Dial { .. }))));
        let moves = record.steps.iter().flat_map(|step| &step.actions);
        assert!(moves.filter(|action| matches!(action, Action::Tell { .. })).count() >= 3);

        let mut judge = record.fresh.clone();
        for (number, step) in record.steps.iter().enumerate() {
            match step.event.clone() {
                Some(event) => judge.handle_event(step.at, event),
                None => judge.handle_timeout(step.at),
            }
            let actions: Vec<_> = std::iter::from_fn(|| judge.poll_action()).collect();
            assert_eq!(actions, step.actions, "step {number}: {:?}", step.event);
        }
    }
}
