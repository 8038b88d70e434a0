//! A relay node in a pool: it says that it is there, and keeps the leases of its sessions.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Once, atomic::Ordering::Relaxed},
    time::Duration,
};

use beach_lifeguard_client::CloseCode;
use futures::future::join_all;
use parking_lot::{Mutex, RwLock};
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use super::{
    config::RelayConfig,
    core::Core,
    ending::Order,
    hop::{self, Way},
    isolation::Isolation,
};
use crate::store::{
    Store, StoreError,
    pool::NodeId,
    relays::{BEAT, LEASE, RENEWAL, RelayNode},
};

/// What a node knows of itself.
#[derive(Debug)]
pub(super) struct Ownership {
    store: Arc<dyn Store>,
    node: NodeId,
    url: String,
    region: String,
    /// Where other nodes reach this one.
    internal: Option<String>,
    /// Nodes that were looked up. What a node says of its addresses never changes.
    known: RwLock<HashMap<NodeId, RelayNode>>,
    /// Where sessions were last passed on to: what counts while the store is away.
    passed_on: Mutex<HashMap<Uuid, Way>>,
    /// Whether others reach the store and this node does not.
    isolation: Mutex<Isolation>,
}

/// Where a session's peers meet, as seen from this node.
#[derive(Debug)]
pub(super) enum Place {
    /// On another node with the same public address: who came here is passed on.
    Behind(Way),
    /// On another node with an address of its own, or one that nobody can reach.
    Elsewhere,
    /// On this node.
    Here,
}

impl Ownership {
    /// None for a relay that is in no pool.
    pub(super) fn of(config: &RelayConfig, store: &Arc<dyn Store>) -> Option<Self> {
        Some(Self {
            store: store.clone(),
            node: NodeId::random(),
            url: config.public_url.clone()?,
            region: config.region.clone(),
            internal: config.internal.as_ref().map(|internal| internal.address.clone()),
            known: RwLock::default(),
            passed_on: Mutex::default(),
            isolation: Mutex::default(),
        })
    }

    /// Its name.
    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    /// Whether others reach the store and this node does not: its sessions are theirs.
    pub(super) fn is_cut_off(&self) -> bool {
        self.isolation.lock().is_cut_off()
    }

    /// Where a session's peers meet. A session without an owner is this node's from here on; while the store is
    /// away, whoever has a token is right here, unless others of the session were passed on, or the store is away for this node
    /// alone.
    pub(super) async fn place(&self, session: Uuid) -> Place {
        let Ok(owners) = self.store.hold_sessions(self.node, &[session], LEASE).await else {
            if self.is_cut_off() {
                return Place::Elsewhere;
            }
            let passed_on = self.passed_on.lock().get(&session).cloned();
            return passed_on.map_or(Place::Here, Place::Behind);
        };
        let way = match owners.first().copied().flatten() {
            Some(owner) if owner != self.node => self.way_to(owner).await,
            _ => {
                self.passed_on.lock().remove(&session);
                return Place::Here;
            }
        };
        let Some(way) = way else { return Place::Elsewhere };
        let mut passed_on = self.passed_on.lock();
        // Whoever is forgotten is asked about again.
        if passed_on.len() >= MOST_REMEMBERED {
            passed_on.clear();
        }
        passed_on.insert(session, way.clone());
        Place::Behind(way)
    }

    /// Whoever owned this session cannot be reached: what is known of it counts no more.
    pub(super) fn forget(&self, session: Uuid) {
        self.passed_on.lock().remove(&session);
    }

    /// The way to another node with the same public address: a client that is sent there by that address may end up
    /// here again.
    async fn way_to(&self, owner: NodeId) -> Option<Way> {
        let known = self.known.read().get(&owner).cloned();
        let node = match known {
            Some(node) => node,
            None => {
                self.look().await.ok()?;
                self.known.read().get(&owner).cloned()?
            }
        };
        if node.url != self.url {
            return None;
        }
        match (&self.internal, node.internal) {
            (Some(_), Some(address)) => Some(Way { node: owner, address }),
            _ => {
                WITHOUT_HOP.call_once(|| {
                    tracing::warn!(
                        url = self.url,
                        "nodes share one public address and not all have `pool.internal_…`: sessions do not meet"
                    );
                });
                None
            }
        }
    }

    /// Looks who lives.
    async fn look(&self) -> Result<(), StoreError> {
        let living = self.store.relays().await?;
        *self.known.write() = living.into_iter().map(|node| (node.id, node)).collect();
        Ok(())
    }

    /// Whoever knows nobody has nobody to ask when the store is away, so the first of a pool looks at every beat for the second. A
    /// node without an internal listener never asks.
    fn between_looks(&self) -> Duration {
        if self.internal.is_some() && self.others().is_empty() { Duration::ZERO } else { LOOK }
    }

