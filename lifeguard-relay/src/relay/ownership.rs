//! A relay node in a pool: it says that it is there, and keeps the leases of its sessions.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use beach_lifeguard_client::CloseCode;
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use super::{core::Core, ending::Order};
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
}

impl Ownership {
    pub(super) fn new(store: Arc<dyn Store>, url: String, region: String) -> Self {
        Self { store, node: NodeId::random(), url, region }
    }

    /// Whether a session's peers meet here. A session without an owner is this node's from here on; while the store is
    /// away, whoever has a token is right here.
    pub(super) async fn is_here(&self, session: Uuid) -> bool {
        match self.store.hold_sessions(self.node, &[session], LEASE).await {
            Ok(owners) => owners.first().is_none_or(|owner| owner.is_none_or(|owner| owner == self.node)),
            Err(_) => true,
        }
    }

    async fn beat(&self, relay: &Core) -> Result<(), StoreError> {
        let node = RelayNode {
            id: self.node,
            url: self.url.clone(),
            region: self.region.clone(),
            sockets: relay.sockets_open.load(Relaxed),
            ready: relay.readiness().is_ok(),
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
    let (mut renewed, mut is_away) = (Instant::now(), false);
    loop {
        let was_away = std::mem::replace(&mut is_away, ownership.beat(&relay).await.is_err());
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
