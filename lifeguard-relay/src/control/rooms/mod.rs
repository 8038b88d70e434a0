//! Who is in which room: on this node, and where there is a pool, on its other nodes.

mod elsewhere;
mod member;
mod room;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use beach_lifeguard_client::{
    Role,
    membership::LinkId,
    reason::Reason,
    session::SessionDocument,
    signaling::{FromRoom, RoomPeer},
};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

pub(super) use self::{
    elsewhere::listen,
    member::{Entrant, Presence},
};
use self::{
    member::{End, Member},
    room::Room,
};
use crate::{
    store::{
        Pool,
        pool::{Entry, NodeId, Seat},
    },
    telemetry::metrics::Metrics,
};

/// Every room of this node. Clones share them.
#[derive(Clone)]
pub(super) struct Rooms(Arc<Inner>);

struct Inner {
    /// One lock owns all memberships, so a join cannot race a last leave.
    rooms: Mutex<HashMap<Uuid, Room>>,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// The other nodes; none where there is one node only.
    pool: Option<Pool>,
    entries: AtomicU64,
}

/// Why somebody who proved to belong here does not enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoEntry {
    /// The room has as many as it may.
    Full,
    /// The link has brought as many as it may.
    LinkFull,
    /// The host changed its mind meanwhile, or the store does not answer.
    Refused(Reason),
}

impl Rooms {
    pub(super) fn new(
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
        stop: CancellationToken,
        pool: Option<Pool>,
    ) -> Self {
        let (rooms, entries) = (Mutex::default(), AtomicU64::new(0));
        Self(Arc::new(Inner { rooms, metrics, tasks, stop, pool, entries }))
    }

    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    pub(super) fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Whether there may be other nodes.
    pub(super) fn is_pooled(&self) -> bool {
        self.0.pool.is_some()
    }

    /// What is known of a session while its host is in its room: what the store said once, whatever has become of the
    /// store since.
    pub(super) fn document(&self, session: Uuid) -> Option<Arc<SessionDocument>> {
        let rooms = self.0.rooms.lock();
        let room = rooms.get(&session)?;
        room.members.values().any(|member| member.seat.role == Role::Host).then(|| room.document.clone())
    }

    /// Hears of a document. When it is the newest, whoever it does not let in any more is shown out at once.
    pub(super) fn apply(&self, document: &Arc<SessionDocument>) {
        let mut rooms = self.0.rooms.lock();
        if let Some(room) = rooms.get_mut(&document.session_id) {
            room.renew(document, &self.0.metrics);
        }
    }

    /// Enters with a proof that holds by `document`; the newest entry of a peer wins. Tells the others, and returns who
    /// they are.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: who is not let in leaves nothing.
    pub(super) async fn enter(
        &self,
        entrant: Entrant,
        document: &Arc<SessionDocument>,
    ) -> Result<(Presence, Vec<RoomPeer>), NoEntry> {
        let Entrant { peer, role, link } = entrant;
        let session = document.session_id;
        self.open(entrant, document)?;
        let mut seat = self.free_seat(role, link);
        let elsewhere = match &self.0.pool {
            Some(pool) => Some(self.sit(pool, document, peer, &mut seat).await?),
            None => None,
        };
        let (to_inbox, inbox) = mpsc::channel(INBOX);
        let end = Arc::<End>::default();
        let member = Member { seat, inbox: to_inbox, end: end.clone() };
        // From here on, dropping it gives the seat up.
        let presence = Presence { rooms: self.clone(), session, peer, entry: seat.entry, inbox, end };
        let mut rooms = self.0.rooms.lock();
        let room = rooms.entry(session).or_insert_with(|| Room::new(document.clone()));
        if let Some(elsewhere) = elsewhere {
            room.asked(self.node(), Some((0, elsewhere)));
        }
        let present = room.admits(entrant).map(|()| room.seat(peer, member));
        self.tidy(&mut rooms, session);
        // Not under the lock, which leaving takes.
        drop(rooms);
        present.map(|present| (presence, present))
    }

    /// Makes sure that there is a room, and that it admits one more as far as is known here.
    fn open(&self, entrant: Entrant, document: &Arc<SessionDocument>) -> Result<(), NoEntry> {
        let mut rooms = self.0.rooms.lock();
        if rooms.len() >= ROOMS && !rooms.contains_key(&document.session_id) {
            return Err(NoEntry::Full);
        }
        let room = rooms.entry(document.session_id).or_insert_with(|| Room::new(document.clone()));
        room.renew(document, &self.0.metrics);
        let admits = room.admits(entrant);
        if admits.is_err() {
            self.tidy(&mut rooms, document.session_id);
        }
        admits
    }

    /// The seat of a new entry. Where there is a pool, the store numbers it.
    fn free_seat(&self, role: Role, link: Option<LinkId>) -> Seat {
        let id = self.0.entries.fetch_add(1, Relaxed);
        Seat { entry: Entry { node: self.node(), id }, number: id, role, link }
    }

    fn node(&self) -> NodeId {
        self.0.pool.as_ref().map_or(NodeId(0), Pool::node)
    }

    fn leave(&self, session: Uuid, peer: Uuid, entry: Entry) {
        {
            let mut rooms = self.0.rooms.lock();
            if let Some(room) = rooms.get_mut(&session) {
                room.leave(peer, entry);
            }
            self.tidy(&mut rooms, session);
        }
        if let Some(pool) = &self.0.pool {
            pool.rise(session, peer, entry);
        }
    }

    /// Brings a message to a member, or on its way to the member's node; says whether it is.
    fn send(&self, session: Uuid, to: Uuid, message: FromRoom) -> bool {
        let rooms = self.0.rooms.lock();
        let delivered = rooms.get(&session).is_some_and(|room| match room.members.get(&to) {
            Some(member) => member.inbox.try_send(message).is_ok(),
            None => room.node_of(to).is_some_and(|node| self.forward(node, session, to, message)),
        });
        self.0.metrics.signaling_envelope(if delivered { "delivered" } else { "undelivered" });
        delivered
    }

    /// Ends a room that is empty, and counts.
    fn tidy(&self, rooms: &mut HashMap<Uuid, Room>, session: Uuid) {
        if rooms.get(&session).is_some_and(Room::is_over) {
            rooms.remove(&session);
        }
        let members = rooms.values().map(|room| room.members.len()).sum();
        self.0.metrics.signaling_population(rooms.len(), members);
    }
}

impl fmt::Debug for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooms")
            .field("rooms", &self.0.rooms.lock().len())
            .field("pool", &self.0.pool)
            .finish_non_exhaustive()
    }
}

/// Rooms on one node.
const ROOMS: usize = 100_000;
/// Members of one room: a host and its viewers.
const MEMBERS: usize = 256;
/// Those of them who came by one link.
const LINK_MEMBERS: usize = 64;
/// Messages that may wait for one member: the candidates of several dials.
const INBOX: usize = 256;

#[cfg(test)]
mod tests;