    /// The way to each other node that was there at the last look.
    fn others(&self) -> Vec<Way> {
        let known = self.known.read();
        let others = known.values().filter(|node| node.id != self.node);
        let way = |node: &RelayNode| Some(Way { node: node.id, address: node.internal.clone()? });
        others.filter_map(way).collect()
    }

    /// Says that this node is there.
    pub(super) async fn beat(&self, relay: &Core) -> Result<(), StoreError> {
        let node = RelayNode {
            id: self.node,
            url: self.url.clone(),
            region: self.region.clone(),
            sockets: relay.sockets_open.load(Relaxed),
            sessions: sessions(relay).len(),
            ready: relay.readiness().is_ok(),
            internal: self.internal.clone(),
        };
        self.store.beat_relay(&node).await
    }
}

/// Says that this node is there, and keeps its leases, until the relay stops. Each change of the phase is said at once.
pub(super) async fn run(relay: Arc<Core>) {
    let Some(ownership) = &relay.ownership else { return };
    let mut phase = relay.phase.subscribe();
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut renewed, mut looked, mut is_away) = (Instant::now(), None::<Instant>, false);
    loop {
        let was_away = std::mem::replace(&mut is_away, ownership.beat(&relay).await.is_err());
        let was_cut_off = ownership.is_cut_off();
        ownership.isolation.lock().beat(Instant::now(), !is_away);
        if was_cut_off && !is_away {
            tracing::warn!("the store is reached again: this node takes sessions");
        }
        if is_away {
            look_around(&relay, ownership).await;
        } else if looked.is_none_or(|looked| looked.elapsed() >= ownership.between_looks())
            && ownership.look().await.is_ok()
        {
            looked = Some(Instant::now());
        }
        // A store that was away may have lost its memory.
        if !is_away && (was_away || renewed.elapsed() >= RENEWAL) {
            renewed = Instant::now();
            renew(&relay, ownership).await;
        }
        tokio::select! {
            () = relay.stop.cancelled() => break,
            _ = beats.tick() => {}
            changed = phase.changed() => {
                if changed.is_err() {
                    break;
                }
            }
        }
    }
    // The last word: not ready.
    let _ = ownership.beat(&relay).await;
}

/// Asks the others whether they reach the store, when this node has not for long enough; and lets its sessions go when it alone has
/// not.
async fn look_around(relay: &Core, ownership: &Ownership) {
    let Some(config) = &relay.config.internal else { return };
    if !ownership.isolation.lock().is_due(Instant::now()) {
        return;
    }
    let others = ownership.others();
    let answers = join_all(others.iter().map(|way| hop::ask(relay, config, way))).await;
    if !ownership.isolation.lock().answered(Instant::now(), &answers) {
        return;
    }
    let sessions = sessions(relay).len();
    tracing::error!(
        sessions,
        ?answers,
        "this node alone does not reach the store: its sessions go elsewhere"
    );
    relay.metrics.cut_off();
    relay.for_each_peer(|peer| peer.end(Order::new(CloseCode::RESTART, "moved")));
}

/// Renews the leases of all sessions that are here. Who sits here although another node took the session over is sent
/// after it.
async fn renew(relay: &Core, ownership: &Ownership) {
    let sessions = sessions(relay);
    let Ok(owners) = ownership.store.hold_sessions(ownership.node, &sessions, LEASE).await else { return };
    let moved: HashSet<_> = sessions
        .into_iter()
        .zip(owners)
        .filter(|(_, owner)| owner.is_some_and(|owner| owner != ownership.node))
        .map(|(session, _)| session)
        .collect();
    if moved.is_empty() {
        return;
    }
    tracing::warn!(sessions = moved.len(), "sessions are owned by other nodes: their peers are sent there");
    relay.registry.for_each(|session| {
        if moved.contains(&session.id()) {
            session.with_roster(|roster| {
                let order = Order::new(CloseCode::RESTART, "moved");
                roster.iter().for_each(|(_, _, peer)| peer.end(order));
            });
        }
    });
}

/// Gives all leases back, so that whoever leaves finds another node at once.
pub(super) async fn release(relay: &Core) {
    let Some(ownership) = &relay.ownership else { return };
    // Not ready first, or the next token would name this node again.
    let _ = ownership.beat(relay).await;
    let _ = ownership.store.release_sessions(ownership.node, &sessions(relay)).await;
}

fn sessions(relay: &Core) -> Vec<Uuid> {
    let mut sessions = Vec::new();
    relay.registry.for_each(|session| sessions.push(session.id()));
    sessions
}

/// How often this node looks who the others are: those it may have to ask when it cannot look any more.
const LOOK: Duration = Duration::from_secs(5);
static WITHOUT_HOP: Once = Once::new();
/// As many as a node carries, some times over.
const MOST_REMEMBERED: usize = 1 << 16;
